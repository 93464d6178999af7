//! What a worker process may say, and what of it is believed.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::channel::Channel;
use crate::contract::{Host, RecycleReason, Report, Request, RestDue};
use crate::error::Error;
use crate::execution::{ConsoleLine, ExecutionStats, ToolCall, is_tool_name};
use crate::pending;
use crate::value::Value;
use crate::worker::frame::{End, FromWorker, Malformed, Usage};

/// Why a worker is of no use any more.
pub(super) enum Trouble {
    /// Its end of the socket is closed.
    Gone,
    /// It has said what it may not say.
    Protocol(String),
    /// What its execution has the pool hold is too much.
    Limit(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Limit(error)
    }
}

impl From<Malformed> for Trouble {
    fn from(Malformed(what): Malformed) -> Self {
        Trouble::Protocol(what)
    }
}

/// The end of an execution, and the worker after it.
pub(super) struct Done {
    pub(super) report: Report,
    pub(super) memory: u64,
    pub(super) rest_due: RestDue,
}

/// The execution that runs, and what it has done so far.
pub(super) struct Supervised<'a> {
    pub(super) request: &'a Request,
    host: &'a dyn Host,
    memory_limit: u64,
    started: Instant,
    /// CPU time of the process then.
    pub(super) cpu_start: Duration,
    tool_calls: u32,
    console_calls: u32,
    console_output: u64,
}

impl<'a> Supervised<'a> {
    /// From now on, with this CPU time of the process.
    pub(super) fn new(request: &'a Request, host: &'a dyn Host, memory_limit: u64, cpu_start: Duration) -> Self {
        Supervised {
            request,
            host,
            memory_limit,
            started: Instant::now(),
            cpu_start,
            tool_calls: 0,
            console_calls: 0,
            console_output: 0,
        }
    }

    /// Checks a frame and does what it asks for; the last one gives the end.
    pub(super) fn handle(&mut self, frame: FromWorker, channel: &Arc<Channel>) -> Result<Option<Done>, Trouble> {
        let limits = &*self.request.limits;
        match frame {
            FromWorker::ToolCall { execution, call, name, args } => {
                self.check_execution(execution)?;
                check(self.tool_calls < limits.max_tool_calls, "there are more tool calls than max_tool_calls")?;
                check(call == u64::from(self.tool_calls) + 1, "a tool call has not the number that is next")?;
                check(is_tool_name(&name), "a tool call has no proper name")?;
                self.check_value(&args, "a tool argument")?;
                let most = self.request.max_pending_tool_calls;
                let bytes = pending::of_call(&name, &args);
                check(channel.call(most, bytes)?, "there are more tool calls pending than max_pending_tool_calls")?;
                self.tool_calls += 1;
                let reply = channel.reply(execution, call, bytes, limits.max_value_depth);
                self.host.tool_call(ToolCall { execution_id: execution, name, args, reply });
            }
            FromWorker::Console { execution, level, text } => {
                self.check_execution(execution)?;
                check(self.console_calls < limits.max_console_calls, "there are more lines than max_console_calls")?;
                self.console_calls += 1;
                self.console_output = self.console_output.saturating_add(text.len() as u64);
                check(
                    self.console_output <= limits.max_console_output,
                    "the lines are longer than max_console_output",
                )?;
                check(text.len() as u64 <= self.request.max_message_size, "a console line is too large")?;
                self.host.console(ConsoleLine { execution_id: execution, level, time: SystemTime::now(), text });
            }
            FromWorker::Done { execution, end, condemned, usage, rest_due } => {
                self.check_execution(execution)?;
                if let End::Value(value) = &end {
                    self.check_value(value, "the result")?;
                }
                let kill = channel.kill_reason();
                let condemned = condemned || matches!(end, End::Killed);
                let result = end.into_result(self.request, self.memory_limit, kill)?;
                // A worker says that it is of no use any more; for what reason follows from the end.
                let reason = result.as_ref().err().and_then(RecycleReason::of);
                check(!condemned || reason.is_some(), "it is of no use after an end that is no reason for that")?;
                let condemned = reason.filter(|_| condemned);
                let cpu_time = Duration::from_nanos(usage.cpu_time_ns);
                let report = Report { result, stats: self.stats(usage, cpu_time), condemned };
                return Ok(Some(Done {
                    report,
                    memory: credible(usage.memory, self.memory_limit),
                    rest_due: rest_due.into(),
                }));
            }
            FromWorker::Rested(_) => return Err(Trouble::Protocol("it rests while it executes".into())),
        }
        Ok(None)
    }

    fn check_execution(&self, id: u64) -> Result<(), Trouble> {
        check(id == self.request.id, "a frame belongs to another execution")
    }

    fn check_value(&self, value: &Value, what: &str) -> Result<(), Trouble> {
        let (size, depth) = value.measure();
        if size > self.request.max_message_size {
            return Err(Trouble::Protocol(format!("{what} is larger than max_message_size")));
        }
        if depth > self.request.limits.max_value_depth {
            return Err(Trouble::Protocol(format!("{what} is deeper than max_value_depth")));
        }
        Ok(())
    }

    /// What the execution took, by what the worker says and by our own clock.
    pub(super) fn stats(&self, usage: Usage, cpu_time: Duration) -> ExecutionStats {
        let limits = &*self.request.limits;
        let elapsed = self.started.elapsed();
        let run_time = match usage.run_time_ns {
            0 => elapsed,
            told => Duration::from_nanos(told).min(elapsed),
        };
        ExecutionStats {
            execution_id: self.request.id,
            worker_id: None,
            queue_wait: Duration::ZERO,
            run_time,
            cpu_time: cpu_time.min(elapsed),
            peak_memory: credible(usage.peak_memory, self.memory_limit),
            tool_calls: usage.tool_calls.clamp(self.tool_calls, limits.max_tool_calls),
            console_calls: usage.console_calls.clamp(self.console_calls, limits.max_console_calls),
        }
    }
}

pub(super) fn check(fits: bool, problem: &str) -> Result<(), Trouble> {
    if fits { Ok(()) } else { Err(Trouble::Protocol(problem.to_owned())) }
}

/// What a worker says of its memory, as far as it can be: sums of it are shown, and decided upon.
pub(super) fn credible(memory: u64, limit: u64) -> u64 {
    memory.min(limit.saturating_mul(2))
}
