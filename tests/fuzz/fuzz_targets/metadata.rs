//! Metadata and status texts off the wire.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc::fuzzing::metadata(data));
