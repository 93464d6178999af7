//! `make soak` runs a million executions, every twentieth of them hostile, and fails if memory, threads or files grow;
//! `make soak N=100000` runs fewer.

use enclave_core::HostAllocator;

#[path = "../tests/soak/mod.rs"]
mod soak;

#[global_allocator]
static ALLOCATOR: HostAllocator = HostAllocator;

fn main() {
    // Cargo adds arguments of its own.
    let count = std::env::args().find_map(|argument| argument.parse().ok());
    soak::soak(count.unwrap_or(1_000_000));
}
