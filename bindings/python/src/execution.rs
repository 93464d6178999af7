//! [`Script`] and [`Execution`].

use std::sync::Arc;

use pyo3::prelude::*;

use crate::SIGNALS;
use crate::errors::raise;
use crate::outcome::Outcome;

/// A compiled source.
#[pyclass(frozen, module = "enclave._enclave")]
pub(crate) struct Script(pub(crate) enclave_core::Script);

/// A submitted execution.
#[pyclass(frozen, module = "enclave._enclave")]
pub(crate) struct Execution(pub(crate) enclave_core::Execution);

#[pymethods]
impl Execution {
    /// Its number, unique in its pool.
    #[getter]
    fn id(&self) -> u64 {
        self.0.id()
    }

    /// Waits for the outcome. An interrupt (Ctrl-C) cancels the execution.
    fn wait(&self, py: Python<'_>) -> PyResult<Outcome> {
        wait(py, &self.0).map(Outcome::new)
    }

    /// Ends it as CANCELLED, unless it has ended.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.0.cancel().map_err(|error| raise(py, &error))
    }
}

/// Waits for an outcome with the interpreter detached; an interrupt cancels the execution.
pub(crate) fn wait(py: Python<'_>, execution: &enclave_core::Execution) -> PyResult<Arc<enclave_core::Outcome>> {
    loop {
        let waited = py.detach(|| execution.wait_timeout(SIGNALS)).map_err(|error| raise(py, &error))?;
        if let Some(outcome) = waited {
            return Ok(outcome);
        }
        py.check_signals().inspect_err(|_| {
            let _ = execution.cancel();
        })?;
    }
}
