//! `grpc-timeout`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc::fuzzing::timeout(data));
