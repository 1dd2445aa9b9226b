//! Any bytes as the output of pg_waldump.
#![no_main]

#[allow(dead_code)] // each target has one of them
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::waldump(data));
