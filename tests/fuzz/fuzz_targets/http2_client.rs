//! The HTTP/2 core as a client, whose server sends anything.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc_fuzz::http2::http2_client(data));
