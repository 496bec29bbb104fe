//! Heads of requests and responses, whole and in slices.
#![no_main]
#![allow(dead_code, reason = "the checks serve two targets")]

mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check_head(data));
