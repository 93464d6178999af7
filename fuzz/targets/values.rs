#![no_main]

#[path = "../c_interface.rs"]
mod c_interface;

libfuzzer_sys::fuzz_target!(|data: &[u8]| c_interface::values(data));
