//! The HTTP/2 core as a server, whose client sends anything.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc_fuzz::http2::http2_server(data));
