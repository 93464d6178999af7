//! The library through its public API, with the engine: one program, as each that links the engine takes long to link.
//! What looks at the whole of its process, or kills what belongs to it, is a program of its own beside this one.

// Loom's models need no engine.
#![cfg(not(loom))]

mod common;
mod console_and_web;
mod edges;
mod engine;
mod limits;
mod process;
mod scripts;
mod starting;

// The debug engine is for what scripts do, and too slow for sweeps.
#[cfg(not(feature = "debug-engine"))]
mod exhaustion;
#[cfg(not(feature = "debug-engine"))]
mod hosts;
#[cfg(not(feature = "debug-engine"))]
mod pressure;

#[global_allocator]
static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;
