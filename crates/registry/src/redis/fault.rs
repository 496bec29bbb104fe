//! What can be wrong with Redis, in words for who runs it.

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
    #[error("{0}: this is no Redis 6.2 or newer (or Valkey): it does not know {1}")]
    TooOld(String, &'static str),
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
            ErrorKind::RESP3NotSupported => Self::TooOld(node, "HELLO"),
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Denied { node, why },
            ErrorKind::Io if error.is_timeout() => Self::Silent(node),
            ErrorKind::Io if is_tls(error) => Self::Tls { node, why },
            ErrorKind::Io => Self::Unreachable { node, why },
            _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => Self::Denied { node, why },
            _ => Self::Refused { node, why },
        }
    }

    /// The same, after asking whether it was the name's fault.
    pub(crate) async fn of_connecting(node: &Node, error: &RedisError) -> Self {
        let fault = Self::of(&node.to_string(), error);
        if !matches!(fault, Self::Unreachable { .. }) {
            return fault;
        }
        match tokio::net::lookup_host((node.host.as_str(), node.port)).await {
            Ok(_) => fault,
            Err(why) => Self::Unresolved { node: node.to_string(), why: why.to_string() },
        }
    }

    /// Which kind it is: what is logged once for each outage.
    pub(crate) fn kind(&self) -> std::mem::Discriminant<Self> {
        std::mem::discriminant(self)
    }
}

fn is_tls(error: &RedisError) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<rustls::Error>() {
            return true;
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = error.source();
    }
    false
}

/// A server's words may be long, and have what they like in them.
fn one_line(error: &RedisError) -> String {
    let text = error.to_string();
    let shown = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c });
    shown.collect::<String>().trim_end().to_owned()
}
