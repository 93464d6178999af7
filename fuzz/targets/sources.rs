//! Drives the target `sources` by libFuzzer.

#![no_main]

#[global_allocator]
static ALLOCATOR: enclave_core::fuzzing::CountingAllocator = enclave_core::fuzzing::CountingAllocator;

libfuzzer_sys::fuzz_target!(|data: &[u8]| enclave_core::fuzzing::sources(data));
