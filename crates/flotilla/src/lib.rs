//! The commands, and the roles put together. The only room that names concrete backends.

pub mod commands;
pub mod exec;
pub mod grid;
pub mod local;
pub mod logging;
pub mod operator;
mod parts;
pub mod printer;
pub mod probe;
pub mod roles;
pub mod roll;
