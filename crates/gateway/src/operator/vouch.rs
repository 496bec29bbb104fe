//! Whose word counts: the fleet's secret vouches for operators; where there is none, only this
//! machine's own users are believed.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flotilla_core::call::{Call, CallError, Calls};
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::operator::HEADER;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};

/// What proxies add. Behind one on this machine, everybody would seem to be on this machine.
const FORWARDED: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// Decides whether a request is answered.
#[derive(Debug)]
pub(crate) struct Vouch {
    keyring: Option<SharedKeyring>,
    started: Instant,
    // A std mutex: held for a look, never across an await.
    calls: Mutex<Calls>,
}

impl Vouch {
    pub(crate) fn new(keyring: Option<SharedKeyring>) -> Self {
        Self { keyring, started: Instant::now(), calls: Mutex::default() }
    }

    /// Lets a request in, or says why not.
    pub(crate) fn check(
        &self,
        call: &Call<'_>,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<(), CallError> {
        match &self.keyring {
            Some(keyring) => self.by_secret(keyring, call, headers),
            None => by_place(call, headers, peer),
        }
    }

    fn by_secret(
        &self,
        keyring: &SharedKeyring,
        call: &Call<'_>,
        headers: &HeaderMap,
    ) -> Result<(), CallError> {
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|text| text.strip_prefix("Bearer "));
        let token = token.ok_or(CallError::Missing)?;
        // A clock before 1970 is as wrong as any other.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.take(&keyring.get(), token.trim(), call, now, self.started.elapsed())
    }
}

/// A page in a browser of this machine comes from this machine too: it cannot leave out its origin
/// nor, unasked, send a header of ours; and where it has its own name point here, that name is
/// in the request.
fn by_place(call: &Call<'_>, headers: &HeaderMap, peer: IpAddr) -> Result<(), CallError> {
    if !peer.to_canonical().is_loopback()
        || FORWARDED.iter().any(|name| headers.contains_key(*name))
    {
        return Err(CallError::Elsewhere);
    }
    let asked_for = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let of_page = headers.contains_key(ORIGIN) || !is_this_machine(asked_for);
    if of_page || (call.method != "GET" && !headers.contains_key(HEADER)) {
        return Err(CallError::CrossOrigin);
    }
    Ok(())
}

/// Whether a `Host` names this machine by an address or as `localhost`.
fn is_this_machine(host: &str) -> bool {
    let port = |port: &str| port.chars().all(|c| c.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, number)) if port(number) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flotilla_core::keyring::Keyring;
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const POST: Call<'_> = Call { method: "POST", path: "/v1/workers/w/drain", body: b"" };
    const GET: Call<'_> = Call { method: "GET", path: "/v1/workers", body: b"" };

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn loopback(call: &Call<'_>, pairs: &[(&'static str, &str)], peer: &str) -> Option<CallError> {
        Vouch::new(None).check(call, &headers(pairs), peer.parse().unwrap()).err()
    }

    #[test]
    fn without_a_secret_only_this_machines_own_programs_are_believed() {
        let host = ("host", "127.0.0.1:8080");
        let own = (HEADER, "1");
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.8.8"] {
            assert_eq!(loopback(&GET, &[host], peer), None, "{peer}");
            assert_eq!(loopback(&POST, &[host, own], peer), None, "{peer}");
        }
        for name in ["localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.1"] {
            assert_eq!(loopback(&POST, &[("host", name), own], "::1"), None, "{name}");
        }
        let elsewhere = Some(CallError::Elsewhere);
        assert_eq!(loopback(&GET, &[host], "10.0.0.7"), elsewhere);
        for proxy in FORWARDED {
            assert_eq!(loopback(&GET, &[host, (proxy, "10.0.0.7")], "127.0.0.1"), elsewhere);
        }
    }

    #[test]
    fn a_page_in_a_browser_of_this_machine_is_not_believed() {
        let host = ("host", "127.0.0.1:8080");
        let crossed = Some(CallError::CrossOrigin);
        let peer = "127.0.0.1";
        assert_eq!(loopback(&POST, &[host], peer), crossed, "any page can send such a one");
        let origin = ("origin", "https://evil.example");
        assert_eq!(loopback(&POST, &[host, origin, (HEADER, "1")], peer), crossed);
        assert_eq!(loopback(&GET, &[host, origin], peer), crossed);
        for rebound in ["evil.example:8080", "evil.example", "localhost.evil.example", ""] {
            let pairs = [("host", rebound), (HEADER, "1")];
            assert_eq!(loopback(&POST, &pairs, peer), crossed, "{rebound}");
            assert_eq!(loopback(&GET, &pairs[..1], peer), crossed, "{rebound}");
        }
    }

    #[test]
    fn with_a_secret_its_token_is_asked_for_wherever_one_comes_from() {
        let ring = Keyring::parse("the-secret-of-the-fleet").unwrap();
        let vouch = Vouch::new(Some(SharedKeyring::new(ring.clone())));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let check = |call: &Call<'_>, bearer: &str| {
            let headers = headers(&[("authorization", bearer)]);
            vouch.check(call, &headers, IpAddr::from([10, 0, 0, 7])).err()
        };
        let near = vouch.check(&GET, &headers(&[(HEADER, "1")]), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(near, Err(CallError::Missing));
        assert_eq!(check(&POST, "Basic eDp5"), Some(CallError::Missing));
        let bearer = format!("Bearer {}", POST.token(&ring, now, 7));
        assert_eq!(check(&GET, &bearer), Some(CallError::Forged));
        assert_eq!(check(&POST, &bearer), None);
        assert_eq!(check(&POST, &bearer), Some(CallError::Replayed));
        let old = now - Duration::from_secs(301);
        let old = format!("Bearer {}", POST.token(&ring, old, 8));
        assert_eq!(check(&POST, &old), Some(CallError::Stale));
    }
}
