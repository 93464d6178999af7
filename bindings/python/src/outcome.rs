//! [`Outcome`].

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::errors::{exception, raise};
use crate::stats;
use crate::values::to_python;

/// How an execution ended.
#[pyclass(frozen, module = "enclave._enclave")]
pub(crate) struct Outcome(Arc<enclave_core::Outcome>);

impl Outcome {
    pub(crate) fn new(outcome: Arc<enclave_core::Outcome>) -> Self {
        Outcome(outcome)
    }
}

#[pymethods]
impl Outcome {
    /// The value; raises if there is none.
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value(py, &self.0)
    }

    /// The exception, or None.
    fn error<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.result.as_ref().err().map(|error| exception(py, error)).transpose()
    }

    /// What it took, by name.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::execution(py, &self.0.stats)
    }

    /// The console lines that were collected.
    fn console<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.console.iter().map(stats::line))
    }
}

/// The value; raises if there is none.
pub(crate) fn value<'py>(py: Python<'py>, outcome: &enclave_core::Outcome) -> PyResult<Bound<'py, PyAny>> {
    match &outcome.result {
        Ok(value) => to_python(py, value),
        Err(error) => Err(raise(py, error)),
    }
}
