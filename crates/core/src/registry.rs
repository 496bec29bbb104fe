//! The ports through which workers and gateways find each other.

use std::sync::Arc;

use crate::fleet::Fleet;
use crate::id::WorkerId;
use crate::pool::Moment;
use crate::refusal::Served;
use crate::status::RegistryStatus;
use crate::view::View;

/// Who is out there. Soft state: it may be old, and the worker's own word wins.
pub trait Registry: Send + Sync + 'static {
    /// Looks at the workers that may be chosen now. Never waits for anything far away.
    fn look<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T;

    /// The worker to offer a session to; see [`Fleet::claim`].
    fn claim(&self, served: Served) -> Option<WorkerId>;

    /// Every browser and version that is offered, in order, whether or not a slot can be had now.
    fn offered(&self) -> Vec<Served>;

    /// The worker has answered; see [`Fleet::settle`].
    fn settle(&self, id: &WorkerId);

    /// The worker could not launch this browser. `true` when other workers may.
    fn ailing(&self, id: &WorkerId, served: Served, wait: std::time::Duration) -> bool;

    /// How the registry itself is.
    fn status(&self) -> RegistryStatus;
}

/// A registry of workers that are reached over the network.
pub trait Directory: Registry {
    /// Acts on the view, with the time on the view's clock. Everybody who waits for a change of
    /// the fleet is woken.
    fn view<T>(&self, act: impl FnOnce(&mut View, Moment) -> T) -> T;

    /// The same, and nobody is woken: for those who would wake themselves.
    fn quietly<T>(&self, act: impl FnOnce(&mut View, Moment) -> T) -> T;
}

impl<R: Registry> Registry for Arc<R> {
    fn look<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T {
        (**self).look(look)
    }

    fn claim(&self, served: Served) -> Option<WorkerId> {
        (**self).claim(served)
    }

    fn offered(&self) -> Vec<Served> {
        (**self).offered()
    }

    fn settle(&self, id: &WorkerId) {
        (**self).settle(id);
    }

    fn ailing(&self, id: &WorkerId, served: Served, wait: std::time::Duration) -> bool {
        (**self).ailing(id, served, wait)
    }

    fn status(&self) -> RegistryStatus {
        (**self).status()
    }
}

impl<D: Directory> Directory for Arc<D> {
    fn view<T>(&self, act: impl FnOnce(&mut View, Moment) -> T) -> T {
        (**self).view(act)
    }

    fn quietly<T>(&self, act: impl FnOnce(&mut View, Moment) -> T) -> T {
        (**self).quietly(act)
    }
}
