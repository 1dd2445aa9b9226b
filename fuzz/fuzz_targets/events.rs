//! Any bytes as the events of a run.
#![no_main]

#[allow(dead_code)] // each target has one of them
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::events(data));
