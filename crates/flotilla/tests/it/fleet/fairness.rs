//! Several gateways, each with a queue of its own, before the same slots.

use flotilla_testkit::fleet::Gateway;
use flotilla_testkit::raw::{Socket, Waiting};
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::{wait_equal, wait_for};

use super::{fleet, measured};
use crate::SOON;

const SLOTS: usize = 3;

/// Clients that wait at one gateway, in the order in which they came.
fn wait_in_line(gateway: &Gateway, count: u32) -> Vec<Waiting> {
    let join = |depth| {
        let client = Waiting::send(gateway.address(), "/", &[]);
        gateway.wait_queued(depth, SOON);
        client
    };
    (1..=count).map(join).collect()
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
    const WAITING: u32 = 12;
    let redis = Redis::start();
    let fleet = fleet(&redis.url()).env("MAX_CONCURRENT_SESSIONS", SLOTS);
    let worker = fleet.worker().start();
    let gateways = [(); 2].map(|()| fleet.gateway().start());
    for gateway in &gateways {
        gateway.wait_workers(1, SOON);
    }
    // Every slot is the first gateway's, and so is every end that makes one free.
    let mut held: Vec<_> = (0..SLOTS).map(|_| gateways[0].open("/", &[]).unwrap()).collect();
    wait_equal("what the second knows", SOON, &0, || gateways[1].status().slots.free);
    let mut lines = gateways.each_ref().map(|gateway| wait_in_line(gateway, WAITING));
    let mut order = Vec::new();
    while lines.iter().all(|line| !line.is_empty()) {
        let (line, session) = next(&mut lines, held.remove(0));
        order.push(line);
        held.push(session);
    }
    measured(format_args!("the gateways whose clients were let in: {order:?}"));
    held.into_iter().for_each(Socket::close);
    drop(lines);
    for gateway in gateways {
        gateway.stop_and_check();
    }
    worker.stop_and_check();
}
