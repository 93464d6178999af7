//! [`Pool`], and what it is given.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use enclave_core::{ConsoleHandler, ExecutionOptions, Source, SourceKind, ToolHandler, Value};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::errors::{lost, raise, wrong_type, wrong_value};
use crate::events::{Event, Events, Inbox};
use crate::execution::{Execution, Script, wait};
use crate::outcome::value;
use crate::values::from_python;
use crate::{SIGNALS, settings, stats};

/// A pool of workers. What happens in it goes to its events.
#[pyclass(frozen, module = "enclave._enclave")]
pub(crate) struct Pool {
    pool: Arc<enclave_core::Pool>,
    inbox: Arc<Inbox>,
    /// That made it.
    process: u32,
}

#[pymethods]
impl Pool {
    #[new]
    fn new(
        py: Python<'_>,
        events: &Events,
        preset: &Bound<'_, PyAny>,
        settings: &Bound<'_, PyDict>,
        with_stats: bool,
    ) -> PyResult<Self> {
        let config = settings::config(preset, settings)?;
        let inbox = events.inbox.clone();
        let recycled = inbox.clone();
        let mut builder = enclave_core::Pool::builder(config)
            .on_worker_recycled(move |worker| recycled.put(Event::Recycled(worker.clone())));
        if with_stats {
            let inbox = inbox.clone();
            builder = builder.on_stats_update(move |stats| inbox.put(Event::Stats(Box::new(stats.clone()))));
        }
        let pool = py.detach(|| builder.build()).map_err(|error| raise(py, &error))?;
        Ok(Pool { pool: Arc::new(pool), inbox, process: std::process::id() })
    }

    /// All settings in force, by name.
    fn settings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        settings::to_dict(py, self.pool.config())
    }

    /// Runs a source or script and gives its value, or raises. Without any options.
    fn run<'py>(&self, py: Python<'py>, source: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let source = self::source(source)?;
        let execution = self.pool.submit(source, ExecutionOptions::default()).map_err(|error| raise(py, &error))?;
        let outcome = wait(py, &execution)?;
        value(py, &outcome)
    }

    /// Submits a source or script. Its tool calls and console lines become events of this token; and its outcome, if `completion`.
    #[allow(clippy::too_many_arguments, reason = "they are keywords")]
    #[pyo3(signature = (source, *, kind, filename, globals, limits, token, tools, any_tool, console, collect_console, completion))]
    fn submit(
        &self,
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        kind: &Bound<'_, PyAny>,
        filename: &Bound<'_, PyAny>,
        globals: &Bound<'_, PyAny>,
        limits: &Bound<'_, PyDict>,
        token: u64,
        tools: Vec<String>,
        any_tool: bool,
        console: bool,
        collect_console: bool,
        completion: bool,
    ) -> PyResult<Execution> {
        let source = self::source(source)?;
        let handler: ToolHandler = {
            let inbox = self.inbox.clone();
            Arc::new(move |call| inbox.put(Event::ToolCall(token, call)))
        };
        let on_console: ConsoleHandler = {
            let inbox = self.inbox.clone();
            Arc::new(move |line| inbox.put(Event::Console(token, line.clone())))
        };
        let options = ExecutionOptions {
            kind: source_kind(kind)?,
            filename: optional_text("filename", filename)?,
            globals: self::globals(globals)?,
            limits: settings::limits(&self.pool.config().limits, limits)?,
            collect_console,
            on_console: console.then_some(on_console),
            tools: tools.into_iter().map(|name| (name, handler.clone())).collect(),
            tool_handler: any_tool.then_some(handler),
        };
        let submitted = if completion {
            let inbox = self.inbox.clone();
            self.pool.submit_with(source, options, move |outcome| inbox.put(Event::Completed(token, outcome)))
        } else {
            self.pool.submit(source, options)
        };
        submitted.map(Execution).map_err(|error| raise(py, &error))
    }

    /// Submits a source to be compiled: gives the script, and the execution that says whether it compiles. The outcome
    /// becomes an event of the token, if there is one.
    fn compile(
        &self,
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        kind: &Bound<'_, PyAny>,
        filename: &Bound<'_, PyAny>,
        limits: &Bound<'_, PyDict>,
        token: Option<u64>,
    ) -> PyResult<(Script, Execution)> {
        let source = text("source", source)?;
        let options = ExecutionOptions {
            kind: source_kind(kind)?,
            filename: optional_text("filename", filename)?,
            limits: settings::limits(&self.pool.config().limits, limits)?,
            ..ExecutionOptions::default()
        };
        let inbox = self.inbox.clone();
        let on_complete = move |outcome| {
            if let Some(token) = token {
                inbox.put(Event::Completed(token, outcome));
            }
        };
        self.pool
            .compile_with(source, options, on_complete)
            .map(|(script, execution)| (Script(script), Execution(execution)))
            .map_err(|error| raise(py, &error))
    }

    /// A snapshot of what the pool does and has done.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::pool(py, &self.pool.stats())
    }

    /// Shuts the pool down; None stands for its own timeout. An interrupt (Ctrl-C) ends the waiting, not the shutdown.
    fn shutdown(&self, py: Python<'_>, timeout: &Bound<'_, PyAny>) -> PyResult<()> {
        let timeout = if timeout.is_none() { None } else { Some(settings::duration("timeout", timeout)?) };
        let pool = self.pool.clone();
        if std::process::id() != self.process {
            // In a forked child this returns at once: FORKED.
            return pool.shutdown(timeout).map_err(|error| raise(py, &error));
        }
        let (done, is_done) = mpsc::channel();
        let is_done = Mutex::new(is_done);
        std::thread::Builder::new().name("enclave-shutdown".into()).spawn(move || {
            let _ = done.send(pool.shutdown(timeout));
        })?;
        loop {
            match py.detach(|| is_done.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(SIGNALS)) {
                Ok(result) => return result.map_err(|error| raise(py, &error)),
                Err(mpsc::RecvTimeoutError::Timeout) => py.check_signals()?,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(lost("the shutdown")),
            }
        }
    }
}

/// A text argument. A lone surrogate is refused: a source with another character in its place is another source.
fn text(name: &str, given: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = given.py();
    let Ok(text) = given.cast::<PyString>() else {
        let problem = format!("is of type {}; accepted is str", given.get_type().name()?.to_string_lossy());
        return Err(wrong_type(py, name, &problem));
    };
    match text.to_str() {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(wrong_value(py, name, "has a lone surrogate; accepted is text that has a form in UTF-8".into())),
    }
}

fn optional_text(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    (!given.is_none()).then(|| text(name, given)).transpose()
}

fn source(given: &Bound<'_, PyAny>) -> PyResult<Source> {
    match given.cast::<Script>() {
        Ok(script) => Ok(Source::from(&script.get().0)),
        Err(_) => text("source", given).map(Source::from),
    }
}

fn source_kind(kind: &Bound<'_, PyAny>) -> PyResult<SourceKind> {
    let named = |text: String| SourceKind::ALL.into_iter().find(|known| known.name() == text);
    match kind.extract().ok().and_then(named) {
        Some(kind) => Ok(kind),
        None => {
            let shown = kind.repr()?.to_string_lossy().into_owned();
            let accepted = settings::quoted(&SourceKind::ALL.map(SourceKind::name));
            Err(wrong_value(kind.py(), "kind", format!("is {shown}; accepted are {accepted}")))
        }
    }
}

fn globals(given: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Value)>> {
    if given.is_none() {
        return Ok(Vec::new());
    }
    let Ok(dict) = given.cast::<PyDict>() else {
        return Err(wrong_type(given.py(), "globals", "must be a mapping from names to values"));
    };
    dict.items()
        .iter()
        .map(|item| {
            let (name, value) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            let name = text("globals", &name)?;
            let value = from_python(&value, &format!("globals[{name:?}]"))?;
            Ok((name, value))
        })
        .collect()
}
