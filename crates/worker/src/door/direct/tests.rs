//! A door with gateways and clients before it, and fake browsers behind.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

use flotilla_core::advert::Advert;
use flotilla_core::board::Board;
use flotilla_core::config::Config;
use flotilla_core::ending::Ending;
use flotilla_core::id::{Instance, WorkerId};
use flotilla_core::keyring::{Keyring, SharedKeyring};
use flotilla_core::metrics::{Direction, Metrics};
use flotilla_core::order::OrderError;
use flotilla_core::pool::{Demand, Sharing};
use flotilla_relay::read_response_body;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::Worker;
use crate::door::{Door, DoorConfig, DoorObserver};
use crate::fake::{Fake, KIND, SWITCH, V, publishing};

const LONG: Duration = Duration::from_secs(30);

struct Rig {
    address: String,
    worker: Worker,
    fake: Arc<Fake>,
    metrics: Arc<Metrics>,
    keyring: Keyring,
    door: Door,
    serving: tokio::task::JoinHandle<io::Result<()>>,
}

struct Counted(Arc<Metrics>);

impl DoorObserver for Counted {
    fn ticket_refused(&self, error: TicketError) {
        self.0.fleet.tickets.inc(error);
    }

    fn order_refused(&self, error: OrderError) {
        self.0.fleet.orders.inc(error);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Rig {
    async fn new(slots: usize, reservation_timeout: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let identity = Advert {
            id: WorkerId("w".into()),
            instance: Instance("1".into()),
            endpoint: address.clone(),
            ..Advert::default()
        };
        let board = Arc::new(Board::new(identity));
        let posts = board.clone();
        let (worker, fake) = publishing(SWITCH, slots, move |advert| {
            posts.post(&advert);
        });
        let metrics = Arc::new(Metrics::new(&Config::default(), ""));
        let config = DoorConfig {
            handshake_timeout: LONG,
            handshake_limit: 32 * 1024,
            reservation_timeout,
            ping_interval: LONG,
            peer_timeout: 2 * LONG,
            process: || None,
        };
        let keyring = Keyring::parse("the-secret-of-the-fleet").unwrap();
        let door = Door::new(
            worker.clone(),
            config,
            SharedKeyring::new(keyring.clone()),
            board,
            Instant::now(),
            metrics.clone(),
            Arc::new(Counted(metrics.clone())),
        );
        let front = door.clone();
        let serving = tokio::spawn(async move { front.serve(listener).await });
        Self { address, worker, fake, metrics, keyring, door, serving }
    }

    fn ticket(&self, session: &str, route: Route) -> Ticket {
        let sharing = Sharing::Tenant("t".into());
        Ticket {
            session: SessionId(session.into()),
            worker: WorkerId("w".into()),
            instance: Instance("1".into()),
            route,
            demand: Demand { kind: KIND, version: V, sharing },
            max_seconds: None,
            expires: 30_000,
            nonce: 1,
        }
    }

    async fn ask(&self, path: &str) -> Peer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        Peer(stream)
    }

    /// Reserves as a gateway does: the answer after the worker's word that the slot is taken.
    async fn reserve(&self, ticket: &Ticket) -> (ResponseHead, String) {
        let mut gateway = self.ask(&format!("/reserve/{}", ticket.seal(&self.keyring))).await;
        let (head, body) = gateway.answer().await;
        match head.status {
            102 => gateway.answer().await,
            _ => (head, body),
        }
    }

    /// A path for a client.
    async fn reserved(&self, ticket: &Ticket) -> String {
        let (head, body) = self.reserve(ticket).await;
        assert_eq!(head.status, 201, "{body}");
        head.headers.get("location").unwrap().to_owned()
    }

    /// Comes as a client does.
    async fn come(&self, path: &str) -> Peer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = flotilla_testkit::raw::handshake(&self.address, path, &[]);
        stream.write_all(request.as_bytes()).await.unwrap();
        Peer(stream)
    }

    /// A session of that route, up to its 101.
    async fn session(&self, ticket: &Ticket) -> Peer {
        let path = match ticket.route {
            Route::Reserved => self.reserved(ticket).await,
            _ => format!("/session/{}", ticket.seal(&self.keyring)),
        };
        let mut client = self.come(&path).await;
        let mut status = client.answer().await.0.status;
        if status == 102 {
            status = client.answer().await.0.status;
        }
        assert_eq!(status, 101);
        client
    }

    async fn until_used(&self, slots: u32) {
        let reached = async {
            while self.worker.inspect().await.unwrap().used != slots {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, reached).await.expect("the slots' number");
    }

    /// The sessions whose end was counted, by cause.
    fn ended(&self) -> Vec<(EndCause, u64)> {
        let counted = |cause| (cause, self.metrics.sessions.ended.get((KIND, cause)));
        EndCause::ALL.map(counted).into_iter().filter(|(_, ended)| *ended > 0).collect()
    }

    /// The same, once there are any.
    async fn first_ended(&self) -> Vec<(EndCause, u64)> {
        let ended = async {
            while self.ended().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, ended).await.expect("an end is counted");
        self.ended()
    }
}

struct Peer(TcpStream);

impl Peer {
    async fn answer(&mut self) -> (ResponseHead, String) {
        // A worker's two answers may come in one packet.
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(self.0.read_u8().await.unwrap());
        }
        let (head, _) = ResponseHead::parse(&bytes).unwrap().unwrap();
        if head.is_switching() || head.status == 102 {
            return (head, String::new());
        }
        let deadline = tokio::time::Instant::now() + LONG;
        let rest = bytes::Bytes::new();
        let body = read_response_body(&mut self.0, &head, rest, 64 * 1024, deadline).await;
        (head, String::from_utf8(body.unwrap().to_vec()).unwrap())
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        let head = [opcode, 0x80 | length, 0, 0, 0, 0];
        self.0.write_all(&[&head, payload].concat()).await.unwrap();
    }

    async fn next(&mut self) -> (u8, Vec<u8>) {
        let frame = async {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; usize::from(head[1])];
            self.0.read_exact(&mut payload).await.unwrap();
            (head[0], payload)
        };
        tokio::time::timeout(LONG, frame).await.expect("a frame in time")
    }
}

#[tokio::test]
async fn a_reserved_slot_waits_for_its_client_and_is_free_after_it() {
    let rig = Rig::new(1, LONG).await;
    let path = rig.reserved(&rig.ticket("s1", Route::Reserved)).await;
    rig.until_used(1).await;
    let (busy, _) = rig.reserve(&rig.ticket("s2", Route::Reserved)).await;
    assert_eq!((busy.status, busy.headers.get("x-flotilla-refusal")), (503, Some("busy")));

    let mut client = rig.come(&path).await;
    let (head, _) = client.answer().await;
    assert_eq!(head.status, 101);
    assert_eq!(head.headers.get("x-playwright-debug-log"), Some("flotilla session s1"));
    client.send(0x81, b"hello").await;
    assert_eq!(client.next().await, (0x81, b"hello".to_vec()));
    let requests = rig.fake.requests.lock().unwrap().clone();
    assert!(requests[0].starts_with("GET /secret?session=s1 "), "{requests:?}");

    client.send(0x88, b"").await;
    assert_eq!(client.next().await, (0x88, Vec::new()));
    rig.until_used(0).await;
    assert_eq!(rig.first_ended().await, [(EndCause::ClientClose, 1)]);
    let up = rig.metrics.relay.bytes.get(Direction::ToBrowser);
    assert_eq!(up, 11 + 6, "a direct session's bytes are counted here");
}

#[tokio::test]
async fn what_passes_directly_is_counted_while_the_session_lasts() {
    let rig = Rig::new(1, LONG).await;
    let mut client = rig.session(&rig.ticket("s", Route::Reserved)).await;
    client.send(0x81, b"hello").await;
    client.next().await;
    let (_, page) = rig.ask("/metrics").await.answer().await;
    let line = r#"flotilla_relay_bytes_total{direction="to_browser"} 11"#;
    assert!(page.contains(line), "{page}");
    let (_, status) = rig.ask("/status.json").await.answer().await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["sessions"][0]["id"], "s");
}

#[tokio::test]
async fn an_address_is_good_for_one_connection_and_looking_at_it_is_none() {
    let rig = Rig::new(5, LONG).await;
    let path = rig.reserved(&rig.ticket("s", Route::Reserved)).await;
    let (looked, _) = rig.ask(&path).await.answer().await;
    assert_eq!(looked.status, 426);
    let mut client = rig.come(&path).await;
    assert_eq!(client.answer().await.0.status, 101);
    let (replayed, words) = rig.come(&path).await.answer().await;
    assert_eq!(replayed.status, 403);
    assert!(words.contains("has been used"), "{words}");
    assert!(words.contains("connect to the grid again"), "{words}");
    assert_eq!(rig.metrics.fleet.tickets.get(TicketError::Replayed), 1);
}

#[tokio::test]
async fn only_the_workers_own_word_opens_a_reserved_slot() {
    let rig = Rig::new(5, LONG).await;
    let path = rig.reserved(&rig.ticket("s", Route::Reserved)).await;
    let theirs = Keyring::parse("some-other-secret-of-theirs").unwrap();
    let direct = rig.ticket("s", Route::Direct);
    let elsewhere = Ticket { worker: WorkerId("v".into()), ..direct.clone() };
    let reserving = rig.ticket("s", Route::Reserved);
    for (ticket, error) in [
        (direct.seal(&theirs), TicketError::Forged),
        (elsewhere.seal(&rig.keyring), TicketError::Foreign),
        (reserving.seal(&rig.keyring), TicketError::WrongRoute),
    ] {
        let (head, words) = rig.come(&format!("/session/{ticket}")).await.answer().await;
        assert_eq!(head.status, 403, "{error}");
        assert!(words.starts_with(&error.to_string()), "{words}");
        assert!(words.contains("connect to the grid again"), "{words}");
    }
    let relayed = rig.ticket("r", Route::Relayed);
    assert_eq!(rig.reserve(&relayed).await.0.status, 403, "a relay's ticket reserves nothing");
    let mut client = rig.come(&path).await;
    assert_eq!(client.answer().await.0.status, 101, "none of it cost the client anything");
}

#[tokio::test]
async fn a_client_that_does_not_come_loses_its_slot_and_is_told_when_it_does() {
    let rig = Rig::new(1, Duration::from_millis(50)).await;
    let path = rig.reserved(&rig.ticket("s", Route::Reserved)).await;
    rig.until_used(0).await;
    assert_eq!(rig.first_ended().await, [(EndCause::ClientLost, 1)]);
    let (late, words) = rig.come(&path).await.answer().await;
    assert_eq!(late.status, 403);
    assert!(words.contains("expired") && words.contains("connect to the grid again"), "{words}");
}

#[tokio::test]
async fn a_gateway_that_leaves_before_the_browser_is_there_gives_the_slot_back() {
    let rig = Rig::new(1, LONG).await;
    rig.fake.hold.send_replace(true);
    let ticket = rig.ticket("s", Route::Reserved).seal(&rig.keyring);
    let mut gateway = rig.ask(&format!("/reserve/{ticket}")).await;
    assert_eq!(gateway.answer().await.0.status, 102);
    rig.until_used(1).await;
    drop(gateway);
    rig.until_used(0).await;
    assert_eq!(rig.ended(), [], "nobody was let in");
}

#[tokio::test]
async fn a_gateway_hears_of_its_slot_before_its_browser_however_quick_that_is() {
    let rig = Rig::new(1, LONG).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let (told, taken) = tokio::sync::oneshot::channel();
    // Both in one breath, as on a busy machine.
    let opening = async { Ok(told.send(true)) };
    let opened = admission::admitted(&rig.door.0, &mut peer, opening, taken).await;
    assert!(matches!(opened, Ok(Some(Ok(())))));
    assert_eq!(Peer(gateway).answer().await.0.status, 102);
}

#[tokio::test]
async fn a_browser_that_cannot_be_launched_is_the_gateways_to_know() {
    let rig = Rig::new(1, LONG).await;
    rig.fake.fail.store(true, Ordering::SeqCst);
    let (head, words) = rig.reserve(&rig.ticket("s", Route::Reserved)).await;
    assert_eq!((head.status, head.headers.get("x-flotilla-refusal")), (502, Some("launch_failed")));
    assert!(words.contains("no display"), "{words}");
    rig.until_used(0).await;
}

#[tokio::test]
async fn a_session_that_ends_before_its_client_comes_tells_it_why() {
    let rig = Rig::new(1, LONG).await;
    let path = rig.reserved(&rig.ticket("s", Route::Reserved)).await;
    rig.fake.kill_all();
    rig.until_used(0).await;
    let (head, words) = rig.come(&path).await.answer().await;
    assert_eq!(head.status, 503);
    assert!(words.contains("died (killed by signal 9). Connect again"), "{words}");
    assert_eq!(head.headers.get("x-flotilla-advert"), None, "that is for gateways");
    assert_eq!(rig.ended(), [(EndCause::WorkerCrash, 1)]);
}

/// Brings an end about.
type End = fn(&Rig);

#[tokio::test]
async fn every_end_has_the_same_words_for_a_direct_client_as_for_a_relayed_one() {
    let ends: [(EndCause, End); 4] = [
        (EndCause::Operator, |rig| {
            let worker = rig.worker.clone();
            let ending = Ending::operator("too long");
            tokio::spawn(async move { worker.end(SessionId("s".into()), ending).await });
        }),
        (EndCause::DrainKill, |rig| {
            drop(rig.worker.drain());
            rig.worker.end_all(Ending::drained());
        }),
        (EndCause::WorkerCrash, |rig| rig.fake.kill_all()),
        (EndCause::Deadline, |_| {}),
    ];
    for (cause, end) in ends {
        let mut told = Vec::new();
        for route in [Route::Relayed, Route::Reserved] {
            let rig = Rig::new(1, LONG).await;
            let max_seconds = (cause == EndCause::Deadline).then_some(1);
            let ticket = Ticket { max_seconds, ..rig.ticket("s", route) };
            let mut client = rig.session(&ticket).await;
            end(&rig);
            told.push(client.next().await);
            client.send(0x88, b"").await;
            rig.until_used(0).await;
            if route == Route::Reserved {
                assert_eq!(rig.first_ended().await, [(cause, 1)]);
            }
        }
        assert_eq!(told[0].0, 0x88, "{cause:?}");
        assert!(told[0].1.len() > 2, "{cause:?} has words");
        assert_eq!(told[0], told[1], "{cause:?}");
    }
}

#[tokio::test]
async fn a_session_that_is_here_already_is_not_taken_twice() {
    let rig = Rig::new(5, LONG).await;
    let mut client = rig.session(&rig.ticket("s", Route::Reserved)).await;
    let again = Ticket { nonce: 2, ..rig.ticket("s", Route::Reserved) };
    let (head, words) = rig.reserve(&again).await;
    assert_eq!(head.status, 409, "{words}");
    client.send(0x81, b"hello").await;
    assert_eq!(client.next().await, (0x81, b"hello".to_vec()));
}
