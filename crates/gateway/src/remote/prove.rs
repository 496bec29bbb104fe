//! Dialling workers back: each proves that it is the one that was meant before anybody is sent
//! there, and says how it is.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::advert::Advert;
use flotilla_core::keyring::{Keyring, SharedKeyring};
use flotilla_core::proof;
use flotilla_core::registry::Directory;
use flotilla_core::view::{Check, Notice};
use flotilla_core::wire;
use flotilla_relay::head::{read_response_body, read_response_head};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::dial::connect;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: usize = 64 * 1024;
/// How many workers are dialled back at one time.
const AT_ONCE: usize = 64;
/// How often the view is looked at when nothing happens.
const LOOK: Duration = Duration::from_millis(500);

/// What came out of dialling back, for logs and counters.
pub type Found = Notice;

/// Dials back whoever the view wants dialled back.
pub(super) struct Prover<D> {
    directory: Arc<D>,
    keyring: SharedKeyring,
    found: Arc<dyn Fn(Found) + Send + Sync>,
    permits: Arc<Semaphore>,
}

impl<D: Directory> Prover<D> {
    pub(super) fn new(
        directory: Arc<D>,
        keyring: SharedKeyring,
        found: impl Fn(Found) + Send + Sync + 'static,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        Self { directory, keyring, found: Arc::new(found), permits }
    }

    pub(super) async fn run(self, mut changed: watch::Receiver<()>) {
        let mut next_tick = Instant::now();
        loop {
            changed.borrow_and_update();
            // It looks at every worker, and something changes all the time.
            let tick = next_tick <= Instant::now();
            if tick {
                next_tick = Instant::now() + LOOK;
            }
            let (checks, notices, wait) = self.directory.quietly(|view, now| {
                if tick {
                    view.tick(now);
                }
                let checks = view.take_checks(now);
                let wait = view.next_check().map_or(LOOK, |at| at.saturating_sub(now));
                (checks, view.take_notices(), wait)
            });
            notices.into_iter().for_each(|notice| (self.found)(notice));
            for check in checks {
                self.prove(check).await;
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep(wait.min(LOOK)) => {}
            }
        }
    }

    /// Waits for a place only; the answer comes later.
    async fn prove(&self, check: Check) {
        // The semaphore is never closed.
        let Ok(permit) = self.permits.clone().acquire_owned().await else { return };
        let (directory, keyring) = (self.directory.clone(), self.keyring.get());
        tokio::spawn(async move {
            let answer = ask(&keyring, &check).await;
            drop(permit);
            directory.view(|view, now| view.checked(&check, answer, now));
        });
    }
}

/// What the worker says of itself, if it can prove that it is of the fleet.
async fn ask(keyring: &Keyring, check: &Check) -> Result<Advert, String> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|_| "the system gives no random numbers".to_owned())?;
    let nonce = format!("{:032x}", u128::from_le_bytes(bits));
    let body = hello(&check.endpoint, &nonce).await.map_err(|why| why.to_string())?;
    proof::read(keyring, &nonce, &body)
}

async fn hello(
    endpoint: &str,
    nonce: &str,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    let mut stream = connect(endpoint).await?;
    let path = wire::HELLO_PATH;
    let request =
        format!("GET {path}{nonce} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (head, rest) = read_response_head(&mut stream, ANSWER_LIMIT, deadline).await?;
    let body = read_response_body(&mut stream, &head, rest, ANSWER_LIMIT, deadline).await?;
    match head.status {
        200 => Ok(String::from_utf8_lossy(&body).into_owned()),
        status => Err(format!("it answered {status}").into()),
    }
}
