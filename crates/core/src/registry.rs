//! The port through which workers and gateways find each other.

use crate::fleet::{Advert, Fleet};

/// Who is out there. Soft state: it may be old, and the worker's own word wins.
pub trait Registry: Send + Sync + 'static {
    /// Says what a worker says of itself. Gateways see it as soon as the registry can tell them.
    fn publish(&self, advert: Advert);

    /// Looks at the fleet as it is known now. Never waits for anything far away.
    fn look<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T;
}
