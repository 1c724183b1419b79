//! The HTTP/2 core against itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc::fuzzing::http2_pair(data));
