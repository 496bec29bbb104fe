//! Words and decisions of the grid: no sockets, files, processes or wall clock.

pub mod advert;
pub mod attempt;
pub mod board;
pub mod book;
pub mod browser;
pub mod cadence;
pub mod call;
pub mod claims;
pub mod config;
pub mod ending;
pub mod fleet;
pub mod goodbye;
pub mod id;
pub mod keyring;
pub mod launch_options;
pub mod launcher;
pub mod metrics;
#[cfg(not(feature = "mutants"))]
mod mutant;
#[cfg(feature = "mutants")]
pub mod mutant;
pub mod once;
pub mod operator;
pub mod order;
pub mod pool;
pub mod proof;
pub mod queue;
pub mod refusal;
pub mod registry;
pub mod rollout;
pub mod scale;
pub mod status;
pub mod ticket;
pub mod turns;
pub mod version;
pub mod view;
pub mod wanted;
pub mod wire;

pub use advert::Advert;
pub use browser::BrowserKind;
pub use id::{Instance, SessionId, WorkerId};
pub use refusal::Refusal;
pub use version::PlaywrightVersion;
