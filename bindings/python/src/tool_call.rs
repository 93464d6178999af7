//! [`ToolCall`].

use std::sync::{Mutex, PoisonError};

use enclave_core::{ToolError, ToolReply, Value};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::values::{from_python, text_of, to_python};

/// A tool call that waits for its answer. One that is dropped without is rejected.
#[pyclass(frozen, module = "enclave._enclave")]
pub(crate) struct ToolCall {
    /// Its name.
    #[pyo3(get)]
    name: String,
    args: Value,
    reply: Mutex<Option<ToolReply>>,
}

impl ToolCall {
    pub(crate) fn new(call: enclave_core::ToolCall) -> Self {
        let enclave_core::ToolCall { name, args, reply, .. } = call;
        ToolCall { name, args, reply: Mutex::new(Some(reply)) }
    }

    /// Answers, if nobody has.
    fn answer(&self, answer: Result<Value, ToolError>) {
        let reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reply) = reply {
            reply.send(answer);
        }
    }
}

#[pymethods]
impl ToolCall {
    /// The argument.
    fn args<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.args)
    }

    /// Fulfils the script's promise; raises, and leaves the call open, if the value cannot go to a script.
    fn resolve(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = from_python(value, &format!("result of the tool {}", self.name))?;
        self.answer(Ok(value));
        Ok(())
    }

    /// Rejects the script's promise.
    fn reject(
        &self,
        name: &Bound<'_, PyString>,
        message: &Bound<'_, PyString>,
        code: Option<&Bound<'_, PyString>>,
    ) -> PyResult<()> {
        let error =
            ToolError { name: text_of(name)?, message: text_of(message)?, code: code.map(text_of).transpose()? };
        self.answer(Err(error));
        Ok(())
    }
}
