//! The C ABI of enclave: boundary only, behaviour lives in `enclave-core`.
//!
//! A file is a section of `include/enclave.h`, which cbindgen writes from this crate; what a C caller has to know is
//! said there and in the documentation of each function. What holds on this side:
//!
//! * **Ownership is in the signature.** `Option<Box<T>>` takes, `Option<&T>` borrows, `Option<&mut T>` borrows alone,
//!   `Option<&mut MaybeUninit<T>>` is a place to write to, which may hold anything; NULL is `None` of each. A function
//!   is `unsafe` only where its signature cannot say all: text as pointer and length, and callbacks.
//! * **No panic gets out**: every body runs inside `boundary::guard` or `attempt::attempt`.
//! * **Nothing is global**, nor thread-local: a thread may make one call and another the next.
//! * **A callback is a function, its data and a finalizer**: `callback::Context` owns the last two and runs the
//!   finalizer when the last user is gone, which is also what happens when a registration fails.

#![allow(non_camel_case_types, reason = "types have their C names, so that the header needs no renaming")]
#![allow(clippy::missing_safety_doc, reason = "the header's first page is the contract of all unsafe functions")]

mod attempt;
mod boundary;
mod pinned;
mod units;

// The sections of the header, in its order (the empty lines keep it).
pub mod version;

pub mod status;

pub mod error;

pub mod text;

pub mod value;

pub mod script;

pub mod setting;

pub mod callback;

pub mod config;

pub mod options;

pub mod pool;

pub mod execution;

pub mod outcome;

pub mod tool;

pub mod console;

pub mod stats;

/// Keeps our own memory out of the workers' ledgers; the engine's is counted through the linker's flags in `build.rs`.
#[global_allocator]
static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;

#[cfg(test)]
mod tests;
