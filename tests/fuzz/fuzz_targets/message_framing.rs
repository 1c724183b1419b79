//! Messages in DATA of any split.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rgrpc::fuzzing::message_framing(data));
