//! The HTTP/2 core against itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc_fuzz::http2::http2_pair(data));
