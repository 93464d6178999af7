//! [`enclave_script_t`]: a compiled source.

use enclave_core::Script;

use crate::boundary::guard;

/// A source that was compiled by `enclave_pool_compile`, to be run any number of times: each worker that runs it compiles
/// it once, and keeps what it made as far as there is place (a 32nd of its memory limit for all that it keeps). Owned by
/// the caller; it never changes, may be used from several threads at once and by any pool, and may outlive the one that
/// compiled it.
pub struct enclave_script_t(pub(crate) Script);

/// Frees a script; NULL is fine. Executions submitted with it keep what they need.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_script_free(script: Option<Box<enclave_script_t>>) {
    guard((), || drop(script))
}
