//! Where Redis is, and how it lets us in.

use std::fmt;

use flotilla_core::config::{Redis, Secret};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is. It prints without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    pub(crate) kind: Kind,
    /// The server, or those that know the others.
    pub(crate) nodes: Vec<Node>,
    pub(crate) login: Login,
    pub(crate) database: i64,
    pub(crate) tls: Option<Tls>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    /// Sentinels, and what they call the master.
    Sentinels(String),
    Cluster,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<Secret>,
    pub(crate) password: Option<Secret>,
}

/// TLS, and who vouches for the server if public authorities do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) ca: Option<Vec<u8>>,
}

/// Why an address cannot be one. It quotes nothing of the address: a password may be anywhere in
/// one that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// There is none.
    #[error(
        "there is no Redis to find each other in: set REDIS_HOST, or REDIS_URL such as \
         redis://redis:6379/0"
    )]
    Missing,
    /// It begins with none of the schemes.
    #[error(
        "the address of Redis (REDIS_URL) begins with redis://, rediss:// (TLS), \
         redis-sentinel://, rediss-sentinel://, redis-cluster:// or rediss-cluster://, and this \
         one does not"
    )]
    Scheme,
    /// A part of it is not what it should be.
    #[error("the address of Redis (REDIS_URL) is not right: {0}")]
    Part(&'static str),
    /// The file with the certificates is no good.
    #[error("redis_ca_file {path}: {why}")]
    CaFile {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// There are certificates for a connection that needs none.
    #[error(
        "redis_ca_file is for TLS, and the address of Redis is not: write rediss:// in REDIS_URL, \
         or take redis_ca_file away"
    )]
    NeedlessCa,
}

// === impl RedisAddress ===

impl RedisAddress {
    /// The address in the settings, with the certificates that they name.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn parse(settings: &Redis) -> Result<Self, InvalidAddress> {
        let mut address = match (&settings.redis_url, &settings.redis_host) {
            (Some(url), _) => Self::read(url.reveal())?,
            (None, Some(host)) => Self::server(host, settings.redis_port),
            (None, None) => return Err(InvalidAddress::Missing),
        };
        if let Some(path) = &settings.redis_ca_file {
            let tls = address.tls.as_mut().ok_or(InvalidAddress::NeedlessCa)?;
            tls.ca = Some(certificates(path)?);
        }
        Ok(address)
    }

    fn server(host: &str, port: u16) -> Self {
        Self {
            kind: Kind::Single,
            nodes: vec![Node { host: bare(host).to_owned(), port }],
            login: Login::default(),
            database: 0,
            tls: None,
        }
    }

    fn read(url: &str) -> Result<Self, InvalidAddress> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(InvalidAddress::Scheme)?;
        let (tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (Some(Tls::default()), kind),
            None => (None, scheme.strip_prefix("redis").ok_or(InvalidAddress::Scheme)?),
        };
        if rest.contains(['?', '#']) {
            return Err(part(
                "nothing follows the database: no ? and no #; in a password they are %3F and %23",
            ));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('@') {
            return Err(part("a / in a password is written %2F"));
        }
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (kind, database, port) = match kind {
            "" => (Kind::Single, path, PORT),
            "-sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                (Kind::Sentinels(master_name(master)?), database, SENTINEL_PORT)
            }
            "-cluster" => (Kind::Cluster, path, PORT),
            _ => return Err(InvalidAddress::Scheme),
        };
        let address = Self {
            nodes: hosts.split(',').map(|host| node(host, port)).collect::<Result<_, _>>()?,
            login: Login::read(login)?,
            database: number_of_database(database)?,
            kind,
            tls,
        };
        address.check()
    }

    fn check(self) -> Result<Self, InvalidAddress> {
        match self.kind {
            Kind::Single if self.nodes.len() > 1 => Err(part(
                "redis:// is one server: write redis-sentinel:// or redis-cluster:// for several",
            )),
            Kind::Cluster if self.database != 0 => Err(part("a cluster has no database but 0")),
            _ => Ok(self),
        }
    }
}

impl Login {
    fn read(text: &str) -> Result<Self, InvalidAddress> {
        let secret = |text: &str| match text {
            "" => Ok(None),
            text => decode(text).map(|text| Some(Secret::new(text))),
        };
        match text.split_once(':') {
            Some((_, password)) if password.contains(':') => {
                Err(part("a : in a user or a password is written %3A"))
            }
            Some((user, password)) => Ok(Self { user: secret(user)?, password: secret(password)? }),
            // Without a colon it is a password: a user alone could not come in.
            None => Ok(Self { user: None, password: secret(text)? }),
        }
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes.iter().map(Node::to_string).collect();
        let nodes = nodes.join(",");
        match &self.kind {
            Kind::Single => f.write_str(&nodes),
            Kind::Sentinels(master) => write!(f, "{master} of the Sentinels {nodes}"),
            Kind::Cluster => write!(f, "the cluster of {nodes}"),
        }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({self})")
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn part(why: &'static str) -> InvalidAddress {
    InvalidAddress::Part(why)
}

fn node(text: &str, port: u16) -> Result<Node, InvalidAddress> {
    let (host, after) = match text.strip_prefix('[') {
        Some(text) => text.split_once(']').ok_or(part("an IPv6 address ends with ]"))?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(fits) {
        return Err(part(
            "between the user and the path there are hosts, HOST or HOST:PORT, with commas \
             between them; an @ in a password is written %40",
        ));
    }
    let port = match after.strip_prefix(':') {
        None if after.is_empty() => port,
        Some(number) => number.parse().ok().filter(|port| *port > 0).ok_or(WRONG_PORT)?,
        None => return Err(WRONG_PORT),
    };
    Ok(Node { host: host.to_owned(), port })
}

const WRONG_PORT: InvalidAddress = InvalidAddress::Part(
    "what follows a host and a : is its port, a number from 1 to 65535. If it is meant to be a \
     password, an @ and the host are missing",
);

fn master_name(text: &str) -> Result<String, InvalidAddress> {
    match decode(text)? {
        name if name.is_empty() => Err(part(
            "the Sentinels must be told which master: redis-sentinel://HOST:PORT,HOST:PORT/NAME",
        )),
        name => Ok(name),
    }
}

fn number_of_database(text: &str) -> Result<i64, InvalidAddress> {
    match text {
        "" => Ok(0),
        text => text
            .parse()
            .ok()
            .filter(|number| (0..1_000_000).contains(number))
            .ok_or(part("what follows the last / is the number of a database, such as 0")),
    }
}

/// `%40` and the like become what they stand for.
fn decode(text: &str) -> Result<String, InvalidAddress> {
    let wrong = || part("a % is followed by two hexadecimal digits; a % itself is written %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits =
            rest.get(..2).and_then(|two| std::str::from_utf8(two).ok()).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn certificates(path: &str) -> Result<Vec<u8>, InvalidAddress> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let wrong = |why: String| InvalidAddress::CaFile { path: path.to_owned(), why };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(wrong("there is no certificate (PEM) in it".to_owned())),
        Ok(_) => Ok(pem),
        Err(error) => Err(wrong(format!("it is not PEM: {error}"))),
    }
}

#[cfg(test)]
mod tests;
