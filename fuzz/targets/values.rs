//! Drives the target `values` by libFuzzer.

#![no_main]

#[allow(dead_code, reason = "another target has it")]
#[path = "../c_interface.rs"]
mod c_interface;

libfuzzer_sys::fuzz_target!(|data: &[u8]| c_interface::values(data));
