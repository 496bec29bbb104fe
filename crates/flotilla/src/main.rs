//! The `flotilla` binary: the command line, and the roles put together.

fn main() {}
