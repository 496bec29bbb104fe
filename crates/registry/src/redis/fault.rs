//! What can be wrong with Redis, in words for who runs it.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::address::Node;

/// Why Redis did not do what it was asked. It shows no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its name has no address.
    #[error("{node}: the name does not resolve ({why}): is it right in REDIS_HOST or REDIS_URL?")]
    Unresolved {
        /// Where.
        node: String,
        /// The resolver's words.
        why: String,
    },
    /// Nobody answers there.
    #[error("{node}: {why}")]
    Unreachable {
        /// Where.
        node: String,
        /// The system's words.
        why: String,
    },
    /// It is connected, and says nothing.
    #[error("{0}: no answer in time")]
    Silent(String),
    /// It says nothing to one who speaks TLS.
    #[error("{0}: no answer in time: if it has no TLS, write redis:// in REDIS_URL")]
    SilentToTls(String),
    /// It does not let us in.
    #[error(
        "{node}: it does not let us in ({why}): are user and password right in REDIS_URL \
         (redis://USER:PASSWORD@HOST)?"
    )]
    Denied {
        /// Where.
        node: String,
        /// Its words.
        why: String,
    },
    /// The one who answers could not prove that it is the one that was meant, or has no TLS.
    #[error(
        "{node}: no TLS ({why}): if its certificate is your own authority's, name that in \
         redis_ca_file; if it has no TLS, write redis:// in REDIS_URL"
    )]
    Tls {
        /// Where.
        node: String,
        /// What was wrong.
        why: String,
    },
    /// No Sentinel knows where the master is.
    #[error("{0}")]
    NoMaster(String),
    /// It is too old.
    #[error("{node}: this is no Redis 6.2 or newer, and no Valkey ({why})")]
    TooOld {
        /// Where.
        node: String,
        /// What it does not know.
        why: String,
    },
    /// Something else has our key.
    #[error("{node}: a key of ours is something else ({why}): delete it, and all comes back")]
    WrongType {
        /// Where.
        node: String,
        /// Its words.
        why: String,
    },
    /// It answered that it would not.
    #[error("{node}: Redis refuses: {why}")]
    Refused {
        /// Where.
        node: String,
        /// Its words.
        why: String,
    },
}

// === impl Fault ===

impl Fault {
    /// What the client said of a server.
    pub(crate) fn of(node: &str, error: &RedisError) -> Self {
        let node = node.to_owned();
        let why = one_line(error);
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Denied { node, why },
            ErrorKind::RESP3NotSupported => Self::TooOld { node, why },
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Denied { node, why },
            ErrorKind::Server(ServerErrorKind::ReadOnly) => {
                Self::NoMaster(format!("{node}: it is a replica and takes no writes"))
            }
            ErrorKind::Io if error.is_timeout() => Self::Silent(node),
            ErrorKind::Io if is_tls(error) => Self::Tls { node, why },
            ErrorKind::Io => Self::Unreachable { node, why },
            _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => Self::Denied { node, why },
            _ if error.code() == Some("WRONGTYPE") => Self::WrongType { node, why },
            _ if why.contains("unknown command") => Self::TooOld { node, why },
            _ => Self::Refused { node, why },
        }
    }

    /// The same of one that did not let us in, after asking whether it was the name's fault.
    pub(crate) async fn of_connecting(node: &Node, tls: bool, error: &RedisError) -> Self {
        match Self::of(&node.to_string(), error) {
            Self::Silent(node) if tls => Self::SilentToTls(node),
            fault @ Self::Unreachable { .. } => {
                let host = (node.host.as_str(), node.port);
                let unresolved = tokio::net::lookup_host(host).await.err();
                let why = unresolved.map(|error| error.to_string());
                why.map_or(fault, |why| Self::Unresolved { node: node.to_string(), why })
            }
            fault => fault,
        }
    }

    /// Whether it may be better on another connection.
    pub(crate) fn ends_connection(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::WrongType { .. } | Self::Denied { .. })
    }

    /// Which kind it is: what is logged once for each outage.
    pub(crate) fn kind(&self) -> std::mem::Discriminant<Self> {
        std::mem::discriminant(self)
    }
}

/// The client keeps the system's error behind an `Arc`, and that keeps the one of TLS.
fn is_tls(error: &RedisError) -> bool {
    type Kept = Arc<dyn Error + Send + Sync>;
    let kept = error.source().and_then(|source| source.downcast_ref::<Kept>());
    let system = kept.and_then(|kept| kept.downcast_ref::<io::Error>());
    system.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>())
}

/// A server's words may be long, and have what they like in them.
fn one_line(error: &RedisError) -> String {
    let text = error.to_string();
    let shown = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c });
    shown.collect::<String>().trim_end().to_owned()
}
