//! The library through its public API, with the engine: one program, as each that links the engine takes long to link.
//! What looks at the whole of its process, or kills what belongs to it, is a program of its own beside this one.

// Loom's models need no engine.
#![cfg(not(loom))]

mod common;
mod console_and_web;
mod engine;
mod limits;
mod process;
mod scripts;

#[global_allocator]
static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;
