//! An order is brought to its worker, and the worker's own word brought back.

use std::time::Duration;

use flotilla_core::WorkerId;
use flotilla_core::advert::Advert;
use flotilla_core::attempt::Target;
use flotilla_core::order::{Deed, Order, Outcome};
use flotilla_core::registry::Directory;
use flotilla_core::wire;
use flotilla_relay::ResponseHead;
use flotilla_relay::head::{read_response_body, read_response_head};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::dial::connect;
use super::{Remote, random};
use crate::workers::OrderFailed;

/// How long an answer may take. A worker that is well answers at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const HEAD_LIMIT: usize = 64 * 1024;
/// A worker's sessions are in it, a few hundred bytes each.
const BODY_LIMIT: usize = 1024 * 1024;

impl<D: Directory> Remote<D> {
    /// Gives the order, and takes in what the worker says of itself with its answer.
    pub(super) async fn give(&self, id: &WorkerId, deed: Deed) -> Result<Outcome, OrderFailed> {
        let target = self.target(id).ok_or(OrderFailed::Unknown)?;
        let changes = deed != Deed::Sessions;
        let order = Order {
            worker: target.worker.clone(),
            instance: target.instance.clone(),
            deed,
            expires: target.expires,
            nonce: random(),
        };
        let sealed = order.seal(&self.keyring.get());
        let (head, body) = post(&target, &sealed).await.map_err(OrderFailed::Unanswered)?;
        if head.status != 200 {
            return Err(OrderFailed::Unanswered(format!("it answered {}: {body}", head.status)));
        }
        let signature = head.headers.get(wire::OUTCOME_HEADER).unwrap_or_default();
        let outcome = Outcome::open(&self.keyring.get(), order.nonce, &body, signature);
        let outcome = outcome.ok_or_else(|| {
            OrderFailed::Unanswered("its answer is not signed with the fleet's secret".to_owned())
        })?;
        self.learn(&head, changes);
        Ok(outcome)
    }

    /// Who waits for a change of the fleet is woken only where there may be one.
    fn learn(&self, head: &ResponseHead, changes: bool) {
        let text = head.headers.get(wire::ADVERT_HEADER).unwrap_or_default();
        let Ok(advert) = Advert::open(&self.keyring.get(), text) else { return };
        match changes {
            true => self.directory.view(|view, now| view.answered(advert, now)),
            false => self.directory.quietly(|view, now| view.answered(advert, now)),
        }
    }
}

async fn post(target: &Target, sealed: &str) -> Result<(ResponseHead, String), String> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    let mut stream = connect(&target.endpoint).await.map_err(|why| why.to_string())?;
    let (path, host) = (wire::ORDER_PATH, &target.endpoint);
    let request = format!(
        "POST {path}{sealed} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|why| why.to_string())?;
    let read = read_response_head(&mut stream, HEAD_LIMIT, deadline).await;
    let (head, rest) = read.map_err(|why| why.to_string())?;
    let body = read_response_body(&mut stream, &head, rest, BODY_LIMIT, deadline).await;
    let body = body.map_err(|why| why.to_string())?;
    Ok((head, String::from_utf8_lossy(&body).trim().to_owned()))
}
