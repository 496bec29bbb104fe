//! Several gateways, each with a queue of its own, before the same slots.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use flotilla_testkit::fleet::Gateway;
use flotilla_testkit::raw::{Socket, Waiting};
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::{wait_equal, wait_for};

use super::{fleet, measured};
use crate::SOON;

const SLOTS: usize = 3;
const WAITING: u32 = 8;

/// A slot is kept for 100 ms; and what a busy machine adds.
const A_MOMENT: Duration = Duration::from_secs(2);

/// How much later the second gateway hears of everything. The first could have every slot.
const LATER: Duration = Duration::from_millis(10);

/// The same server, some way off.
fn far_from_here(server: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = server.to_owned();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(&server) else { continue };
            carry(near.try_clone().unwrap(), far.try_clone().unwrap());
            carry(far, near);
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut bytes = [0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut bytes) {
            std::thread::sleep(LATER);
            if to.write_all(&bytes[..n]).is_err() {
                return;
            }
        }
    });
}

/// Clients that wait at one gateway, in the order in which they came.
fn wait_in_line(gateway: &Gateway) -> Vec<Waiting> {
    let join = |depth| {
        let client = Waiting::send(gateway.address(), "/", &[]);
        gateway.wait_queued(depth, SOON);
        client
    };
    (1..=WAITING).map(join).collect()
}

/// Closes a session: which gateway's client got its slot, and that client's session.
fn next(lines: &mut [Vec<Waiting>; 2], ends: Socket) -> (usize, Socket) {
    ends.close();
    let (line, place) = wait_for("somebody to be let in", SOON, || {
        (0..2).find_map(|line| {
            let place = lines[line].iter_mut().position(Waiting::answered)?;
            Some((line, place))
        })
    });
    assert_eq!(place, 0, "who came first at a gateway is let in first");
    (line, lines[line].remove(0).answer().expect("it is let in"))
}

#[test]
fn slots_that_become_free_are_shared_by_the_queues_of_all_gateways() {
    let redis = Redis::start();
    let fleet = fleet(&redis.url()).env("MAX_CONCURRENT_SESSIONS", SLOTS);
    let worker = fleet.worker().start();
    let far = format!("redis://{}", far_from_here(&redis.address()));
    let gateways = [fleet.gateway().start(), fleet.gateway().env("REDIS_URL", far).start()];
    for gateway in &gateways {
        gateway.wait_workers(1, SOON);
    }
    // Every slot is the first gateway's, and so is every end that makes one free.
    let mut held: Vec<_> = (0..SLOTS).map(|_| gateways[0].open("/", &[]).unwrap()).collect();
    wait_equal("what the second knows", SOON, &0, || gateways[1].status().slots.free);
    let mut lines = gateways.each_ref().map(wait_in_line);
    let mut order = Vec::new();
    while lines.iter().all(|line| !line.is_empty()) {
        let (line, session) = next(&mut lines, held.remove(0));
        order.push(line);
        held.push(session);
    }
    measured(format_args!("the gateways whose clients were let in: {order:?}"));
    // As soon as the worker knows that both wait, who is n-th in line at one of two gateways waits
    // for two n slots.
    let known = order.iter().position(|line| *line == 1).expect("the second has its turn");
    assert!(known < WAITING as usize / 2, "it had to wait for it: {order:?}");
    let in_turn = order[known..].windows(2).all(|two| two[0] != two[1]);
    assert!(in_turn, "a gateway's clients were passed over: {order:?}");
    // A slot is kept for a moment only for the gateway where nobody waits any more.
    for line in &mut lines {
        line.truncate(1);
    }
    while lines.iter().any(|line| !line.is_empty()) {
        let began = Instant::now();
        let (_, session) = next(&mut lines, held.remove(0));
        held.push(session);
        assert!(began.elapsed() < A_MOMENT, "it was kept for {:?}", began.elapsed());
    }
    held.into_iter().for_each(Socket::close);
    for gateway in gateways {
        gateway.stop_and_check();
    }
    worker.stop_and_check();
}
