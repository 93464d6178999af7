//! Fake workers, whose behaviour is what the source says, and the laboratory that tests watch and steer them with.
//!
//! | source | behaviour |
//! |---|---|
//! | `gate NAME` | waits until the test opens the gate, or until it is killed |
//! | `stuck NAME` | the same, but no kill stops it |
//! | `burn` | uses CPU time until it is killed |
//! | `panic` | panics |
//! | `lose` | ends with MEMORY_LIMIT, and its thread sleeps for ever |
//! | `condemn REASON` | is ended by its own worker, which is condemned for the reason |
//! | `fail`, `flood` | ends with UNSETTLED; with MESSAGE_FLOOD, condemned |
//! | `tool NAME` | calls the tool and gives its answer |
//! | `log TEXT` | writes a console line |
//! | `rest-panic` | succeeds, but its worker panics when it tidies up |
//! | `rest-gate NAME` | succeeds, but its worker tidies up until the gate is opened |
//! | `given-back-by N` | succeeds, but the workers 1 to N give it back: they are of no use any more |
//! | anything else | succeeds with the source as its value |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use crate::config::{Isolation, PoolConfig};
use crate::contract::{Control, Host, KillReason, Launcher, RecycleReason, Report, Request, Worker};
use crate::error::{Error, Status};
use crate::execution::{ConsoleLevel, ConsoleLine, ExecutionStats, Outcome, ToolCall, ToolReply};
use crate::pool::patience::Patience;
use crate::pool::{Execution, Pool, PoolBuilder};
use crate::value::Value;

/// Longer than anything takes on a busy machine: a test that waits so long has failed.
pub(super) const FOREVER: Duration = Duration::from_secs(300);
/// A time that would be noticed if it were waited.
pub(super) const LONG: Duration = Duration::from_secs(3000);

/// A pool's configuration for tests: nothing is warm, nothing times out.
pub(super) fn config(max_workers: usize) -> PoolConfig {
    let mut config = PoolConfig {
        isolation: Isolation::Thread,
        min_workers: 0,
        max_workers,
        warm_on_init: false,
        queue_timeout: LONG,
        idle_timeout: LONG,
        graceful_shutdown_timeout: Duration::ZERO,
        ..PoolConfig::default()
    };
    config.limits.timeout = LONG;
    config
}

/// Patience without end, for tests whose workers do come back, if late on a busy machine.
pub(super) const PATIENT: Patience = Patience { kill: LONG, shutdown: LONG, rest: LONG };

/// A builder with patience without end.
pub(super) fn patient(config: PoolConfig) -> PoolBuilder {
    impatient(config, PATIENT)
}

/// A builder with this patience.
pub(super) fn impatient(config: PoolConfig, patience: Patience) -> PoolBuilder {
    Pool::builder(config).patience(patience)
}

#[derive(Clone, Default)]
pub(super) struct Lab(Arc<Inner>);

#[derive(Default)]
struct Inner {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// What has happened so far.
#[derive(Default)]
pub(super) struct Seen {
    /// Workers being launched now.
    pub launching: usize,
    /// The most of these at once.
    pub most_launching: usize,
    pub launched: u64,
    /// Workers that exist now, those being launched included, and the most that ever did.
    pub alive: usize,
    pub most_alive: usize,
    /// Sources in the order in which they were begun.
    pub begun: Vec<String>,
    pub rested: u64,
    /// How often one has rested because nothing had come for a while.
    pub rested_long: u64,
    /// Kills that arrived, by execution, whether they hit or not.
    pub kills: BTreeMap<u64, Vec<KillReason>>,
    open: BTreeSet<String>,
    /// Launches that are to fail from now on.
    failures: u64,
    /// Launches wait until this is false.
    hold_launches: bool,
    running: BTreeMap<u64, (u64, Option<KillReason>, Instant)>,
    replies: BTreeMap<u64, Result<Value, crate::execution::ToolError>>,
}

impl Lab {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn change<R>(&self, change: impl FnOnce(&mut Seen) -> R) -> R {
        let result = change(&mut self.seen());
        self.0.changed.notify_all();
        result
    }

    /// Waits until this gives something.
    pub(super) fn wait<R>(&self, mut what: impl FnMut(&mut Seen) -> Option<R>) -> R {
        let until = Instant::now() + FOREVER;
        let mut seen = self.seen();
        loop {
            if let Some(result) = what(&mut seen) {
                return result;
            }
            let left = until.checked_duration_since(Instant::now()).expect("waited in vain");
            seen = self.0.changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    pub(super) fn wait_until(&self, mut what: impl FnMut(&Seen) -> bool) {
        self.wait(|seen| what(seen).then_some(()));
    }

    /// Submits a source until it has begun: where the queue has a short timeout, it too may wait too long.
    pub(super) fn begin(&self, pool: &Pool, source: &str) -> Execution {
        let has_begun = || self.seen().begun.iter().any(|begun| begun == source);
        loop {
            let execution = pool.submit(source, Default::default()).unwrap();
            eventually("it has begun or waited too long", || has_begun() || execution.is_done());
            if has_begun() {
                return execution;
            }
        }
    }

    /// Waits until a source was begun so many times.
    pub(super) fn wait_begun(&self, source: &str, times: usize) {
        self.wait_until(|seen| seen.begun.iter().filter(|begun| *begun == source).count() >= times);
    }

    pub(super) fn open(&self, gate: &str) {
        self.change(|seen| seen.open.insert(gate.to_owned()));
    }

    pub(super) fn fail_launches(&self, number: u64) {
        self.change(|seen| seen.failures = number);
    }

    pub(super) fn hold_launches(&self, hold: bool) {
        self.change(|seen| seen.hold_launches = hold);
    }

    /// A pool that waits for its workers as long as they need.
    pub(super) fn pool(&self, config: PoolConfig) -> Pool {
        self.build(patient(config)).unwrap()
    }

    pub(super) fn build(&self, builder: PoolBuilder) -> Result<Pool, Error> {
        builder.build_with(FakeLauncher(self.clone()), 1024 * 1024)
    }
}

/// Waits until a condition holds that nobody notifies of.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + FOREVER;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(super) fn status(outcome: &Outcome) -> Status {
    outcome.result.as_ref().map_or_else(Error::status, |_| Status::Ok)
}

pub(super) struct FakeLauncher(Lab);

impl Launcher for FakeLauncher {
    type Worker = FakeWorker;

    fn launch(&self, worker_id: u64) -> Result<FakeWorker, Error> {
        let lab = self.0.clone();
        lab.change(|seen| {
            seen.launching += 1;
            seen.most_launching = seen.most_launching.max(seen.launching);
            seen.alive += 1;
            seen.most_alive = seen.most_alive.max(seen.alive);
        });
        let failed = lab.wait(|seen| {
            (!seen.hold_launches).then(|| {
                seen.launching -= 1;
                seen.launched += 1;
                let failed = seen.failures > 0;
                seen.failures -= u64::from(failed);
                seen.alive -= usize::from(failed);
                failed
            })
        });
        lab.0.changed.notify_all();
        if failed {
            return Err(Error::WorkerStartup { cause: "the test wants it so".into() });
        }
        Ok(FakeWorker { lab, id: worker_id, after: None })
    }
}

pub(super) struct FakeWorker {
    lab: Lab,
    id: u64,
    /// What happens when it rests.
    after: Option<String>,
}

impl Worker for FakeWorker {
    fn control(&self) -> Arc<dyn Control> {
        Arc::new(FakeControl { lab: self.lab.clone(), worker: self.id })
    }

    fn execute(&mut self, request: &Request, host: &dyn Host) -> Result<Report, RecycleReason> {
        let started = Instant::now();
        let source = request.source.to_string();
        if source.strip_prefix("given-back-by ").is_some_and(|workers| self.id <= workers.parse().unwrap()) {
            return Err(RecycleReason::Crash);
        }
        self.lab.change(|seen| {
            seen.running.insert(self.id, (request.id, None, started));
            seen.begun.push(source.clone());
        });
        let (result, condemned) = self.run(&source, request, host);
        self.lab.change(|seen| seen.running.remove(&self.id));
        self.after = source.strip_prefix("rest-").map(str::to_owned);
        let run_time = started.elapsed();
        let stats = ExecutionStats { run_time, peak_memory: 2000, ..Default::default() };
        Ok(Report { result, stats, condemned })
    }

    fn rest(&mut self, pause: crate::contract::Pause) {
        // Once more after a while: when, no test can know.
        if pause == crate::contract::Pause::Long {
            return self.lab.change(|seen| seen.rested_long += 1);
        }
        self.lab.change(|seen| seen.rested += 1);
        match self.after.take().as_deref().map(|after| after.split_once(' ').unwrap_or((after, ""))) {
            Some(("panic", _)) => panic!("tidying up"),
            Some(("gate", gate)) => self.lab.wait_until(|seen| seen.open.contains(gate)),
            _ => {}
        }
    }

    fn memory(&self) -> u64 {
        1000
    }
}

impl Drop for FakeWorker {
    fn drop(&mut self) {
        self.lab.change(|seen| seen.alive -= 1);
    }
}

type Ending = (Result<Value, Error>, Option<RecycleReason>);

impl FakeWorker {
    fn run(&self, source: &str, request: &Request, host: &dyn Host) -> Ending {
        let (what, argument) = source.split_once(' ').unwrap_or((source, ""));
        match what {
            "gate" => self.killed_or(request, |seen| seen.open.contains(argument).then_some(Ok(Value::Null))),
            "stuck" => {
                self.lab.wait_until(|seen| seen.open.contains(argument));
                self.killed_or(request, |_| Some(Ok(Value::Null)))
            }
            "burn" => self.killed_or(request, |_| None),
            "panic" => panic!("the fake panics"),
            "lose" => {
                let report = Report {
                    result: Err(Error::MemoryLimit { used: 2, limit: 1 }),
                    stats: ExecutionStats::default(),
                    condemned: Some(RecycleReason::MemoryLimit),
                };
                host.lost(report);
                loop {
                    std::thread::park();
                }
            }
            "condemn" => {
                let reason = RecycleReason::ALL.into_iter().find(|reason| reason.name() == argument).unwrap();
                (Err(Error::MemoryLimit { used: 2, limit: 1 }), Some(reason))
            }
            "flood" => (Err(Error::MessageFlood { limit: 1 }), Some(RecycleReason::MessageFlood)),
            "fail" => (Err(Error::Unsettled), None),
            "tool" => self.call_tool(argument, request, host),
            "log" => {
                let line = ConsoleLine {
                    execution_id: request.id,
                    level: ConsoleLevel::Log,
                    time: SystemTime::now(),
                    text: argument.to_owned(),
                };
                host.console(line);
                (Ok(Value::Null), None)
            }
            _ => (Ok(Value::from(source)), None),
        }
    }

    fn call_tool(&self, name: &str, request: &Request, host: &dyn Host) -> Ending {
        let (lab, id) = (self.lab.clone(), request.id);
        let reply = ToolReply::new(move |answer| {
            lab.change(|seen| seen.replies.insert(id, answer));
        });
        host.tool_call(ToolCall { execution_id: id, name: name.to_owned(), args: Value::from("the argument"), reply });
        self.killed_or(request, |seen| {
            seen.replies.remove(&id).map(|answer| match answer {
                Ok(value) => Ok(value),
                // What a script would see of it.
                Err(error) => Ok(Value::from(format!("{} {:?}", error.message, error.code))),
            })
        })
    }

    /// Waits until this gives a result, or until killed.
    fn killed_or(&self, request: &Request, mut what: impl FnMut(&mut Seen) -> Option<Result<Value, Error>>) -> Ending {
        let limits = &request.limits;
        self.lab.wait(|seen| {
            if let Some((_, Some(reason), _)) = seen.running.get(&self.id) {
                return Some(match reason {
                    KillReason::Timeout => {
                        (Err(Error::Timeout { limit: limits.timeout }), Some(RecycleReason::Timeout))
                    }
                    KillReason::CpuLimit => {
                        (Err(Error::CpuLimit { limit: limits.cpu_time_limit.unwrap() }), Some(RecycleReason::CpuLimit))
                    }
                    KillReason::Cancelled => (Err(Error::Cancelled), Some(RecycleReason::Cancelled)),
                    KillReason::Shutdown => (Err(Error::PoolClosed), Some(RecycleReason::Shutdown)),
                });
            }
            what(seen).map(|result| (result, None))
        })
    }
}

struct FakeControl {
    lab: Lab,
    worker: u64,
}

impl Control for FakeControl {
    fn kill(&self, execution_id: u64, reason: KillReason) {
        self.lab.change(|seen| {
            seen.kills.entry(execution_id).or_default().push(reason);
            if let Some((running, killed, _)) = seen.running.get_mut(&self.worker)
                && *running == execution_id
            {
                killed.get_or_insert(reason);
            }
        });
    }

    /// While it runs something, as much time as has passed; a worker at rest uses none.
    fn cpu_time(&self) -> Option<Duration> {
        let seen = self.lab.seen();
        Some(seen.running.get(&self.worker).map_or(Duration::ZERO, |(_, _, started)| started.elapsed()))
    }
}
