//! Requests to the generator, made of descriptors that the octets choose.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| protoc_gen_rgrpc::fuzzing::request(data));
