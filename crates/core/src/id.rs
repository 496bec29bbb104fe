//! Names of sessions and workers. Randomness is given, never taken: core has none of its own.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// Names one session, from admission to its end record. Safe in logs and headers: it opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub String);

impl SessionId {
    /// A fresh name from 96 random bits.
    pub fn from_random(bits: [u8; 12]) -> Self {
        Self(hex(&bits))
    }
}

/// Names one worker. Two live workers never share one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub String);

impl WorkerId {
    /// A fresh name from 64 random bits.
    pub fn from_random(bits: [u8; 8]) -> Self {
        Self(hex(&bits))
    }
}

/// Names one life of a worker: a worker that starts again under its old name is another instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instance(pub String);

impl Instance {
    /// A fresh name from 64 random bits.
    pub fn from_random(bits: [u8; 8]) -> Self {
        Self(hex(&bits))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
