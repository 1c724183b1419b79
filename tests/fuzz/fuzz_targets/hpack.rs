//! Header blocks, decoded and encoded.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc::fuzzing::hpack(data));
