//! Who is out there: in the process itself, or in Redis.

mod in_process;
pub mod redis;
mod shared;

pub use in_process::InProcess;
pub use shared::SharedView;
