//! Versions: of this header, as macros, and of the loaded library, as functions.

use std::ffi::{CStr, c_char};

use crate::boundary::guard;

/// Version of this header, first part: grows with changes that break callers.
pub const ENCLAVE_VERSION_MAJOR: u32 = 0;
/// Second part: grows with additions; while the first part is 0, also with changes that break callers.
pub const ENCLAVE_VERSION_MINOR: u32 = 1;
/// Third part: grows with corrections.
pub const ENCLAVE_VERSION_PATCH: u32 = 0;
/// Version of this header as one number: `major * 1000000 + minor * 1000 + patch`.
pub const ENCLAVE_VERSION_NUMBER: u32 = 1000;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version holds no NUL"),
};

// cbindgen writes literals only, so the numbers stand above and are held to the crate's version here.
const _: () = {
    assert!(ENCLAVE_VERSION_MAJOR == number(env!("CARGO_PKG_VERSION_MAJOR")));
    assert!(ENCLAVE_VERSION_MINOR == number(env!("CARGO_PKG_VERSION_MINOR")));
    assert!(ENCLAVE_VERSION_PATCH == number(env!("CARGO_PKG_VERSION_PATCH")));
    let number = ENCLAVE_VERSION_MAJOR * 1_000_000 + ENCLAVE_VERSION_MINOR * 1000 + ENCLAVE_VERSION_PATCH;
    assert!(ENCLAVE_VERSION_NUMBER == number);
};

const fn number(digits: &str) -> u32 {
    let (mut number, mut at) = (0, 0);
    while at < digits.len() {
        number = number * 10 + (digits.as_bytes()[at] - b'0') as u32;
        at += 1;
    }
    number
}

/// The version of the loaded library, such as `"0.1.0"`; never freed.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_version() -> *const c_char {
    guard(std::ptr::null(), || VERSION.as_ptr())
}

/// The version of the loaded library as a number. It works with this header if it is at least
/// `ENCLAVE_VERSION_NUMBER` and has the same first part (while that is 0: the same first two parts).
#[unsafe(no_mangle)]
pub extern "C" fn enclave_version_number() -> u32 {
    guard(0, || ENCLAVE_VERSION_NUMBER)
}
