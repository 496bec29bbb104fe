//! Words and decisions of the grid: no sockets, files, processes or wall clock.

pub mod browser;
pub mod config;
pub mod ending;
pub mod fleet;
pub mod id;
pub mod launch_options;
pub mod launcher;
pub mod metrics;
pub mod pool;
pub mod queue;
pub mod refusal;
pub mod registry;
pub mod status;
pub mod version;
pub mod wanted;

pub use browser::BrowserKind;
pub use id::{SessionId, WorkerId};
pub use refusal::Refusal;
pub use version::PlaywrightVersion;
