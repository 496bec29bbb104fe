//! Words and decisions of the grid: no sockets, files, processes or wall clock.

pub mod browser;
pub mod launcher;
pub mod status;
pub mod version;

pub use browser::BrowserKind;
pub use version::PlaywrightVersion;
