//! An operator's request to a gateway, signed with the fleet's secret.
//!
//! The token of a request is good for that request alone: method, path and body are signed with
//! it, and it is taken once, within a few minutes of when it was made.

use std::time::Duration;

use crate::keyring::{Keyring, Purpose};
use crate::once::Once;
use crate::ticket::millis;

/// How far the clocks of an operator and a gateway may be apart.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path, without a query.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CallError {
    /// It has no token.
    #[error(
        "this needs the fleet's secret: set FLOTILLA_FLEET_SECRET, or FLOTILLA_FLEET_SECRET_FILE, \
         to what the gateways have"
    )]
    Missing,
    /// Nobody with the fleet's secret made it, or not for this request.
    #[error("the token was not made with this fleet's secret, or not for this request")]
    Forged,
    /// It was made at another time.
    #[error(
        "the token was made more than {} s before or after this gateway's time: \
         set the clocks of both machines",
        TOLERANCE.as_secs()
    )]
    Stale,
    /// It has been here before.
    #[error("the token has been used: every request needs one of its own")]
    Replayed,
    /// It comes from another machine, and there is no secret that could vouch for it.
    #[error(
        "without a fleet secret only this machine's own users may operate the grid: ask on the \
         machine itself, or set FLOTILLA_FLEET_SECRET there and here"
    )]
    Elsewhere,
    /// It may have been sent by a page in a browser.
    #[error("this was not sent by an operator's own program")]
    CrossOrigin,
}

impl CallError {
    /// Every kind, for counters that begin at zero.
    pub const ALL: [Self; 6] = [
        Self::Missing,
        Self::Forged,
        Self::Stale,
        Self::Replayed,
        Self::Elsewhere,
        Self::CrossOrigin,
    ];

    /// The label of the counter, and the refusal's code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Forged => "token_forged",
            Self::Stale => "token_stale",
            Self::Replayed => "token_replayed",
            Self::Elsewhere => "elsewhere",
            Self::CrossOrigin => "cross_origin",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Missing | Self::Forged | Self::Stale | Self::Replayed => 401,
            Self::Elsewhere | Self::CrossOrigin => 403,
        }
    }
}

impl Call<'_> {
    /// The token of this request, made at that time since 1970. The nonce is random.
    pub fn token(&self, keyring: &Keyring, at: Duration, nonce: u64) -> String {
        let at = millis(at);
        let signature = keyring.sign(Purpose::Call, &self.signed(at, nonce));
        format!("{at}.{nonce:016x}.{signature}")
    }

    /// None of the parts before the body has a line end in it.
    fn signed(&self, at: u64, nonce: u64) -> Vec<u8> {
        let head = format!("{at}\n{nonce:016x}\n{}\n{}\n", self.method, self.path);
        [head.as_bytes(), self.body].concat()
    }
}

/// Where a gateway takes calls: what it takes, and what it has taken.
#[derive(Debug, Default)]
pub struct Calls {
    taken: Once<u64>,
}

impl Calls {
    /// Takes a call, once. `now` is since 1970; `uptime` is by a clock that never goes back.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn take(
        &mut self,
        keyring: &Keyring,
        token: &str,
        call: &Call<'_>,
        now: Duration,
        uptime: Duration,
    ) -> Result<(), CallError> {
        let (at, nonce, signature) = parts(token).ok_or(CallError::Forged)?;
        if !keyring.verify(Purpose::Call, &call.signed(at, nonce), signature) {
            return Err(CallError::Forged);
        }
        if millis(now).abs_diff(at) > millis(TOLERANCE) {
            return Err(CallError::Stale);
        }
        let uptime = millis(uptime);
        self.taken.forget(uptime);
        // One that was made ahead of our clock is good for twice the tolerance.
        match self.taken.first(nonce, uptime + 2 * millis(TOLERANCE) + 1) {
            true => Ok(()),
            false => Err(CallError::Replayed),
        }
    }
}

fn parts(token: &str) -> Option<(u64, u64, &str)> {
    let (at, rest) = token.split_once('.')?;
    let (nonce, signature) = rest.split_once('.')?;
    Some((at.parse().ok()?, u64::from_str_radix(nonce, 16).ok()?, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'_> = Call { method: "POST", path: "/v1/workers/w/drain", body: b"{}" };
    const MADE: Duration = Duration::from_secs(1_700_000_000);

    fn ring() -> Keyring {
        Keyring::parse("the-secret-of-the-fleet").unwrap()
    }

    fn take(calls: &mut Calls, token: &str, call: &Call<'_>, late: u64) -> Result<(), CallError> {
        let late = Duration::from_secs(late);
        calls.take(&ring(), token, call, MADE + late, late)
    }

    #[test]
    fn a_token_is_good_for_its_own_request_once() {
        let mut calls = Calls::default();
        let token = CALL.token(&ring(), MADE, 7);
        for other in [
            Call { method: "GET", ..CALL },
            Call { path: "/v1/workers/v/drain", ..CALL },
            Call { body: b"{} ", ..CALL },
        ] {
            assert_eq!(take(&mut calls, &token, &other, 0), Err(CallError::Forged));
        }
        assert_eq!(take(&mut calls, &token, &CALL, 1), Ok(()));
        assert_eq!(take(&mut calls, &token, &CALL, 2), Err(CallError::Replayed));
        assert_eq!(take(&mut calls, &CALL.token(&ring(), MADE, 8), &CALL, 2), Ok(()));
    }

    #[test]
    fn a_token_of_another_time_is_not_taken_and_never_a_second_time_while_it_is_good() {
        let token = CALL.token(&ring(), MADE, 7);
        assert_eq!(take(&mut Calls::default(), &token, &CALL, 300), Ok(()));
        assert_eq!(take(&mut Calls::default(), &token, &CALL, 301), Err(CallError::Stale));
        let ahead = CALL.token(&ring(), MADE + TOLERANCE, 7);
        let mut calls = Calls::default();
        assert_eq!(take(&mut calls, &ahead, &CALL, 0), Ok(()));
        assert_eq!(take(&mut calls, &ahead, &CALL, 600), Err(CallError::Replayed));
        assert_eq!(take(&mut calls, &ahead, &CALL, 601), Err(CallError::Stale));
    }

    #[test]
    fn what_was_not_made_with_the_secret_is_not_taken() {
        let theirs = Keyring::parse("some-other-secret-of-theirs").unwrap();
        let token = CALL.token(&theirs, MADE, 7);
        for token in [token.as_str(), "", ".", "1.2", "x.y.z", "1700000000000.7."] {
            let taken = take(&mut Calls::default(), token, &CALL, 0);
            assert_eq!(taken, Err(CallError::Forged), "{token}");
        }
        // Neither is something else that the secret signed.
        let order = ring().sign(Purpose::Order, &CALL.signed(millis(MADE), 7));
        let token = format!("{}.{:016x}.{order}", millis(MADE), 7);
        assert_eq!(take(&mut Calls::default(), &token, &CALL, 0), Err(CallError::Forged));
    }
}
