//! A grid on one machine: the binary as `flotilla up`.

use crate::role::{Role, RoleBuilder};

pub use crate::role::{ORPHANS_GONE, status_of};

/// A running grid. Ended when dropped; [`Grid::stop_and_check`] is how a test ends it.
pub type Grid = Role;

/// How to start a grid.
pub type GridBuilder = RoleBuilder;

impl Grid {
    /// A grid of that binary: `env!("CARGO_BIN_EXE_flotilla")`.
    pub fn of(binary: &str) -> GridBuilder {
        RoleBuilder::new(binary, "up")
    }
}
