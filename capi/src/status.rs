//! [`enclave_status_t`]: how a call or an execution ended.

use std::ffi::{CStr, c_char};

use enclave_core::Status;

use crate::boundary::guard;

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

/// Every status with its name.
const NAMES: [(Status, &CStr); Status::ALL.len()] = [
    (Status::Ok, c"OK"),
    (Status::InvalidArgument, c"INVALID_ARGUMENT"),
    (Status::InvalidState, c"INVALID_STATE"),
    (Status::PoolClosed, c"POOL_CLOSED"),
    (Status::Forked, c"FORKED"),
    (Status::Unsupported, c"UNSUPPORTED"),
    (Status::SyntaxError, c"SYNTAX_ERROR"),
    (Status::Exception, c"EXCEPTION"),
    (Status::Unsettled, c"UNSETTLED"),
    (Status::ResultNotTransferable, c"RESULT_NOT_TRANSFERABLE"),
    (Status::Timeout, c"TIMEOUT"),
    (Status::CpuLimit, c"CPU_LIMIT"),
    (Status::MemoryLimit, c"MEMORY_LIMIT"),
    (Status::ConsoleLimit, c"CONSOLE_LIMIT"),
    (Status::ToolCallLimit, c"TOOL_CALL_LIMIT"),
    (Status::MessageFlood, c"MESSAGE_FLOOD"),
    (Status::MessageTooLarge, c"MESSAGE_TOO_LARGE"),
    (Status::Cancelled, c"CANCELLED"),
    (Status::QueueFull, c"QUEUE_FULL"),
    (Status::QueueTimeout, c"QUEUE_TIMEOUT"),
    (Status::WorkerCrashed, c"WORKER_CRASHED"),
    (Status::WorkerStartup, c"WORKER_STARTUP"),
    (Status::Internal, c"INTERNAL"),
];

const _: () = {
    assert!(ENCLAVE_OK == Status::Ok as i32);
    assert!(ENCLAVE_INVALID_ARGUMENT == Status::InvalidArgument as i32);
    assert!(ENCLAVE_INVALID_STATE == Status::InvalidState as i32);
    assert!(ENCLAVE_POOL_CLOSED == Status::PoolClosed as i32);
    assert!(ENCLAVE_FORKED == Status::Forked as i32);
    assert!(ENCLAVE_UNSUPPORTED == Status::Unsupported as i32);
    assert!(ENCLAVE_SYNTAX_ERROR == Status::SyntaxError as i32);
    assert!(ENCLAVE_EXCEPTION == Status::Exception as i32);
    assert!(ENCLAVE_UNSETTLED == Status::Unsettled as i32);
    assert!(ENCLAVE_RESULT_NOT_TRANSFERABLE == Status::ResultNotTransferable as i32);
    assert!(ENCLAVE_TIMEOUT == Status::Timeout as i32);
    assert!(ENCLAVE_CPU_LIMIT == Status::CpuLimit as i32);
    assert!(ENCLAVE_MEMORY_LIMIT == Status::MemoryLimit as i32);
    assert!(ENCLAVE_CONSOLE_LIMIT == Status::ConsoleLimit as i32);
    assert!(ENCLAVE_TOOL_CALL_LIMIT == Status::ToolCallLimit as i32);
    assert!(ENCLAVE_MESSAGE_FLOOD == Status::MessageFlood as i32);
    assert!(ENCLAVE_MESSAGE_TOO_LARGE == Status::MessageTooLarge as i32);
    assert!(ENCLAVE_CANCELLED == Status::Cancelled as i32);
    assert!(ENCLAVE_QUEUE_FULL == Status::QueueFull as i32);
    assert!(ENCLAVE_QUEUE_TIMEOUT == Status::QueueTimeout as i32);
    assert!(ENCLAVE_WORKER_CRASHED == Status::WorkerCrashed as i32);
    assert!(ENCLAVE_WORKER_STARTUP == Status::WorkerStartup as i32);
    assert!(ENCLAVE_INTERNAL == Status::Internal as i32);
};

/// The name of a status, such as `"MEMORY_LIMIT"`; NULL for a number that is none. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_status_name(status: enclave_status_t) -> *const c_char {
    guard(std::ptr::null(), || {
        NAMES.iter().find(|(known, _)| known.code() == status).map_or(std::ptr::null(), |(_, name)| name.as_ptr())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_name_that_core_gives_it() {
        for (place, (status, name)) in NAMES.iter().enumerate() {
            assert_eq!(*status, Status::ALL[place]);
            assert_eq!(name.to_str(), Ok(status.name()));
        }
    }
}
