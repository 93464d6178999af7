//! [`enclave_script_t`]: a compiled source.

use enclave_core::Script;

use crate::boundary::guard;

/// A source that `enclave_pool_compile` has compiled, to run any number of times. Each worker that runs it compiles it
/// once, and keeps the result as far as there is room (a 32nd of its memory limit for all that it keeps). Owned by the
/// caller. It never changes, several threads and any pool may use it, and it may outlive the pool that compiled it.
pub struct enclave_script_t(pub(crate) Script);

/// Frees a script; NULL is fine. Executions submitted with it keep what they need.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_script_free(script: Option<Box<enclave_script_t>>) {
    guard((), || drop(script))
}
