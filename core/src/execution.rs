//! What one execution is made of, as plain data: what is asked ([`ExecutionOptions`]), what happens meanwhile
//! ([`ToolCall`], [`ConsoleLine`]) and how it ends ([`Outcome`]).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use minicbor::{Decode, Encode};

use crate::closed::closed;
use crate::config::ExecutionLimits;
use crate::error::Error;
use crate::value::Value;

closed! {
    /// How a source is read.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
    #[cbor(index_only)]
    pub enum SourceKind: i32, "kind" {
        /// A source that parses as a script and does not use `await` at its top level is a script, whose completion
        /// value is the result. Otherwise it is the body of an async function, where `return` gives the result, or a
        /// lone expression with `await`, whose value is the result.
        #[default]
        #[n(0)]
        Auto = 0 "auto",
        /// A script: the result is its completion value.
        #[n(1)]
        Script = 1 "script",
        /// The body of an async function: the result is what it returns.
        #[n(2)]
        Function = 2 "function",
    }
}

/// What to run: a text, or a [`Script`] that was compiled before.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) text: Arc<str>,
    /// How a script was compiled.
    pub(crate) script: Option<(SourceKind, Arc<str>)>,
}

impl Source {
    fn text(text: Arc<str>) -> Self {
        Source { text, script: None }
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        Source::text(text.into())
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Source::text(text.into())
    }
}

impl From<&String> for Source {
    fn from(text: &String) -> Self {
        Source::text(text.as_str().into())
    }
}

impl From<Arc<str>> for Source {
    fn from(text: Arc<str>) -> Self {
        Source::text(text)
    }
}

impl From<&Script> for Source {
    fn from(script: &Script) -> Self {
        Source { text: script.source.clone(), script: Some((script.kind, script.filename.clone())) }
    }
}

/// A source that [`Pool::compile`](crate::Pool::compile) has compiled, to run any number of times: pass a reference to
/// it wherever a source is taken.
///
/// It belongs to no pool: each worker that runs it compiles it once and keeps the result as far as there is room (a
/// 32nd of its memory limit for all that it keeps). A clone is the same script.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) source: Arc<str>,
    pub(crate) kind: SourceKind,
    pub(crate) filename: Arc<str>,
}

impl Script {
    /// The source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How the source is read.
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// Name of the source in stack traces.
    pub fn filename(&self) -> &str {
        &self.filename
    }
}

/// Settings of one execution. `Default` gives an `auto` source with the pool's own limits and handlers.
#[derive(Clone, Default)]
pub struct ExecutionOptions {
    /// How the source is read. A [`Script`] has its own.
    pub kind: SourceKind,
    /// Name of the source in stack traces; default `main.js`. A [`Script`] has its own.
    pub filename: Option<String>,
    /// Global variables, copied into the realm before the script runs. A name must be an identifier.
    pub globals: Vec<(String, Value)>,
    /// Limits instead of the pool's.
    pub limits: Option<ExecutionLimits>,
    /// Collect console lines in [`Outcome::console`].
    pub collect_console: bool,
    /// Receives console lines as they come, instead of the pool's handler.
    pub on_console: Option<ConsoleHandler>,
    /// Tools for this execution alone, beside the pool's and in place of those of the same name. Names are as for
    /// [`Pool::register_tool`](crate::Pool::register_tool).
    pub tools: Vec<(String, ToolHandler)>,
    /// Answers all tool calls instead of the pool's handlers and [`tools`](Self::tools).
    pub tool_handler: Option<ToolHandler>,
}

impl fmt::Debug for ExecutionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutionOptions")
            .field("kind", &self.kind)
            .field("filename", &self.filename)
            .field("globals", &self.globals)
            .field("limits", &self.limits)
            .field("collect_console", &self.collect_console)
            .field("on_console", &self.on_console.is_some())
            .field("tools", &self.tools.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("tool_handler", &self.tool_handler.is_some())
            .finish()
    }
}

/// Receives console lines, on the worker's thread; it should return soon.
pub type ConsoleHandler = Arc<dyn Fn(&ConsoleLine) + Send + Sync>;

/// Answers tool calls. It runs on the worker's thread, should return soon, and may answer later from any thread
/// through [`ToolCall::reply`]. Blocking delays only its own execution.
pub type ToolHandler = Arc<dyn Fn(ToolCall) + Send + Sync>;

closed! {
    /// The level of a console line.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
    #[cbor(index_only)]
    pub enum ConsoleLevel: i32, "console level" {
        /// `console.debug`, `console.trace`.
        #[n(0)]
        Debug = 0 "debug",
        /// `console.log` and the methods that print like it.
        #[n(1)]
        Log = 1 "log",
        /// `console.info`.
        #[n(2)]
        Info = 2 "info",
        /// `console.warn`.
        #[n(3)]
        Warn = 3 "warn",
        /// `console.error`, `console.assert`.
        #[n(4)]
        Error = 4 "error",
    }
}

/// One console call of a script, formatted.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsoleLine {
    /// The execution's id.
    pub execution_id: u64,
    /// The level.
    pub level: ConsoleLevel,
    /// When it was called.
    pub time: SystemTime,
    /// The text. It may contain line breaks, but does not end in one.
    pub text: String,
}

/// A tool call of a script, to be answered through [`ToolCall::reply`].
#[derive(Debug)]
pub struct ToolCall {
    /// The execution's id.
    pub execution_id: u64,
    /// The tool's name.
    pub name: String,
    /// The argument; `undefined` if the script gave none.
    pub args: Value,
    /// Where the answer goes.
    pub reply: ToolReply,
}

/// The place for the answer to a tool call: once, from any thread, at any time.
///
/// Dropping it unanswered rejects the call. An answer that comes after the execution has ended is dropped.
pub struct ToolReply {
    send: Option<Box<dyn FnOnce(Result<Value, ToolError>) + Send>>,
}

impl ToolReply {
    pub(crate) fn new(send: impl FnOnce(Result<Value, ToolError>) + Send + 'static) -> Self {
        ToolReply { send: Some(Box::new(send)) }
    }

    /// Fulfils the script's promise with a value.
    pub fn resolve(self, value: Value) {
        self.send(Ok(value));
    }

    /// Rejects the script's promise with an `Error` of this name, message and code.
    pub fn reject(self, error: ToolError) {
        self.send(Err(error));
    }

    /// Fulfils or rejects.
    pub fn send(mut self, answer: Result<Value, ToolError>) {
        if let Some(send) = self.send.take() {
            send(answer);
        }
    }
}

impl Drop for ToolReply {
    fn drop(&mut self) {
        if let Some(send) = self.send.take() {
            send(Err(ToolError::new("the tool's handler dropped the call without an answer")));
        }
    }
}

impl fmt::Debug for ToolReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToolReply")
    }
}

/// Why a tool call failed, as the script sees it: nothing else of the host's error reaches the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolError {
    /// `error.name`; default `Error`.
    pub name: String,
    /// `error.message`.
    pub message: String,
    /// `error.code`, where given.
    pub code: Option<String>,
}

impl ToolError {
    /// An error named `Error`, without a code.
    pub fn new(message: impl Into<String>) -> Self {
        ToolError { name: "Error".into(), message: message.into(), code: None }
    }
}

/// The regular expression that the name of a tool matches.
pub const TOOL_NAME: &str = "[A-Za-z_][A-Za-z0-9_:.-]{0,255}";

/// Whether this can name a tool: see [`TOOL_NAME`].
pub(crate) fn is_tool_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 256
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_:.-".contains(&b))
}

/// How an execution ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The value, or what went wrong.
    pub result: Result<Value, Error>,
    /// What it took.
    pub stats: ExecutionStats,
    /// The console lines in order, if [`ExecutionOptions::collect_console`] was set.
    pub console: Vec<ConsoleLine>,
}

/// What one execution took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecutionStats {
    /// The execution's id, unique in its pool.
    pub execution_id: u64,
    /// The worker that ran it; none if it never started.
    pub worker_id: Option<u64>,
    /// Time in the queue.
    pub queue_wait: Duration,
    /// Wall-clock time on the worker.
    pub run_time: Duration,
    /// CPU time on the worker.
    pub cpu_time: Duration,
    /// The most memory that the worker held during the execution, in bytes.
    pub peak_memory: u64,
    /// Tool calls made.
    pub tool_calls: u32,
    /// Console calls made.
    pub console_calls: u32,
}
