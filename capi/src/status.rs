//! [`enclave_status_t`]: how a call or an execution ended.

use std::ffi::c_char;

use enclave_core::Status;

use crate::boundary::guard;
use crate::pinned::{name_or_null, pinned};

/// How a call or an execution ended: one of the constants below. The numbers are pinned and never reused, in bands:
/// 1-99 misuse, 100-199 the script, 200-299 limits, 300-399 admission, 400-499 workers, 500 this library.
pub type enclave_status_t = i32;

/// It worked.
pub const ENCLAVE_OK: enclave_status_t = 0;
/// An argument or setting is wrong; the message names it and what it accepts.
pub const ENCLAVE_INVALID_ARGUMENT: enclave_status_t = 1;
/// The call is not possible now, such as a wait inside a callback of the library.
pub const ENCLAVE_INVALID_STATE: enclave_status_t = 2;
/// Submitted after shutdown, or dropped by it.
pub const ENCLAVE_POOL_CLOSED: enclave_status_t = 3;
/// Used in a process forked from the one that made the pool.
pub const ENCLAVE_FORKED: enclave_status_t = 4;
/// Not available here; the message says why.
pub const ENCLAVE_UNSUPPORTED: enclave_status_t = 5;
/// The source does not parse; the error has line, column and the line's text.
pub const ENCLAVE_SYNTAX_ERROR: enclave_status_t = 100;
/// The script threw and nothing caught it; the error has name, message, code, stack, line and column.
pub const ENCLAVE_EXCEPTION: enclave_status_t = 101;
/// The script waits for a promise that nothing can settle any more.
pub const ENCLAVE_UNSETTLED: enclave_status_t = 102;
/// The result cannot be copied out; the error has the path to the value in the way.
pub const ENCLAVE_RESULT_NOT_TRANSFERABLE: enclave_status_t = 103;
/// The wall-clock limit; time in the queue does not count. The worker was replaced.
pub const ENCLAVE_TIMEOUT: enclave_status_t = 200;
/// The limit of CPU time. The worker was replaced.
pub const ENCLAVE_CPU_LIMIT: enclave_status_t = 201;
/// The worker's memory limit; the error has used and limit bytes. The worker was replaced.
pub const ENCLAVE_MEMORY_LIMIT: enclave_status_t = 202;
/// Too many console calls or too much console output. The worker was replaced.
pub const ENCLAVE_CONSOLE_LIMIT: enclave_status_t = 203;
/// Too many tool calls, or too many pending at once. The worker was replaced.
pub const ENCLAVE_TOOL_CALL_LIMIT: enclave_status_t = 204;
/// Too many tool calls and console lines in a second. The worker was replaced.
pub const ENCLAVE_MESSAGE_FLOOD: enclave_status_t = 205;
/// A source, result, tool argument, tool reply or console line over `max_message_size`.
pub const ENCLAVE_MESSAGE_TOO_LARGE: enclave_status_t = 206;
/// Cancelled by the caller. The worker was replaced if it had started.
pub const ENCLAVE_CANCELLED: enclave_status_t = 207;
/// No place in the queue; the error has the queue's size and when to try again.
pub const ENCLAVE_QUEUE_FULL: enclave_status_t = 300;
/// Waited too long in the queue; the error has the time.
pub const ENCLAVE_QUEUE_TIMEOUT: enclave_status_t = 301;
/// The worker crashed or stopped responding; the error has the signal, where there was one.
pub const ENCLAVE_WORKER_CRASHED: enclave_status_t = 400;
/// A worker could not be started; the message has the cause.
pub const ENCLAVE_WORKER_STARTUP: enclave_status_t = 401;
/// A bug of this library.
pub const ENCLAVE_INTERNAL: enclave_status_t = 500;

pinned! { Status as enclave_status_t:
    ENCLAVE_OK = Ok,
    ENCLAVE_INVALID_ARGUMENT = InvalidArgument,
    ENCLAVE_INVALID_STATE = InvalidState,
    ENCLAVE_POOL_CLOSED = PoolClosed,
    ENCLAVE_FORKED = Forked,
    ENCLAVE_UNSUPPORTED = Unsupported,
    ENCLAVE_SYNTAX_ERROR = SyntaxError,
    ENCLAVE_EXCEPTION = Exception,
    ENCLAVE_UNSETTLED = Unsettled,
    ENCLAVE_RESULT_NOT_TRANSFERABLE = ResultNotTransferable,
    ENCLAVE_TIMEOUT = Timeout,
    ENCLAVE_CPU_LIMIT = CpuLimit,
    ENCLAVE_MEMORY_LIMIT = MemoryLimit,
    ENCLAVE_CONSOLE_LIMIT = ConsoleLimit,
    ENCLAVE_TOOL_CALL_LIMIT = ToolCallLimit,
    ENCLAVE_MESSAGE_FLOOD = MessageFlood,
    ENCLAVE_MESSAGE_TOO_LARGE = MessageTooLarge,
    ENCLAVE_CANCELLED = Cancelled,
    ENCLAVE_QUEUE_FULL = QueueFull,
    ENCLAVE_QUEUE_TIMEOUT = QueueTimeout,
    ENCLAVE_WORKER_CRASHED = WorkerCrashed,
    ENCLAVE_WORKER_STARTUP = WorkerStartup,
    ENCLAVE_INTERNAL = Internal,
}

/// The name of a status, such as `"MEMORY_LIMIT"`; NULL for a number that is none. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_status_name(status: enclave_status_t) -> *const c_char {
    guard(std::ptr::null(), || name_or_null(Status::from_number(status).map(Status::c_name)))
}
