//! Sessions that are brought to workers which answer as real ones do, or do not.

use std::sync::Mutex;
use std::time::Instant;

use flotilla_core::fleet::Fleet;
use flotilla_core::keyring::Keyring;
use flotilla_core::pool::{Demand, Moment, Sharing};
use flotilla_core::refusal::Served;
use flotilla_core::registry::Registry;
use flotilla_core::status::{RegistryStatus, WorkerState};
use flotilla_core::ticket::Ticket;
use flotilla_core::view::{Patience, View};
use flotilla_core::{Advert, BrowserKind, Instance, PlaywrightVersion, SessionId};
use flotilla_relay::head::read_request_head;
use flotilla_relay::{RequestHead, ResponseHead};
use flotilla_testkit::raw;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::line::Line;

const LONG: Duration = Duration::from_secs(30);
const SERVED: Served = (BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 });
const KEPT: &str =
    "HTTP/1.1 201 Created\r\nLocation: /session/direct.ticket\r\nContent-Length: 0\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

struct Known {
    view: Mutex<View>,
    started: Instant,
}

impl Registry for Known {
    fn look<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T {
        look(self.view.lock().unwrap().fleet())
    }
    fn claim(&self, served: Served) -> Option<WorkerId> {
        self.view.lock().unwrap().fleet_mut().claim(served)
    }
    fn offered(&self) -> Vec<Served> {
        self.view.lock().unwrap().offered()
    }
    fn settle(&self, id: &WorkerId) {
        self.view.lock().unwrap().fleet_mut().settle(id);
    }
    fn ailing(&self, _: &WorkerId, _: Served, _: Duration) -> bool {
        false
    }
    fn status(&self) -> RegistryStatus {
        RegistryStatus::default()
    }
}

impl Directory for Known {
    fn view<T>(&self, act: impl FnOnce(&mut View, Moment) -> T) -> T {
        self.quietly(act)
    }
    fn quietly<T>(&self, act: impl FnOnce(&mut View, Moment) -> T) -> T {
        act(&mut self.view.lock().unwrap(), self.started.elapsed())
    }
}

/// A gateway's way to one worker that answers one request.
struct Rig {
    remote: Remote<Known>,
    keyring: Keyring,
    request: tokio::task::JoinHandle<RequestHead>,
    _changes: watch::Sender<()>,
}

impl Rig {
    /// The worker has that public endpoint, and answers this.
    async fn new(public: Option<&str>, answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let advert = Advert {
            id: WorkerId("w".into()),
            instance: Instance("1".into()),
            seq: 1,
            endpoint: listener.local_addr().unwrap().to_string(),
            public: public.map(str::to_owned),
            slots: 5,
            serves: vec![SERVED],
            ..Advert::default()
        };
        let answers = answers.concat();
        let request = tokio::spawn(async move {
            let (mut gateway, _) = listener.accept().await.unwrap();
            let deadline = tokio::time::Instant::now() + LONG;
            let (head, _) = read_request_head(&mut gateway, 64 * 1024, deadline).await.unwrap();
            gateway.write_all(answers.as_bytes()).await.unwrap();
            head
        });
        let mut view = View::new(Patience::new(LONG, LONG));
        view.heard(advert.clone(), Moment::ZERO);
        for check in view.take_checks(Moment::ZERO) {
            view.checked(&check, Ok(advert.clone()), Moment::ZERO);
        }
        let directory = Arc::new(Known { view: Mutex::new(view), started: Instant::now() });
        let keyring = Keyring::parse("the-secret-of-the-fleet").unwrap();
        let config = RemoteConfig {
            select_timeout: LONG,
            launch_timeout: LONG,
            session_max_duration: Some(LONG),
            ttl: LONG,
        };
        let shared = SharedKeyring::new(keyring.clone());
        let (changes, changed) = watch::channel(());
        let remote = Remote::new(directory, shared, config, changed, |_| {});
        Self { remote, keyring, request, _changes: changes }
    }

    async fn open(&self, direct: bool) -> Result<Taken<Lease<Known>>, NotOpened> {
        let handshake = raw::handshake("grid:8080", "/?token=hidden", &[]);
        let (handshake, _) = RequestHead::parse(handshake.as_bytes()).unwrap().unwrap();
        let (kind, version) = SERVED;
        let sharing = Sharing::Tenant("t".into());
        let demand = Demand { kind, version, sharing };
        let ask = Ask { session: SessionId("s".into()), demand, handshake, direct };
        let permit = Line::new(1, Box::new(|_| 1)).enter("", SERVED).turn().await.unwrap();
        self.remote.open(&WorkerId("w".into()), ask, permit).await
    }

    /// What the worker was asked: the path without its ticket, and the ticket.
    async fn asked(self) -> (String, Ticket) {
        let head = self.request.await.unwrap();
        assert!(!String::from_utf8_lossy(&head.to_bytes()).contains("hidden"));
        let (path, ticket) = head.path().rsplit_once('/').unwrap();
        (path.to_owned(), Ticket::open(&self.keyring, ticket).unwrap())
    }

    async fn state(&self) -> WorkerState {
        self.remote.report().await[0].state
    }
}

fn said(status: u16) -> String {
    String::from_utf8(ResponseHead::new(status, "x").to_bytes()).unwrap()
}

fn redirect<L>(taken: Result<Taken<L>, NotOpened>) -> String {
    match taken {
        Ok(Taken::Direct(redirect)) => redirect.location,
        Ok(Taken::Relayed(_)) => panic!("it is relayed"),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_worker_that_clients_reach_keeps_a_slot_and_says_where_they_are_to_come() {
    for public in ["ws://w.example:3131", "wss://grid.example/w/"] {
        let rig = Rig::new(Some(public), &[&said(102), KEPT]).await;
        let location = redirect(rig.open(true).await);
        let expected = format!("{}/session/direct.ticket", public.trim_end_matches('/'));
        assert_eq!(location, expected);
        let (path, ticket) = rig.asked().await;
        assert_eq!((path.as_str(), ticket.route), ("/reserve", Route::Reserved));
        assert_eq!(ticket.max_seconds, Some(30), "the worker holds the session to it");
    }
}

#[tokio::test]
async fn a_client_that_is_not_to_go_there_or_cannot_is_relayed() {
    for (public, direct) in [(Some("ws://w.example:3131"), false), (None, true)] {
        let rig = Rig::new(public, &[&said(102), SWITCHED]).await;
        assert!(matches!(rig.open(direct).await, Ok(Taken::Relayed(_))), "{public:?} {direct}");
        let (path, ticket) = rig.asked().await;
        assert_eq!((path.as_str(), ticket.route), ("/session", Route::Relayed));
    }
}

#[tokio::test]
async fn what_a_worker_says_instead_of_keeping_a_slot_means_what_it_means_for_a_relay() {
    let refused = |status, code: &str, words: &str| {
        let mut head = ResponseHead::new(status, "x");
        head.headers.set("x-flotilla-refusal", code);
        head.headers.set("Content-Length", words.len().to_string());
        format!("{}{words}", String::from_utf8(head.to_bytes()).unwrap())
    };
    let public = Some("ws://w.example:3131");
    let rig = Rig::new(public, &[&refused(503, "busy", "every slot is taken")]).await;
    assert_eq!(rig.open(true).await.err(), Some(NotOpened::Busy));
    let launch_failed = refused(502, "launch_failed", "no display");
    let rig = Rig::new(public, &[&said(102), &launch_failed]).await;
    assert_eq!(rig.open(true).await.err(), Some(NotOpened::LaunchFailed("no display".to_owned())));
    assert_eq!(rig.state().await, WorkerState::Available, "it answers, and that is all we ask");
}

#[tokio::test]
async fn a_worker_that_keeps_a_slot_and_does_not_say_where_is_passed_over() {
    let nowhere = "HTTP/1.1 201 Created\r\nLocation: //evil.example/\r\nContent-Length: 0\r\n\r\n";
    let rig = Rig::new(Some("ws://w.example:3131"), &[&said(102), nowhere]).await;
    assert!(matches!(rig.open(true).await, Err(NotOpened::Failed(_))));
    assert_eq!(rig.state().await, WorkerState::Unroutable);
}
