//! Alone in its process, because it looks at the memory, threads and files of all of it.

// Loom's models need no engine.
#![cfg(not(loom))]

use enclave_core::HostAllocator;

#[path = "soak/mod.rs"]
mod soak;

#[global_allocator]
static ALLOCATOR: HostAllocator = HostAllocator;

#[test]
fn nothing_grows_over_many_executions_some_of_them_hostile() {
    soak::soak(5_000);
}
