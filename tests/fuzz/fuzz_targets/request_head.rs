//! The header fields of requests.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc::fuzzing::request_head(data));
