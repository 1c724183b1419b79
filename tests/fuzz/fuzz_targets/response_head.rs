//! The header fields and the trailers of responses.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc::fuzzing::response_head(data));
