//! Compressed messages, malformed and well-formed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc::fuzzing::compression(data));
