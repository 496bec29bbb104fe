//! One binary for the relay's tests on real sockets, so that it is linked once.

#[path = "../../../../fuzz/fuzz_targets/checks.rs"]
mod checks;
mod corpus;
mod endings;
mod frames;
mod handover;
mod heads;
mod liveness;
mod passing;
mod random;
mod rig;
mod violations;
mod wire;
