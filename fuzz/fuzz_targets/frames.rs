//! Frames in slices, against the reference decoder.
#![no_main]
#![allow(dead_code, reason = "the checks serve two targets")]

mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check_frames(data));
