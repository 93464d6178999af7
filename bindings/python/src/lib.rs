//! The native half of the Python package `enclave`: the parts that need `enclave-core`, and nothing that Python can do
//! as well.
//!
//! The package's public face is written in Python (`python/enclave`); this module, `enclave._enclave`, is its own.
//!
//! * **Threads of the core never enter Python.** Everything that happens there (an outcome, a tool call, a console
//!   line) goes into `events::Events`, and one Python thread per pool takes it from there. So a worker never waits for
//!   the interpreter's lock, and no thread of ours can hang or crash an interpreter that shuts down.
//! * **No Python object lives in the core.** Callbacks hold numbers (*tokens*), and only Python knows what a token
//!   stands for. So there are no reference cycles through the core, and nothing to release without the lock.
//! * **The interpreter is detached while a call waits**, and the call checks for signals (Ctrl-C) every 50 ms.
//! * Errors become exceptions in one place, `errors`; values are copied in one place, `values`.

mod errors;
mod events;
mod execution;
mod outcome;
mod pool;
mod settings;
mod stats;
mod tables;
mod tool_call;
mod values;

use std::time::Duration;

use enclave_core::{Preset, RecycleReason, Status, TOOL_NAME};
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// How often a call that waits looks for signals.
const SIGNALS: Duration = Duration::from_millis(50);

/// Keeps our own memory out of the workers' ledgers; the engine's is counted through the linker's flags in `build.rs`.
#[global_allocator]
static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;

#[pymodule]
mod _enclave {
    #[pymodule_export]
    use super::errors::write_unraisable;
    #[pymodule_export]
    use super::events::Events;
    #[pymodule_export]
    use super::execution::{Execution, Script};
    #[pymodule_export]
    use super::outcome::Outcome;
    #[pymodule_export]
    use super::pool::Pool;
    #[pymodule_export]
    use super::settings::{limit_names, preset_settings, setting_names};
    #[pymodule_export]
    use super::tool_call::ToolCall;
    #[pymodule_export]
    use super::values::copy;

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        refuse_subinterpreters(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("TOOL_NAME", TOOL_NAME)?;
        module.add("PRESETS", Preset::ALL.map(Preset::name))?;
        module.add("STATUSES", Status::ALL.map(|status| (status.name(), status.code())))?;
        module.add("RECYCLE_REASONS", RecycleReason::ALL.map(RecycleReason::name))
    }
}

/// Python objects that this module keeps would be shared with interpreters that they do not belong to.
fn refuse_subinterpreters(_attached: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread is attached to an interpreter, as the argument proves.
    let id = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    match id {
        0 => Ok(()),
        _ => Err(PyImportError::new_err(
            "enclave cannot be used in a subinterpreter: import it in the main interpreter, or use another process",
        )),
    }
}
