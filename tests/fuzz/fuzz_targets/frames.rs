//! Frames of HTTP/2.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc_fuzz::http2::frames(data));
