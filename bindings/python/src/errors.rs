//! Errors of the core as exceptions, which Python declares (`enclave/_errors.py`): one class per status.

use enclave_core::Error;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// Reports an exception that nobody can catch through `sys.unraisablehook`. It never raises, whatever the hook does.
#[pyfunction]
pub(crate) fn write_unraisable(error: Bound<'_, PyAny>, what: &Bound<'_, PyAny>) {
    let py = error.py();
    PyErr::from_value(error).write_unraisable(py, Some(what));
}

/// An error as an exception, to be raised.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).map_or_else(|failure| failure, PyErr::from_value)
}

/// An error as an exception object.
pub(crate) fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    match error {
        Error::InvalidArgument { field, .. } | Error::Unsupported { feature: field, .. } => {
            fields.set_item("field", field)?;
        }
        Error::Syntax(script) | Error::Exception(script) => {
            fields.set_item("name", &script.name)?;
            fields.set_item("message", &script.message)?;
            fields.set_item("code", &script.code)?;
            fields.set_item("stack", &script.stack)?;
            fields.set_item("filename", &script.filename)?;
            fields.set_item("line", (script.line > 0).then_some(script.line))?;
            fields.set_item("column", (script.column > 0).then_some(script.column))?;
            fields.set_item("source_line", &script.source_line)?;
        }
        Error::ResultNotTransferable { path, .. } => fields.set_item("path", path)?,
        Error::Timeout { limit } | Error::CpuLimit { limit } => fields.set_item("limit", limit.as_secs_f64())?,
        Error::MemoryLimit { used, limit } => {
            fields.set_item("used_bytes", used)?;
            fields.set_item("limit", limit)?;
        }
        Error::ConsoleLimit { limit, unit } | Error::ToolCallLimit { limit, unit, .. } => {
            fields.set_item("limit", limit)?;
            fields.set_item("unit", unit.to_string())?;
        }
        Error::MessageFlood { limit } => fields.set_item("limit", limit)?,
        Error::MessageTooLarge { what, limit } => {
            fields.set_item("what", what.to_string())?;
            fields.set_item("limit", limit)?;
        }
        Error::QueueFull { queue_size, retry_after } => {
            fields.set_item("queue_size", queue_size)?;
            fields.set_item("retry_after", retry_after.as_secs_f64())?;
        }
        Error::QueueTimeout { waited } => fields.set_item("waited", waited.as_secs_f64())?,
        Error::WorkerCrashed { signal, .. } => fields.set_item("signal", signal)?,
        _ => {}
    }
    make(py)?.call1((error.status().code(), error.to_string(), fields))
}

/// Whether this is INVALID_ARGUMENT.
pub(crate) fn is_wrong_argument(py: Python<'_>, error: &PyErr) -> bool {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS
        .get_or_try_init(py, || PyResult::Ok(py.import("enclave._errors")?.getattr("InvalidArgumentError")?.unbind()));
    class.is_ok_and(|class| error.matches(py, class.bind(py)).unwrap_or(false))
}

/// An argument of a wrong type: INVALID_ARGUMENT as a `TypeError`.
pub(crate) fn wrong_type(py: Python<'_>, field: &str, problem: &str) -> PyErr {
    let build = || {
        static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let class = CLASS.get_or_try_init(py, || {
            PyResult::Ok(py.import("enclave._errors")?.getattr("InvalidTypeError")?.unbind())
        })?;
        let fields = PyDict::new(py);
        fields.set_item("field", field)?;
        class.bind(py).call((format!("{field} {problem}"),), Some(&fields))
    };
    build().map_or_else(|failure| failure, PyErr::from_value)
}

/// An argument of a right type with a wrong value: INVALID_ARGUMENT.
pub(crate) fn wrong_value(py: Python<'_>, field: &str, problem: String) -> PyErr {
    raise(py, &Error::invalid_argument(field, problem))
}

/// What a panic in one of our threads becomes.
pub(crate) fn lost(what: &str) -> PyErr {
    PyRuntimeError::new_err(format!("internal error in enclave, please report it: {what}"))
}

fn make(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    MAKE.get_or_try_init(py, || Ok(py.import("enclave._errors")?.getattr("make_error")?.unbind()))
        .map(|make| make.bind(py))
}
