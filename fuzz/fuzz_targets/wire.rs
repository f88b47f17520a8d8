#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swoosh_fuzz::bounded(swoosh_fuzz::server::wire, bytes));
