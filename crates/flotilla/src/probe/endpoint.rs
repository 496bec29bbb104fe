//! Where a grid is: the address that people write.

use std::fmt;
use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;

/// A grid's address: `ws://host:port/path?query`, or the same with `http://`.
///
/// Shown without its query, where tokens are.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    path: String,
    query: Option<String>,
    /// True for `http://`: a client then asks for the WebSocket's path first.
    discover: bool,
}

impl Endpoint {
    /// The host as a resolver wants it: an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// The port, 80 where none was written.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, as in a `Host` header.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The target of a request for `name` beneath this address, such as `status.json`. The query
    /// goes along, for the token that may be in it.
    pub fn beneath(&self, name: &str) -> String {
        self.with_query(&format!("{}/{name}", self.path.trim_end_matches('/')))
    }

    /// The target of the WebSocket's own request.
    pub(super) fn target(&self) -> String {
        self.with_query(&self.path)
    }

    /// Whether the WebSocket's path is to be asked for first.
    pub(super) const fn discover(&self) -> bool {
        self.discover
    }

    /// The address beneath which a grid said that its WebSocket is.
    pub(super) fn at(&self, ws_path: &str) -> Self {
        let path = format!("{}{ws_path}", self.path.trim_end_matches('/'));
        Self {
            path: if path.is_empty() { "/".into() } else { path },
            discover: false,
            ..self.clone()
        }
    }

    fn with_query(&self, path: &str) -> String {
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.trim().parse().map_err(|_| InvalidEndpoint::Syntax)?;
        let discover = match uri.scheme_str() {
            Some("ws") => false,
            Some("http") => true,
            Some("wss" | "https") => return Err(InvalidEndpoint::Tls),
            _ => return Err(InvalidEndpoint::Scheme),
        };
        let host = uri.host().filter(|h| !h.is_empty());
        let authority = uri.authority().map_or("", |a| a.as_str());
        // A port that is no number would otherwise read as "none written".
        let port_written = authority.rsplit(']').next().is_some_and(|a| a.contains(':'));
        if port_written && uri.port_u16().is_none() {
            return Err(InvalidEndpoint::Syntax);
        }
        Ok(Self {
            host: host.ok_or(InvalidEndpoint::Syntax)?.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            path: uri.path().to_owned(),
            query: uri.query().map(ToOwned::to_owned),
            discover,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.discover { "http" } else { "ws" };
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// Why a text is no address of a grid. The text itself is not repeated: a token may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// Not a URL with a host.
    #[error("the endpoint is not a URL: write it as ws://host:port or http://host:port")]
    Syntax,
    /// No scheme, or one that no grid speaks.
    #[error("the endpoint must begin with ws:// or http://, such as ws://127.0.0.1:8080")]
    Scheme,
    /// `wss://` or `https://`.
    #[error(
        "wss:// and https:// cannot be asked by this command yet: give the grid's own ws:// address behind the TLS"
    )]
    Tls,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let plain = parse("ws://localhost:8080");
        assert_eq!((plain.host(), plain.port()), ("localhost", 8080));
        assert_eq!(plain.target(), "/");
        assert_eq!(plain.beneath("status.json"), "/status.json");
        let v6 = parse("http://[::1]/grid/?token=k");
        assert_eq!((v6.host(), v6.port()), ("::1", 80));
        assert_eq!(v6.authority(), "[::1]:80");
        assert_eq!(v6.beneath("json"), "/grid/json?token=k");
        assert_eq!(v6.at("/x").target(), "/grid/x?token=k");
        assert_eq!(parse("http://h:1").at("").target(), "/");
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        use InvalidEndpoint::{Scheme, Syntax, Tls};
        for (text, why) in [
            ("", Syntax),
            ("8080", Scheme),
            ("localhost:8080", Scheme),
            ("ftp://h", Scheme),
            ("ws://", Syntax),
            ("ws://h:port", Syntax),
            ("ws://h:99999", Syntax),
            ("wss://h", Tls),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let endpoint = parse("ws://h:1/p?token=secret");
        assert_eq!(endpoint.to_string(), "ws://h:1/p");
        assert!(!format!("{endpoint:?}").contains("secret"));
    }
}
