//! [`Events`]: what has happened in a pool, on its way from the core's threads to the one Python thread that handles it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use enclave_core::{ConsoleLine, Error, Outcome, PoolStats, ToolCall, WorkerRecycled};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors::raise;
use crate::outcome::Outcome as PyOutcome;
use crate::tool_call::ToolCall as PyToolCall;
use crate::values::caught;
use crate::{SIGNALS, stats};

/// How many events are handed over at once.
const BATCH: usize = 256;
/// So many console lines and tool calls may wait; then their scripts wait, as they would in a callback that blocks.
const MAX_HELD: usize = 1024;
/// So many bytes of them, too, whatever becomes of the executions meanwhile; a single one may be larger.
const MAX_HELD_BYTES: u64 = 16 * 1024 * 1024;

pub(crate) enum Event {
    Completed(u64, Arc<Outcome>),
    ToolCall(u64, ToolCall),
    Console(u64, ConsoleLine),
    Recycled(WorkerRecycled),
    Stats(Box<PoolStats>),
}

impl Event {
    /// Whether a script may be kept waiting for a place. Outcomes are no more than were submitted, workers that leave
    /// need a few dozen bytes each, and of stats there is one.
    fn may_wait(&self) -> bool {
        matches!(self, Event::Console(..) | Event::ToolCall(..))
    }

    /// The bytes of a script in it.
    fn bytes(&self) -> u64 {
        match self {
            Event::Console(_, line) => line.text.len() as u64,
            Event::ToolCall(_, call) => call.args.approximate_size(),
            Event::Completed(..) | Event::Recycled(_) | Event::Stats(_) => 0,
        }
    }
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// Console lines and tool calls among them, and their bytes.
    held: usize,
    held_bytes: u64,
    /// Events ever put in, and ever handled.
    put: u64,
    handled: u64,
    /// Events that are being handled now.
    taken: u64,
    /// Stats that wait already: no others are put in, as they would say nearly the same.
    stats: bool,
    closed: bool,
    /// Nobody takes events any more.
    abandoned: bool,
}

#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// For whoever takes events.
    filled: Condvar,
    /// For whoever waits until they are handled, or for a place.
    emptied: Condvar,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event in; called on the core's threads.
    pub(crate) fn put(&self, event: Event) {
        let bytes = event.bytes();
        let mut state = self.lock();
        if event.may_wait() {
            while (state.held >= MAX_HELD || (state.held > 0 && state.held_bytes + bytes > MAX_HELD_BYTES))
                && !state.closed
            {
                state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if state.abandoned {
            drop(state);
            // A tool call that nobody has answered is rejected as it goes.
            drop(event);
            return;
        }
        match event {
            _ if event.may_wait() => {
                state.held += 1;
                state.held_bytes += bytes;
            }
            Event::Stats(_) if std::mem::replace(&mut state.stats, true) => return,
            _ => {}
        }
        state.events.push_back(event);
        state.put += 1;
        drop(state);
        self.filled.notify_one();
    }

    /// The next events; empty when the inbox is closed and nothing is left.
    fn take(&self) -> VecDeque<Event> {
        let mut state = self.lock();
        state.handled += std::mem::take(&mut state.taken);
        self.emptied.notify_all();
        while state.events.is_empty() && !state.closed {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let count = state.events.len().min(BATCH);
        let batch: VecDeque<Event> = state.events.drain(..count).collect();
        state.taken = batch.len() as u64;
        state.held -= batch.iter().filter(|event| event.may_wait()).count();
        state.held_bytes -= batch.iter().map(Event::bytes).sum::<u64>();
        state.stats &= !batch.iter().any(|event| matches!(event, Event::Stats(_)));
        self.emptied.notify_all();
        batch
    }

    /// Waits until all that is here now is handled, at most this long; whether it is.
    fn flush(&self, goal: Option<u64>, time: Duration) -> Result<(), u64> {
        let state = self.lock();
        let goal = goal.unwrap_or(state.put);
        let (state, _) = self
            .emptied
            .wait_timeout_while(state, time, |state| state.handled < goal && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.handled >= goal || state.closed { Ok(()) } else { Err(goal) }
    }
}

/// What has happened in a pool and is not handled yet.
#[pyclass(frozen, module = "enclave._enclave")]
pub(crate) struct Events {
    pub(crate) inbox: Arc<Inbox>,
    /// Taken, but not given to Python yet.
    batch: Mutex<VecDeque<Event>>,
    /// The thread that made this.
    maker: ThreadId,
}

#[pymethods]
impl Events {
    #[new]
    fn new() -> Self {
        Events { inbox: Arc::default(), batch: Mutex::default(), maker: std::thread::current().id() }
    }

    /// Called first on the thread that will wait for events, which must not be the one that made them: where another
    /// library has replaced Python's threads, the only thread of the process would wait for itself.
    fn begin(&self, py: Python<'_>) -> PyResult<()> {
        if std::thread::current().id() != self.maker {
            return Ok(());
        }
        let reason = "a library has replaced Python's threads by others, which are not of the system; with gevent, call \
                      monkey.patch_all(thread=False, select=False)";
        Err(raise(py, &Error::Unsupported { feature: "threads".into(), reason: reason.into() }))
    }

    /// Waits for events and gives them as a list of `(kind, token, what)`, in order: `("completed", token, Outcome)`,
    /// `("tool", token, ToolCall)`, `("console", token, (execution_id, level, seconds since 1970, text))`,
    /// `("recycled", 0, (worker_id, reason, executions, age))`, `("stats", 0, dict)`. The events of the list before
    /// count as handled. None when the events are closed and none is left. For one thread.
    ///
    /// An event for which there is no memory is lost, and its tool call rejected; but an outcome comes later.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        if batch.is_empty() {
            *batch = py.detach(|| self.inbox.take());
        }
        if batch.is_empty() {
            return Ok(None);
        }
        let list = caught(|| Ok(PyList::empty(py)))?;
        while let Some(event) = batch.pop_front() {
            let outcome = match &event {
                Event::Completed(token, outcome) => Some(Event::Completed(*token, outcome.clone())),
                _ => None,
            };
            if let Err(error) = caught(|| list.append(convert(py, event)?)) {
                if let Some(outcome) = outcome {
                    batch.push_front(outcome);
                }
                if list.is_empty() {
                    return Err(error);
                }
                error.write_unraisable(py, None);
                break;
            }
        }
        Ok(Some(list))
    }

    /// Drops all events, also those to come: nobody waits for them any more.
    fn abandon(&self, py: Python<'_>) {
        let events = {
            let mut state = self.inbox.lock();
            state.closed = true;
            state.abandoned = true;
            std::mem::take(&mut state.events)
        };
        self.inbox.filled.notify_all();
        self.inbox.emptied.notify_all();
        let batch = std::mem::take(&mut *self.batch.lock().unwrap_or_else(PoisonError::into_inner));
        py.detach(|| drop((events, batch)));
    }

    /// Waits until all that is here now is handled, or the events are closed.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let mut goal = None;
        while let Err(rest) = py.detach(|| self.inbox.flush(goal, SIGNALS)) {
            py.check_signals()?;
            goal = Some(rest);
        }
        Ok(())
    }

    /// No more events are waited for.
    fn close(&self) {
        self.inbox.lock().closed = true;
        self.inbox.filled.notify_all();
        self.inbox.emptied.notify_all();
    }
}

fn convert<'py>(py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyAny>> {
    let tuple = match event {
        Event::Completed(token, outcome) => ("completed", token, PyOutcome::new(outcome)).into_pyobject(py)?,
        Event::ToolCall(token, call) => ("tool", token, PyToolCall::new(call)).into_pyobject(py)?,
        Event::Console(token, line) => ("console", token, stats::line(&line)).into_pyobject(py)?,
        Event::Recycled(worker) => {
            let about = (worker.worker_id, worker.reason.name(), worker.executions, worker.age.as_secs_f64());
            ("recycled", 0, about).into_pyobject(py)?
        }
        Event::Stats(pool_stats) => ("stats", 0, stats::pool(py, &pool_stats)?).into_pyobject(py)?,
    };
    Ok(tuple.into_any())
}
