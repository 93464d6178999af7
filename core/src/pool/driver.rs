//! A driver: the thread of one worker. It launches the worker, runs executions on it one after the other, and drops
//! it. All decisions are the state's; the driver asks what to do next, and does it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::callback;
use super::effects::{After, Assignment, Next};
use super::shared::{Shared, Waiting};
use super::tools::ExecutionHost;
use crate::contract::{Host, Launcher, Pause, RecycleReason, Report, Request, Worker};
use crate::error::{Error, panic_message};
use crate::execution::{ConsoleLine, ExecutionStats, ToolCall};
use crate::sync::{Watch, lock};

/// The body of the thread.
pub(super) fn drive<L: Launcher>(shared: &Arc<Shared>, launcher: &L, id: u64) {
    let _inside = callback::enter(shared.id);
    let Some(bell) = lock(&shared.state).workers.get(&id).map(|slot| slot.bell.clone()) else { return };
    // However this ends, the worker's place becomes free.
    let place = Place { shared, id };
    let launched = catch_unwind(AssertUnwindSafe(|| launcher.launch(id)));
    match launched.unwrap_or_else(|panic| Err(Error::Internal { message: panic_message(&*panic) })) {
        Ok(worker) => serve(shared, worker, Waiting { id, bell, watch: Watch::default() }),
        Err(error) => {
            let error = match error {
                Error::Unsupported { .. } | Error::WorkerStartup { .. } => error,
                // The engine has not said what it lacks.
                Error::Internal { message } => startup(message + &shortage()),
                other => startup(other.to_string()),
            };
            shared.update(|state, now, effects| state.start_failed(id, error, now, effects));
        }
    }
    drop(place);
}

pub(super) fn startup(cause: String) -> Error {
    Error::WorkerStartup { cause }
}

/// That a thread could not be made.
pub(super) fn no_thread(which: &str, error: &io::Error) -> Error {
    startup(format!("{which} could not be made: {error}{}", shortage()))
}

/// What may be behind a start that fails for no reason of its own: workers need much address space, of which they use
/// little.
#[cfg(all(target_os = "linux", not(loom)))]
fn shortage() -> String {
    /// More than any worker needs.
    const PLENTY: u64 = 8 << 30;
    match rustix::process::getrlimit(rustix::process::Resource::As).current {
        Some(limit) if limit < PLENTY => format!(
            " (the address space of this process is limited to {} MiB, RLIMIT_AS or ulimit -v; workers that are threads \
             need more than 2 GiB)",
            limit >> 20
        ),
        _ => String::new(),
    }
}

#[cfg(not(all(target_os = "linux", not(loom))))]
fn shortage() -> String {
    String::new()
}

/// A worker's place in the pool, which it leaves when this is dropped.
struct Place<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.update(|state, now, effects| state.gone(self.id, now, effects));
    }
}

/// From the start of the worker to its end.
fn serve(shared: &Shared, mut worker: impl Worker, waiting: Waiting) {
    let id = waiting.id;
    let control = worker.control();
    let memory = worker.memory();
    let missing = worker.sandbox_missing();
    shared.update(|state, now, effects| state.started(id, control.clone(), memory, missing, now, effects));
    let mut may_rest = true;
    loop {
        let pause = match shared.next(&waiting, may_rest, control.cpu_time()) {
            Next::Execute(assignment) => match run(shared, &mut worker, id, assignment) {
                After::Rest(pause) => pause,
                After::Leave => break,
            },
            Next::Rest => Pause::Long,
            Next::Wait | Next::Leave => break,
        };
        may_rest = pause != Pause::Long;
        if catch_unwind(AssertUnwindSafe(|| worker.rest(pause))).is_err() {
            shared.update(|state, now, effects| {
                state.recycle(id, RecycleReason::Internal);
                state.balance(now, effects);
            });
            break;
        }
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(worker)));
    if let Some(event) = shared.update(|state, now, _| state.leaving(id, now)) {
        shared.tell_recycled(&event);
    }
}

/// Runs one execution and delivers its outcome.
fn run(shared: &Shared, worker: &mut impl Worker, id: u64, assignment: Box<Assignment>) -> After {
    let host = OnWorker { shared, worker: id, host: &assignment.host };
    let report = match execute(worker, &assignment.request, &host) {
        Ok(report) => report,
        Err(reason) => {
            let rest = shared.update(|state, now, effects| state.give_back(id, *assignment, reason, now, effects));
            callback::call(shared.id, || drop(rest));
            return After::Leave;
        }
    };
    let memory = worker.memory();
    let after = shared.update(|state, now, effects| state.finish(id, report, memory, now, effects));
    // It may hold closures of the host.
    callback::call(shared.id, || drop(assignment));
    after
}

/// The host of an execution on one worker.
struct OnWorker<'a> {
    shared: &'a Shared,
    worker: u64,
    host: &'a ExecutionHost,
}

impl Host for OnWorker<'_> {
    fn tool_call(&self, call: ToolCall) {
        self.host.tool_call(call);
    }

    fn console(&self, line: ConsoleLine) {
        self.host.console(line);
    }

    fn lost(&self, report: Report) {
        // The thread is deep inside the engine, where the host's code may not find the stack that it needs.
        self.shared.update_without_host(|state, now, effects| state.lose(self.worker, report, now, effects));
    }
}

fn execute(worker: &mut impl Worker, request: &Request, host: &dyn Host) -> Result<Report, RecycleReason> {
    catch_unwind(AssertUnwindSafe(|| worker.execute(request, host))).unwrap_or_else(|panic| {
        Ok(Report {
            result: Err(Error::Internal { message: panic_message(&*panic) }),
            stats: ExecutionStats::default(),
            condemned: Some(RecycleReason::Internal),
        })
    })
}
