//! How a session ends: the cause that is counted, and the words that its client reads.

use serde::Serialize;

/// Why a session ended. The names are the values of the label `cause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// The client closed it: the ordinary end.
    ClientClose,
    /// The client vanished without a close, or stopped answering.
    ClientLost,
    /// An operator ended it.
    Operator,
    /// It reached the longest time that a session may last.
    Deadline,
    /// Its browser or driver died.
    WorkerCrash,
    /// Its worker could not be reached any more.
    WorkerLost,
    /// It was still there when a drain's time was up.
    DrainKill,
    /// A peer broke the WebSocket protocol.
    ProtocolError,
}

impl EndCause {
    /// Every cause, for counters that begin at zero.
    pub const ALL: [Self; 8] = [
        Self::ClientClose,
        Self::ClientLost,
        Self::Operator,
        Self::Deadline,
        Self::WorkerCrash,
        Self::WorkerLost,
        Self::DrainKill,
        Self::ProtocolError,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientClose => "client_close",
            Self::ClientLost => "client_lost",
            Self::Operator => "operator",
            Self::Deadline => "deadline",
            Self::WorkerCrash => "worker_crash",
            Self::WorkerLost => "worker_lost",
            Self::DrainKill => "drain_kill",
            Self::ProtocolError => "protocol_error",
        }
    }
}

/// The close code of an operator's end: private use (RFC 6455, section 7.4.2).
const OPERATOR: u16 = 4000;
const BY_OPERATOR: &str = "Flotilla: an operator ended this session";

/// The longest reason of a close frame, in bytes (RFC 6455, section 5.5).
const LONGEST: usize = 123;
/// The longest words of an operator that reach the client whole, in bytes.
pub const LONGEST_WHY: usize = LONGEST - BY_OPERATOR.len() - ": ".len();

/// An end that the grid brings about: the cause, and the close frame that tells the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What is counted.
    pub cause: EndCause,
    /// The close code (RFC 6455, section 7.4; 1012 and 1013 from its registry).
    pub code: u16,
    /// The reason in words, 123 bytes at most on the wire. It becomes the error of every call that
    /// the client has under way.
    pub reason: String,
}

impl Ending {
    /// The browser died under its sessions.
    pub fn browser_died(browser: &str, why: &str) -> Self {
        Self {
            cause: EndCause::WorkerCrash,
            code: 1011,
            reason: format!(
                "Flotilla: the {browser} of this session died ({why}). Connect again for another"
            ),
        }
    }

    /// The drain's deadline passed with this session still live.
    pub fn drained() -> Self {
        Self {
            cause: EndCause::DrainKill,
            code: 1012,
            reason:
                "Flotilla: this grid is stopping and its drain time is over. Connect again later"
                    .to_owned(),
        }
    }

    /// The worker's side vanished without a word.
    pub fn worker_lost() -> Self {
        Self {
            cause: EndCause::WorkerLost,
            code: 1011,
            reason: "Flotilla: the worker of this session was lost. Connect again for another"
                .to_owned(),
        }
    }

    /// An operator ended it, and said why. What is beyond [`LONGEST_WHY`] bytes is cut.
    pub fn operator(why: &str) -> Self {
        let mut why: String = why.chars().filter(|c| !c.is_control()).collect();
        while why.len() > LONGEST_WHY {
            why.pop();
        }
        let reason = match why.is_empty() {
            true => BY_OPERATOR.to_owned(),
            false => format!("{BY_OPERATOR}: {why}"),
        };
        Self { cause: EndCause::Operator, code: OPERATOR, reason }
    }

    /// The cause of an end that a worker elsewhere told with a close frame; `None` for one of the
    /// client's or the browser's own.
    pub fn cause_of(code: u16, reason: &str) -> Option<EndCause> {
        if !reason.starts_with("Flotilla: ") {
            return None;
        }
        match code {
            OPERATOR => Some(EndCause::Operator),
            1008 => Some(EndCause::Deadline),
            1011 => Some(EndCause::WorkerCrash),
            1012 => Some(EndCause::DrainKill),
            _ => None,
        }
    }

    /// The session lasted as long as one may.
    pub fn too_long(limit: std::time::Duration) -> Self {
        Self {
            cause: EndCause::Deadline,
            code: 1008,
            reason: format!(
                "Flotilla: this session reached the longest time allowed ({} s)",
                limit.as_secs()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_travels_with_its_close_frame() {
        let endings = [
            Ending::browser_died("browser", "exited with code 1"),
            Ending::drained(),
            Ending::operator("too \u{1b}[31mlong"),
            Ending::operator(&"é".repeat(LONGEST)),
            Ending::too_long(std::time::Duration::from_secs(5)),
        ];
        for ending in endings {
            assert_eq!(Ending::cause_of(ending.code, &ending.reason), Some(ending.cause));
            assert!(ending.reason.len() <= LONGEST);
            assert!(!ending.reason.contains('\u{1b}'));
        }
        assert_eq!(Ending::cause_of(1001, "Browser closed"), None);
    }
}
