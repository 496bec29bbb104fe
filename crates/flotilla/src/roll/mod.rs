//! Rolling updates: what `core::rollout` decides, done to real workers and gateways and measured
//! from where clients are.

mod census;
mod command;
mod connects;
mod door;
mod driver;
mod event;
mod gateways;
mod hands;
mod verdict;
mod workers;

pub(crate) use census::Census;
pub use census::Counted;
pub use command::CommandPlatform;
pub use connects::Connected;
pub(crate) use connects::Connects;
pub use driver::{Driver, Watcher, Wish};
pub use event::Event;
pub use gateways::GatewayHands;
pub use hands::Hands;
pub(crate) use verdict::Promise;
pub use verdict::{Lowest, Verdict};
pub(crate) use workers::now;
pub use workers::{Target as WorkerTarget, WorkerHands};
