//! What a client wants, read from its handshake.

use std::borrow::Cow;

use crate::browser::BrowserKind;
use crate::launch_options::{LaunchOptions, LaunchPolicy};
use crate::refusal::Refusal;
use crate::version::PlaywrightVersion;

/// How far a session is kept from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// A browser shared with sessions of the same tenant only.
    #[default]
    Tenant,
    /// A browser of one's own, discarded after.
    Session,
}

impl Isolation {
    /// The name in queries, configuration and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Session => "session",
        }
    }
}

/// What a session is to be, as its client said it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Which browser.
    pub browser: BrowserKind,
    /// Which Playwright; `None` when the client did not say in a shape that is known.
    pub version: Option<PlaywrightVersion>,
    /// Shared or of its own. Launch options and `exposeNetwork` imply one of its own.
    pub isolation: Isolation,
    /// What must differ from a warm browser.
    pub launch_options: LaunchOptions,
    /// The pattern of `exposeNetwork`, when the client uses it.
    pub expose_network: Option<String>,
    /// Whether it is to be sent to its worker, where that one can be reached.
    pub direct: bool,
}

/// What applies where the client says nothing, and what it may say.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// `DEFAULT_BROWSER_TYPE`.
    pub browser: BrowserKind,
    /// The isolation of sessions that do not choose.
    pub isolation: Isolation,
    /// What launch options may ask for.
    pub launch: LaunchPolicy,
    /// Whether `exposeNetwork` is allowed.
    pub expose_network: bool,
    /// Whether clients that can follow are sent to their workers.
    pub redirect: bool,
}

/// A handshake as far as `Wanted` reads it. Header names are matched without regard to case.
pub trait Handshake {
    /// The request target, with its query.
    fn target(&self) -> &str;
    /// The first header of that name.
    fn header(&self, name: &str) -> Option<&str>;
}

impl Wanted {
    /// Reads what the client wants.
    ///
    /// # Errors
    /// A [`Refusal`] in words for the person who wrote the client.
    pub fn read(handshake: &impl Handshake, defaults: &Defaults) -> Result<Self, Refusal> {
        let target = handshake.target();
        let browser = match query(target, "browser") {
            Some(name) => Some(name),
            None => handshake.header("x-playwright-browser").map(Cow::Borrowed),
        };
        let browser = match browser.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => name.parse().map_err(|_| Refusal::unknown_browser(name))?,
            None => defaults.browser,
        };
        let options = match query(target, "launch-options") {
            Some(json) => Some(json),
            None => handshake.header("x-playwright-launch-options").map(Cow::Borrowed),
        };
        let version = handshake.header("user-agent").and_then(PlaywrightVersion::from_user_agent);
        Ok(Self {
            browser,
            version,
            isolation: isolation(target, defaults)?,
            launch_options: defaults.launch.reduce(options.as_deref().unwrap_or_default())?,
            expose_network: expose_network(handshake, defaults)?,
            direct: direct(target, version, defaults)?,
        })
    }

    /// True when no shared browser will do.
    pub fn needs_own_browser(&self) -> bool {
        self.isolation == Isolation::Session || self.needs_own_launch()
    }

    /// True when no browser that already runs will do.
    pub fn needs_own_launch(&self) -> bool {
        !self.launch_options.is_empty() || self.expose_network.is_some()
    }
}

fn isolation(target: &str, defaults: &Defaults) -> Result<Isolation, Refusal> {
    match query(target, "isolation").as_deref() {
        None | Some("") => Ok(defaults.isolation),
        Some("tenant") => Ok(Isolation::Tenant),
        Some("session") => Ok(Isolation::Session),
        Some(other) => Err(Refusal::bad_request(format!(
            "isolation={other} is unknown: write isolation=tenant (a browser shared with your \
             own sessions) or isolation=session (a browser of your own)"
        ))),
    }
}

/// Playwright's clients follow one redirect of their handshake, in every version that a grid can
/// serve. What others do is not known: they are sent on only when they ask for it.
fn direct(
    target: &str,
    version: Option<PlaywrightVersion>,
    defaults: &Defaults,
) -> Result<bool, Refusal> {
    match query(target, "route").as_deref() {
        None | Some("") => Ok(defaults.redirect && version.is_some()),
        Some("direct") => Ok(true),
        Some("relay") => Ok(false),
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            Err(Refusal::bad_request(format!(
                "route={other} is unknown: write route=direct (this client connects to the worker \
                 itself, where it can be reached) or route=relay (through this address)"
            )))
        }
    }
}

/// Every client sends `x-playwright-proxy`; it is empty unless `exposeNetwork` is used.
fn expose_network(
    handshake: &impl Handshake,
    defaults: &Defaults,
) -> Result<Option<String>, Refusal> {
    let pattern = handshake.header("x-playwright-proxy").unwrap_or_default().trim();
    if pattern.is_empty() {
        return Ok(None);
    }
    if !defaults.expose_network {
        return Err(Refusal::not_allowed(
            "exposeNetwork is not allowed on this grid: connect without it, or ask the operator \
             to set FLOTILLA_EXPOSE_NETWORK=true",
        ));
    }
    Ok(Some(pattern.to_owned()))
}

/// The first value of `name` in the target's query, percent-decoded. Bytes that are not UTF-8
/// are replaced: no name that we know has any.
pub fn query<'a>(target: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (_, query) = target.split_once('?')?;
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value))
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(match (escaped, bytes[at]) {
            (Some(byte), _) => byte,
            (None, b'+') => b' ',
            (None, byte) => byte,
        });
        at += if escaped.is_some() { 3 } else { 1 };
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests;
