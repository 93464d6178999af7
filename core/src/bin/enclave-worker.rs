//! The process in which untrusted script runs under process isolation. A pool starts it; it is of no use by hand.

/// Keeps our own memory out of the ledger of the isolate.
#[global_allocator]
static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;

fn main() {
    enclave_core::worker_main()
}
