//! The door over a real socket: orders from those with the fleet's secret, and from others.

use std::sync::atomic::{AtomicU32, Ordering};

use flotilla_core::keyring::Keyring;
use flotilla_core::order::{Deed, Outcome};
use flotilla_core::pool::Demand;
use flotilla_core::{Instance, SessionId, WorkerId};
use flotilla_relay::ResponseHead;
use flotilla_relay::head::{read_response_body, read_response_head};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::fake::{KIND, SWITCH, V, handshake, publishing};
use crate::session::tests::{shared, until_used};

const SECRET: &str = "the-secret-of-the-fleet";
const SOON: Duration = Duration::from_secs(20);

/// Counts what was refused.
#[derive(Default)]
struct Refused {
    tickets: AtomicU32,
    orders: Mutex<Vec<OrderError>>,
}

impl DoorObserver for Refused {
    fn ticket_refused(&self, _: TicketError) {
        self.tickets.fetch_add(1, Ordering::SeqCst);
    }

    fn order_refused(&self, error: OrderError) {
        self.orders.lock().unwrap().push(error);
    }
}

struct Bed {
    worker: Worker,
    address: String,
    refused: Arc<Refused>,
    started: Instant,
    next: AtomicU32,
}

fn ring(secret: &str) -> Keyring {
    Keyring::parse(secret).unwrap()
}

async fn bed() -> Bed {
    let identity = Advert {
        id: WorkerId("w".to_owned()),
        instance: Instance("1".to_owned()),
        ..Advert::default()
    };
    let board = Arc::new(Board::new(identity));
    let posts = board.clone();
    let (worker, _) = publishing(SWITCH, 5, move |advert| {
        let _ = posts.post(&advert);
    });
    let config = DoorConfig {
        handshake_timeout: SOON,
        handshake_limit: 32 * 1024,
        reservation_timeout: SOON,
        ping_interval: SOON,
        peer_timeout: SOON,
        process: || None,
    };
    let (refused, started) = (Arc::new(Refused::default()), Instant::now());
    let keyring = SharedKeyring::new(ring(SECRET));
    let metrics = Arc::new(Metrics::default());
    let door = Door::new(worker.clone(), config, keyring, board, started, metrics, refused.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { door.serve(listener).await });
    Bed { worker, address, refused, started, next: AtomicU32::new(1) }
}

impl Bed {
    fn expires(&self) -> u64 {
        flotilla_core::ticket::millis(self.started.elapsed()) + 30_000
    }

    fn order(&self, deed: Deed) -> Order {
        Order {
            worker: WorkerId("w".to_owned()),
            instance: Instance("1".to_owned()),
            deed,
            expires: self.expires(),
            nonce: self.next.fetch_add(1, Ordering::SeqCst).into(),
        }
    }

    fn ticket(&self, session: &str) -> String {
        let ticket = Ticket {
            session: SessionId(session.to_owned()),
            worker: WorkerId("w".to_owned()),
            instance: Instance("1".to_owned()),
            route: Route::Relayed,
            demand: Demand { kind: KIND, version: V, sharing: shared() },
            max_seconds: None,
            expires: self.expires(),
            nonce: self.next.fetch_add(1, Ordering::SeqCst).into(),
        };
        ticket.seal(&ring(SECRET))
    }

    async fn send(&self, request: &[u8]) -> (TcpStream, ResponseHead, String) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let deadline = tokio::time::Instant::now() + SOON;
        let (head, rest) = read_response_head(&mut stream, 1 << 20, deadline).await.unwrap();
        let body = match head.status {
            101 | 102 => String::from_utf8_lossy(&rest).into_owned(),
            _ => {
                let body = read_response_body(&mut stream, &head, rest, 1 << 20, deadline);
                String::from_utf8_lossy(&body.await.unwrap()).into_owned()
            }
        };
        (stream, head, body)
    }

    async fn post(&self, sealed: &str) -> (ResponseHead, String) {
        let request = format!("POST {}{sealed} HTTP/1.1\r\nHost: w\r\n\r\n", wire::ORDER_PATH);
        let (_, head, body) = self.send(request.as_bytes()).await;
        (head, body)
    }

    /// Gives an order as a gateway does, and reads the answer as one.
    async fn give(&self, deed: Deed) -> (Outcome, Advert) {
        let order = self.order(deed);
        let (head, body) = self.post(&order.seal(&ring(SECRET))).await;
        assert_eq!(head.status, 200, "{body}");
        let signature = head.headers.get(wire::OUTCOME_HEADER).unwrap();
        let outcome = Outcome::open(&ring(SECRET), order.nonce, &body, signature).unwrap();
        let advert = head.headers.get(wire::ADVERT_HEADER).unwrap();
        (outcome, Advert::open(&ring(SECRET), advert).unwrap())
    }

    /// Brings a session; whether it was let in, and the connection with what came behind its head.
    async fn bring(&self, session: &str) -> (TcpStream, ResponseHead, String) {
        let mut head = handshake();
        head.set_target(&format!("{}{}", wire::SESSION_PATH, self.ticket(session)));
        self.send(&head.to_bytes()).await
    }
}

#[tokio::test]
async fn a_drain_is_acknowledged_and_nobody_is_let_in_after_that() {
    let bed = bed().await;
    let (outcome, advert) = bed.give(Deed::Drain).await;
    assert_eq!(outcome, Outcome::Done);
    assert!(advert.draining, "the answer's own advert says so");
    let (_, head, _) = bed.bring("s1").await;
    assert_eq!((head.status, head.headers.get(wire::REFUSAL_HEADER)), (503, Some("draining")));

    let (outcome, advert) = bed.give(Deed::Undrain).await;
    assert_eq!((outcome, advert.draining), (Outcome::Done, false));
    let (_session, head, _) = bed.bring("s2").await;
    assert_eq!(head.status, 102);

    let (outcome, advert) = bed.give(Deed::Shutdown { within_seconds: None }).await;
    assert_eq!((outcome, advert.draining), (Outcome::Done, true));
    let (outcome, advert) = bed.give(Deed::Undrain).await;
    assert_eq!((outcome, advert.draining), (Outcome::Leaving, true));
}

#[tokio::test]
async fn an_order_that_nothing_vouches_for_does_nothing() {
    let bed = bed().await;
    let drain = || bed.order(Deed::Drain);
    let late = Order { expires: 0, ..drain() };
    let foreign = Order { instance: Instance("0".to_owned()), ..drain() };
    for (sealed, code) in [
        (drain().seal(&ring("some-other-secret-of-theirs")), OrderError::Forged),
        ("nonsense".to_owned(), OrderError::Forged),
        (bed.ticket("s1"), OrderError::Forged),
        (late.seal(&ring(SECRET)), OrderError::Expired),
        (foreign.seal(&ring(SECRET)), OrderError::Foreign),
    ] {
        let (head, body) = bed.post(&sealed).await;
        assert_eq!(head.status, 403, "{body}");
        assert_eq!(head.headers.get(wire::REFUSAL_HEADER), Some(code.as_str()));
        assert_eq!(bed.refused.orders.lock().unwrap().pop(), Some(code));
    }
    let status = bed.worker.inspect().await.unwrap();
    assert_eq!(status.state, flotilla_core::status::WorkerState::Available);

    let sealed = bed.order(Deed::Sessions).seal(&ring(SECRET));
    let got = format!("GET {}{sealed} HTTP/1.1\r\nHost: w\r\n\r\n", wire::ORDER_PATH);
    assert_eq!(bed.send(got.as_bytes()).await.1.status, 405);
    assert_eq!(bed.post(&sealed).await.0.status, 200);
    assert_eq!(bed.post(&sealed).await.0.status, 403);
    assert_eq!(*bed.refused.orders.lock().unwrap(), [OrderError::Replayed]);
    assert_eq!(bed.refused.tickets.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_ended_session_reads_the_operators_words() {
    let bed = bed().await;
    let (mut session, head, mut came) = bed.bring("s1").await;
    assert_eq!(head.status, 102);
    let session_id = SessionId("s1".to_owned());
    let end = Deed::End { session: session_id, reason: "it hangs".to_owned() };
    let read = async {
        while !came.contains("it hangs") {
            let mut bytes = [0; 1024];
            let n = session.read(&mut bytes).await.unwrap();
            assert!(n > 0, "it ended without a word: {came}");
            came += &String::from_utf8_lossy(&bytes[..n]);
        }
    };
    let (given, ()) = tokio::join!(bed.give(end), read);
    assert_eq!(given.0, Outcome::Done);
    // A close frame of the server: unmasked, 4000 and the words (RFC 6455, section 5.5.1).
    assert!(came.contains("Flotilla: an operator ended this session: it hangs"), "{came}");
    drop(session);
    until_used(&bed.worker, 0).await;
    let (outcome, _) = bed.give(Deed::Sessions).await;
    assert_eq!(outcome, Outcome::Sessions { sessions: Vec::new() });
}
