//! Any bytes as a ledger.
#![no_main]

#[allow(dead_code)] // each target has one of them
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::ledger(data));
