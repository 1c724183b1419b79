//! Header blocks, decoded and encoded.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc_fuzz::http2::hpack(data));
