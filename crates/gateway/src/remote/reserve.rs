//! A slot is kept on a worker, for a client that will go there by itself.

use flotilla_core::attempt::Target;
use flotilla_core::registry::Directory;
use flotilla_core::wire;

use super::Remote;
use crate::line::Permit;
use crate::workers::{NotOpened, Redirect};

impl<D: Directory> Remote<D> {
    /// Has the worker take a slot and have its browser, before the client hears of it: what can
    /// go wrong with that goes wrong here, where another worker can be asked.
    pub(super) async fn reserve(
        &self,
        target: &Target,
        public: &str,
        ticket: &str,
        permit: Permit,
    ) -> Result<Redirect, NotOpened> {
        let (path, host) = (wire::RESERVE_PATH, &target.endpoint);
        let request = format!("GET {path}{ticket} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let kept =
            self.offer(target, request.as_bytes(), |head| head.status == 201, permit).await?;
        let location = kept.response.headers.get("location").unwrap_or_default();
        if !location.starts_with(wire::SESSION_PATH) {
            return Err(self.failed(target, "it kept a slot, and did not say where"));
        }
        let location = format!("{}{location}", public.trim_end_matches('/'));
        Ok(Redirect { location, granted_after: kept.granted_after })
    }
}
