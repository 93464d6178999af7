// enclave: runs untrusted JavaScript in a pool of isolated SpiderMonkey workers.
//
// A config makes a pool; a pool runs scripts; every execution ends in exactly one outcome, with a value or an error.
//
//     enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_SECURE);
//     enclave_pool_t *pool;
//     enclave_error_t *error;
//     if (enclave_pool_new(config, &pool, &error) != ENCLAVE_OK) { ... enclave_error_message(error, NULL) ... }
//     enclave_outcome_t *outcome;
//     enclave_pool_run(pool, "1 + 1", ENCLAVE_NUL_TERMINATED, NULL, &outcome);
//
// STATUS AND ERROR. A function that can fail returns an `enclave_status_t`. If there is more to say, the last
//   parameter is a place for an error, NULL if not wanted. It is always written: NULL with ENCLAVE_OK, otherwise an
//   error that the caller frees. On failure, places for objects are set to NULL. There is no "last error", and nothing
//   is global or per thread.
// OWNERSHIP. What `_new`, `_clone`, `_from_` and an output parameter give belongs to the caller, who frees it with the
//   `_free` of its type; every `_free` takes NULL. `const` is lent, and lives as long as its documentation says. A
//   parameter that is `taken` belongs to the library from the call on, even if the call fails; no other is kept.
//   Structures with a `size` are made by the library and only read: a newer one may be longer, never different.
// TEXT is UTF-8, as pointer and length, or ENCLAVE_NUL_TERMINATED as the length; text that is not UTF-8 is refused.
//   Text that comes out is followed by a NUL, except inside values, and may contain NULs: the length counts. A time is
//   in milliseconds (`_ms`) or nanoseconds (`_ns`), a size in bytes. A number out of range is refused with an error
//   that says what is accepted.
// THREADS. Any thread may use any object. Several threads at the same time may use executions, tool calls, pools, and
//   objects whose parameter is `const`; only one at a time the others (configs, options, values being built). `_free`
//   comes last.
// CALLBACKS are a function, its `user_data` and a finalizer that takes the data back. The finalizer runs exactly once,
//   when the function will not be called again, even if the registration fails. Callbacks run on threads of the
//   library, several at the same time. They should return soon, and must not throw, longjmp or end the thread. They may
//   call anything, but a call that would wait there for its own pool (run, wait, shutdown) gives INVALID_STATE.
// FORK. In a child forked after a pool was made, pools and executions give FORKED and free nothing. Everything else
//   works, as do exec and exit. The library cannot be unloaded, and needs no clean-up: a process may exit at any time.
//   It leaves signal handlers, environment, locale and standard streams as they are.
// VERSIONS. While the first part is 0, the second grows with changes that break callers, and is in the SONAME.
//   Numbers of constants are never reused. `enclave_version_number()` tells the library's version from this header's.

#ifndef ENCLAVE_H
#define ENCLAVE_H

/* Written by cbindgen from capi/src: change it there, then `make header`. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// As the length of a text: it ends at its first NUL.
#define ENCLAVE_NUL_TERMINATED SIZE_MAX

/// Version of this header, first part: grows with changes that break callers.
#define ENCLAVE_VERSION_MAJOR 0

/// Second part: grows with additions; while the first part is 0, also with changes that break callers.
#define ENCLAVE_VERSION_MINOR 1

/// Third part: grows with corrections.
#define ENCLAVE_VERSION_PATCH 0

/// Version of this header as one number: `major * 1000000 + minor * 1000 + patch`.
#define ENCLAVE_VERSION_NUMBER 1000

/// As the time of `enclave_pool_shutdown`: the pool's `ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS`.
#define ENCLAVE_POOL_TIMEOUT (UINT64_MAX - 1)

/// As a time to wait: without end.
#define ENCLAVE_NO_TIMEOUT UINT64_MAX

/// The settings of a pool: a preset, changes to it, and callbacks. It may make any number of pools, and may be changed
/// or freed as soon as a pool is made. Only one thread at a time may change it.
typedef struct enclave_config_t enclave_config_t;

/// Why a call or an execution failed. Immutable; may be read from any thread. An owned one is freed with
/// `enclave_error_free`, one lent by an outcome lives as long as the outcome.
///
/// Texts are lent and live as long as the error. An accessor gives NULL or 0 if the error does not have what it asks
/// for; its documentation says which statuses have it.
typedef struct enclave_error_t enclave_error_t;

/// A submitted execution. Owned by the caller. Several threads may use it at the same time. Freeing it neither cancels
/// the execution nor waits for it. It may outlive its pool.
typedef struct enclave_execution_t enclave_execution_t;

/// Settings of one execution. Any number of executions may use them, also at the same time. They may be changed or
/// freed as soon as an execution is submitted. Only one thread at a time may change them.
typedef struct enclave_options_t enclave_options_t;

/// How an execution ended. Immutable; may be read from any thread. Owned by the caller. What its accessors give is lent
/// until it is freed. It does not need its execution or pool any more.
typedef struct enclave_outcome_t enclave_outcome_t;

/// A pool of workers. Owned by the caller. Several threads may call its functions at the same time, except
/// `enclave_pool_free`.
typedef struct enclave_pool_t enclave_pool_t;

/// A source that `enclave_pool_compile` has compiled, to run any number of times. Each worker that runs it compiles it
/// once, and keeps the result as far as there is room (a 32nd of its memory limit for all that it keeps). Owned by the
/// caller. It never changes, several threads and any pool may use it, and it may outlive the pool that compiled it.
typedef struct enclave_script_t enclave_script_t;

/// A tool call that waits for its answer. The first of `enclave_tool_call_resolve`, `_resolve_json`, `_resolve_cbor`
/// and `_reject` answers it. Any further answer gives INVALID_STATE and changes nothing, so several threads may try.
/// Free it with `enclave_tool_call_free` when no thread uses it any more. If it has no answer then, the script's
/// promise is rejected.
///
/// A call may outlive its execution and its pool; an answer that comes too late is dropped.
typedef struct enclave_tool_call_t enclave_tool_call_t;

/// A JavaScript value outside its script. An owned value belongs to the caller until it is freed or given away. A lent
/// one (`const`) belongs to its lender: a container, an outcome, a tool call. To keep it longer, clone it. Any thread
/// may use a value, and several may read it at the same time.
///
/// A function that *takes* a value owns it from then on, even if it fails, so values can be built in place:
/// `enclave_value_push(list, enclave_value_new_number(1), NULL)`.
typedef struct enclave_value_t enclave_value_t;

/// How a call or an execution ended: one of the constants below. The numbers are pinned and never reused, in bands:
/// 1-99 misuse, 100-199 the script, 200-299 limits, 300-399 admission, 400-499 workers, 500 this library.
typedef int32_t enclave_status_t;

/// What can be set: one of the constants below. A number is milliseconds if the name ends in `_MS`, bytes if the text
/// says so, a count, or 0 and 1. From 100 on they are limits of an execution: a config sets them for all executions of
/// its pool, options for one.
typedef int32_t enclave_setting_t;

/// Bytes made by the library for the caller, such as JSON or CBOR. It is filled by a function that takes a pointer
/// to it, and emptied by `enclave_buffer_free`; an unused one is `{NULL, 0}`. This
/// structure does not grow.
typedef struct enclave_buffer_t {
    /// The bytes, followed by a NUL that `len` does not count. Do not change the pointer.
    char *data;
    /// Their number. Do not change it.
    size_t len;
} enclave_buffer_t;

/// What kind of value a value is.
typedef int32_t enclave_value_kind_t;

/// A named table of settings.
typedef int32_t enclave_preset_t;

/// Why a worker has left the pool.
typedef int32_t enclave_recycle_reason_t;

/// A worker that has left the pool. Made by the library, which may append fields.
typedef struct enclave_worker_recycled_t {
    /// Bytes of this structure in the loaded library.
    size_t size;
    /// The worker's id, unique in its pool.
    uint64_t worker_id;
    /// Executions that it has served.
    uint64_t executions;
    /// Nanoseconds since it was started.
    uint64_t age_ns;
    /// Why it has left.
    enclave_recycle_reason_t reason;
} enclave_worker_recycled_t;

/// Receives a worker that has left; the event is lent until the callback returns.
typedef void (*enclave_worker_recycled_fn)(void *user_data, const struct enclave_worker_recycled_t *event);

/// Takes back the `user_data` of a callback. It runs exactly once, when the library will not call the callback any
/// more, even if the registration has failed, and possibly on a thread of the library. NULL if there is nothing to take
/// back. It may not call functions that wait.
typedef void (*enclave_finalizer_fn)(void *user_data);

/// How long something took, over all executions of a pool. Times are nanoseconds, 0 where nothing was counted. This
/// structure does not grow.
typedef struct enclave_histogram_t {
    /// Executions counted.
    uint64_t count;
    /// Half of them took at most this long.
    uint64_t p50_ns;
    /// 90 % of them took at most this long.
    uint64_t p90_ns;
    /// 99 % of them took at most this long.
    uint64_t p99_ns;
    /// The longest.
    uint64_t max_ns;
} enclave_histogram_t;

/// The executions that ended in one status. This structure does not grow.
typedef struct enclave_status_count_t {
    /// How many.
    uint64_t count;
    /// The status.
    enclave_status_t status;
} enclave_status_count_t;

/// The workers that left for one reason. This structure does not grow.
typedef struct enclave_recycle_count_t {
    /// How many.
    uint64_t count;
    /// The reason.
    enclave_recycle_reason_t reason;
} enclave_recycle_count_t;

/// Where workers run.
typedef int32_t enclave_isolation_t;

/// Parts of the sandbox around a worker process: the constants below, or several of them together (`|`).
typedef uint32_t enclave_sandbox_part_t;

/// A snapshot of a pool's stats. Made by the library, which may append fields; what it points to lives as long as it.
typedef struct enclave_pool_stats_t {
    /// Bytes of this structure in the loaded library.
    size_t size;
    /// Nanoseconds since the pool was made.
    uint64_t uptime_ns;
    /// Workers that start.
    uint64_t workers_starting;
    /// Workers that wait for an execution.
    uint64_t workers_idle;
    /// Workers that run an execution.
    uint64_t workers_executing;
    /// Workers that are being replaced or stopped.
    uint64_t workers_recycling;
    /// Workers that did not stop when told to, and whose place is free for others.
    uint64_t workers_set_aside;
    /// Workers that run an execution, as `workers_executing`.
    uint64_t active_workers;
    /// Executions waiting for a worker.
    uint64_t queue_depth;
    /// Executions that have ended, in whatever status.
    uint64_t executions_total;
    /// Workers that have left, for whatever reason.
    uint64_t recycles_total;
    /// Tool calls made.
    uint64_t tool_calls;
    /// Console lines written.
    uint64_t console_lines;
    /// Executions ended because they sent too many messages.
    uint64_t rate_limit_hits;
    /// Bytes that the workers hold, as last seen.
    uint64_t memory_current;
    /// The most bytes that the workers have held together, as seen.
    uint64_t memory_peak;
    /// Time in the queue.
    struct enclave_histogram_t queue_wait;
    /// Wall-clock time on the worker.
    struct enclave_histogram_t run_time;
    /// Executions by status: every status that the library knows, in ascending order.
    const struct enclave_status_count_t *executions;
    /// Entries of `executions`.
    size_t executions_len;
    /// Workers that have left, by reason: every reason that the library knows, in ascending order.
    const struct enclave_recycle_count_t *recycles;
    /// Entries of `recycles`.
    size_t recycles_len;
    /// Executions whose worker process the kernel has killed for a system call that the sandbox forbids.
    uint64_t sandbox_violations;
    /// Where the workers run.
    enclave_isolation_t isolation;
    /// Parts of the sandbox that worker processes lack, together (`|`); 0 for workers that are threads, which have
    /// none.
    enclave_sandbox_part_t sandbox_missing;
    /// The mean of `queue_wait`, in nanoseconds: times its count, it is their sum.
    uint64_t queue_wait_mean_ns;
    /// The mean of `run_time`, in nanoseconds.
    uint64_t run_time_mean_ns;
} enclave_pool_stats_t;

/// Receives the pool's stats, lent until the callback returns.
typedef void (*enclave_stats_fn)(void *user_data, const struct enclave_pool_stats_t *stats);

/// The level of a console line, in ascending order.
typedef int32_t enclave_console_level_t;

/// One console call of a script, formatted. Made by the library, which may append fields.
typedef struct enclave_console_line_t {
    /// Bytes of this structure in the loaded library.
    size_t size;
    /// The execution's id.
    uint64_t execution_id;
    /// When it was called, in microseconds since 1970-01-01T00:00:00Z.
    int64_t time_us;
    /// The text, UTF-8 followed by a NUL. It may contain line breaks, but does not end in one.
    const char *text;
    /// The bytes of the text.
    size_t text_len;
    /// The level.
    enclave_console_level_t level;
} enclave_console_line_t;

/// Receives console lines. The line is lent until the callback returns. It runs on the worker's thread and should
/// return soon: while it runs, its script stands still, but no longer than its timeout.
typedef void (*enclave_console_fn)(void *user_data, const struct enclave_console_line_t *line);

/// Answers tool calls. It owns `call`: the callback, or whoever it hands the call to, answers the call once, now or
/// later, from any thread, and frees it.
///
/// It runs on the worker's thread and should return soon: while it runs, its script stands still, but no longer than
/// its timeout.
typedef void (*enclave_tool_fn)(void *user_data, struct enclave_tool_call_t *call);

/// How a source is read.
typedef int32_t enclave_source_kind_t;

/// Receives the outcome of an execution and owns it: the callback, or whoever it hands the outcome to, frees it. It is
/// called once, on the thread that made the outcome, and should return soon. The finalizer runs right after it. If it
/// ends other executions of the pool, their callbacks are called after it has returned.
typedef void (*enclave_complete_fn)(void *user_data, struct enclave_outcome_t *outcome);

/// What one execution took. Made by the library, which may append fields.
typedef struct enclave_execution_stats_t {
    /// Bytes of this structure in the loaded library.
    size_t size;
    /// The execution's id, unique in its pool; 0 if it was refused.
    uint64_t execution_id;
    /// The id of the worker that ran it; 0 if it never started.
    uint64_t worker_id;
    /// Nanoseconds in the queue.
    uint64_t queue_wait_ns;
    /// Wall-clock nanoseconds on the worker.
    uint64_t run_time_ns;
    /// CPU nanoseconds on the worker.
    uint64_t cpu_time_ns;
    /// The most bytes that the worker held during the execution.
    uint64_t peak_memory;
    /// Tool calls made.
    uint32_t tool_calls;
    /// Console calls made.
    uint32_t console_calls;
} enclave_execution_stats_t;

/// It worked.
#define ENCLAVE_OK 0

/// An argument or setting is wrong; the message names it and what it accepts.
#define ENCLAVE_INVALID_ARGUMENT 1

/// The call is not possible now, such as a wait inside a callback of the library.
#define ENCLAVE_INVALID_STATE 2

/// Submitted after shutdown, or dropped by it.
#define ENCLAVE_POOL_CLOSED 3

/// Used in a process forked from the one that made the pool.
#define ENCLAVE_FORKED 4

/// Not available here; the message says why.
#define ENCLAVE_UNSUPPORTED 5

/// The source does not parse; the error has line, column and the line's text.
#define ENCLAVE_SYNTAX_ERROR 100

/// The script threw and nothing caught it; the error has name, message, code, stack, line and column.
#define ENCLAVE_EXCEPTION 101

/// The script waits for a promise that nothing can settle any more.
#define ENCLAVE_UNSETTLED 102

/// The result cannot be copied out; the error has the path to the value in the way.
#define ENCLAVE_RESULT_NOT_TRANSFERABLE 103

/// The wall-clock limit; time in the queue does not count. The worker was replaced.
#define ENCLAVE_TIMEOUT 200

/// The limit of CPU time. The worker was replaced.
#define ENCLAVE_CPU_LIMIT 201

/// The worker's memory limit; the error has used and limit bytes. The worker was replaced.
#define ENCLAVE_MEMORY_LIMIT 202

/// Too many console calls or too much console output. The worker was replaced.
#define ENCLAVE_CONSOLE_LIMIT 203

/// Too many tool calls, or too many pending at once. The worker was replaced.
#define ENCLAVE_TOOL_CALL_LIMIT 204

/// Too many tool calls and console lines in a second. The worker was replaced.
#define ENCLAVE_MESSAGE_FLOOD 205

/// A source, result, tool argument, tool reply or console line over `max_message_size`.
#define ENCLAVE_MESSAGE_TOO_LARGE 206

/// Cancelled by the caller. The worker was replaced if it had started.
#define ENCLAVE_CANCELLED 207

/// No place in the queue; the error has the queue's size and when to try again.
#define ENCLAVE_QUEUE_FULL 300

/// Waited too long in the queue; the error has the time.
#define ENCLAVE_QUEUE_TIMEOUT 301

/// The worker crashed or stopped responding; the error has the signal, where there was one.
#define ENCLAVE_WORKER_CRASHED 400

/// A worker could not be started; the message has the cause.
#define ENCLAVE_WORKER_STARTUP 401

/// A bug of this library.
#define ENCLAVE_INTERNAL 500

/// `undefined`.
#define ENCLAVE_VALUE_UNDEFINED 0

/// `null`.
#define ENCLAVE_VALUE_NULL 1

/// `true` or `false`.
#define ENCLAVE_VALUE_BOOL 2

/// A number; `-0`, `NaN` and the infinities are kept.
#define ENCLAVE_VALUE_NUMBER 3

/// A bigint of any size.
#define ENCLAVE_VALUE_BIGINT 4

/// A string; a lone surrogate has become U+FFFD.
#define ENCLAVE_VALUE_STRING 5

/// The bytes of an `ArrayBuffer`, or those that a typed array or `DataView` shows; into a script, a `Uint8Array`.
#define ENCLAVE_VALUE_BYTES 6

/// A `Date`.
#define ENCLAVE_VALUE_DATE 7

/// An array.
#define ENCLAVE_VALUE_ARRAY 8

/// A `Map`, in insertion order.
#define ENCLAVE_VALUE_MAP 9

/// A `Set`, in insertion order.
#define ENCLAVE_VALUE_SET 10

/// Any other object: its own enumerable string keys, in order, without functions and symbols.
#define ENCLAVE_VALUE_OBJECT 11

/// An `Error` object.
#define ENCLAVE_VALUE_ERROR 12

/// A thread of this process.
#define ENCLAVE_ISOLATION_THREAD 0

/// A sandboxed child process.
#define ENCLAVE_ISOLATION_PROCESS 1

/// No setting.
#define ENCLAVE_SETTING_NONE 0

/// Where workers run: `ENCLAVE_ISOLATION_THREAD` or `ENCLAVE_ISOLATION_PROCESS`. Default, and in all
/// presets: process.
#define ENCLAVE_SETTING_ISOLATION 1

/// Workers kept warm, 0 to `max_workers`. Default 2, or `max_workers` where that is smaller; presets 2, 2, 2, 4.
#define ENCLAVE_SETTING_MIN_WORKERS 2

/// Most workers at a time, 1 to 1024. Default: the number of CPUs; presets 4, 8, 16, 32.
#define ENCLAVE_SETTING_MAX_WORKERS 3

/// Bytes that one worker may hold, 16 MiB to 1 TiB. Default 128 MiB; presets 64, 128, 256, 512 MiB.
#define ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER 4

/// Executions after which a worker is replaced, at least 1. Default 1000; presets 100, 500, 1000, 5000.
#define ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER 5

/// Most executions waiting for a worker, 0 to 10 000 000; 0 refuses whatever cannot start at once. Default 100;
/// presets 20, 50, 100, 500.
#define ENCLAVE_SETTING_MAX_QUEUE_SIZE 6

/// Longest wait in the queue in milliseconds, at least 1. Default 30 000; presets 10 000, 20 000, 30 000, 60 000.
#define ENCLAVE_SETTING_QUEUE_TIMEOUT_MS 7

/// Tool calls and console lines that an execution may send in a second, at least 1: a token bucket of this size, full
/// at the start of every execution. Default 1000; presets 100, 500, 1000, 5000.
#define ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND 8

/// Milliseconds after which an idle worker beyond `min_workers` is stopped, at least 1. Default 30 000; presets
/// 15 000, 30 000, 30 000, 60 000.
#define ENCLAVE_SETTING_IDLE_TIMEOUT_MS 9

/// Milliseconds that shutdown waits for running executions before it ends them; 0 ends them immediately. Default 5000;
/// presets 2000, 3000, 5000, 10 000.
#define ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS 10

/// Most bytes in one source, result, tool argument, tool reply or console line, 1 KiB to 1 GiB - 2. Default 16 MiB;
/// presets 1, 4, 16, 64 MiB.
#define ENCLAVE_SETTING_MAX_MESSAGE_SIZE 11

/// Tool calls of one execution that may wait for their answers at a time. Default 100; presets 10, 50, 100, 1000.
#define ENCLAVE_SETTING_MAX_PENDING_TOOL_CALLS 12

/// 1: start `min_workers` workers when the pool is made, and fail if one cannot start. 0: start them when they are
/// needed. Default 1.
#define ENCLAVE_SETTING_WARM_ON_INIT 13

/// Milliseconds between two calls of the stats callback, at least 1. Default 1000.
#define ENCLAVE_SETTING_STATS_INTERVAL_MS 14

/// 1: let worker processes compile scripts to machine code. 0: scripts are interpreted, which is slower and exposes
/// less of the engine. Workers that are threads always compile. Default 1; presets 0, 1, 1, 1.
#define ENCLAVE_SETTING_JIT 15

/// 1: refuse to make a pool (UNSUPPORTED) if any part of the sandbox of process isolation is missing. 0: do without it,
/// and say so in `enclave_pool_stats_t.sandbox_missing`. Default 0.
#define ENCLAVE_SETTING_REQUIRE_SANDBOX 16

/// 1: refuse to make a pool (UNSUPPORTED) if worker processes cannot have the filter of system calls (seccomp), the
/// most important part of their sandbox. 0: do without it, as with other parts. It does not concern threads. Default 0;
/// presets 1, 1, 0, 0.
#define ENCLAVE_SETTING_REQUIRE_SECCOMP 17

/// Wall-clock milliseconds from the start on a worker (waiting in the queue not counted), at least 1. Presets 5000,
/// 15 000, 30 000 (default), 60 000.
#define ENCLAVE_SETTING_TIMEOUT_MS 100

/// CPU milliseconds of the worker; waiting for tools and timers costs about 0.05 each; 0: no limit. Presets 2000,
/// 10 000, 0 (default), 0.
#define ENCLAVE_SETTING_CPU_TIME_LIMIT_MS 101

/// Tool calls. Presets 10, 50, 100 (default), 1000.
#define ENCLAVE_SETTING_MAX_TOOL_CALLS 102

/// Console calls. Presets 100, 500, 1000 (default), 10 000.
#define ENCLAVE_SETTING_MAX_CONSOLE_CALLS 103

/// UTF-8 bytes of console output. Presets 64 KiB, 256 KiB, 1 MiB (default), 10 MiB.
#define ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT 104

/// Levels of nesting in a value that crosses the boundary, 1 to 512. Presets 32, 64, 128 (default), 256.
#define ENCLAVE_SETTING_MAX_VALUE_DEPTH 105

/// 1: remove file names and native frames from stack traces. Presets 1, 1, 0 (default), 0.
#define ENCLAVE_SETTING_SANITIZE_STACK_TRACES 106

/// 1: every clock that the script can read stands still during one execution. Presets 1, 0, 0 (default), 0.
#define ENCLAVE_SETTING_BLOCK_TIMING_APIS 107

/// 1: allow `eval` and the `Function` constructors. Presets 0, 0, 0 (default), 1.
#define ENCLAVE_SETTING_ALLOW_CODE_GENERATION 108

/// 1: allow WebAssembly. Must be 0: it is not supported yet.
#define ENCLAVE_SETTING_ALLOW_WASM 109

/// Bytes of the host's memory that the arguments of unanswered tool calls, and the answers that the script has not
/// taken yet, may hold together. If nothing is held, the next one always has a place. Presets 4, 16, 64 (default), 256
/// MiB.
#define ENCLAVE_SETTING_MAX_PENDING_BYTES 110

/// The defaults: those of STANDARD, with as many workers as there are CPUs and 128 MiB each.
#define ENCLAVE_PRESET_DEFAULT 0

/// For code from strangers: 4 workers of 64 MiB, 5 s wall, 2 s CPU, no code generation, no clocks.
#define ENCLAVE_PRESET_STRICT 1

/// For untrusted code with a purpose: 8 workers of 128 MiB, 15 s wall, 10 s CPU.
#define ENCLAVE_PRESET_SECURE 2

/// For code of known origin: 16 workers of 256 MiB, 30 s wall.
#define ENCLAVE_PRESET_STANDARD 3

/// For trusted code: 32 workers of 512 MiB, 60 s wall, `eval` allowed.
#define ENCLAVE_PRESET_PERMISSIVE 4

/// The default. A source that parses as a script and does not use `await` at its top level is a script, whose
/// completion value is the result (`1 + 1` gives 2). Otherwise it is the body of an async function, where `return`
/// gives the result, or a lone expression with `await`, whose value is the result.
#define ENCLAVE_SOURCE_AUTO 0

/// A script: the result is its completion value.
#define ENCLAVE_SOURCE_SCRIPT 1

/// The body of an async function: the result is what it returns.
#define ENCLAVE_SOURCE_FUNCTION 2

/// `console.debug`, `console.trace`.
#define ENCLAVE_CONSOLE_DEBUG 0

/// `console.log` and the methods that print like it.
#define ENCLAVE_CONSOLE_LOG 1

/// `console.info`.
#define ENCLAVE_CONSOLE_INFO 2

/// `console.warn`.
#define ENCLAVE_CONSOLE_WARN 3

/// `console.error`, `console.assert`.
#define ENCLAVE_CONSOLE_ERROR 4

/// It has served `max_executions_per_worker`.
#define ENCLAVE_RECYCLE_MAX_EXECUTIONS 0

/// It was idle for `idle_timeout` and the pool had more than `min_workers`.
#define ENCLAVE_RECYCLE_IDLE 1

/// An execution passed its wall-clock limit.
#define ENCLAVE_RECYCLE_TIMEOUT 2

/// An execution passed its CPU limit.
#define ENCLAVE_RECYCLE_CPU_LIMIT 3

/// An execution passed the memory limit.
#define ENCLAVE_RECYCLE_MEMORY_LIMIT 4

/// An execution passed its console limit.
#define ENCLAVE_RECYCLE_CONSOLE_LIMIT 5

/// An execution passed its tool call limit.
#define ENCLAVE_RECYCLE_TOOL_CALL_LIMIT 6

/// An execution sent too many messages.
#define ENCLAVE_RECYCLE_MESSAGE_FLOOD 7

/// A running execution was cancelled.
#define ENCLAVE_RECYCLE_CANCELLED 8

/// It did not stop when told to, and was set aside.
#define ENCLAVE_RECYCLE_UNRESPONSIVE 9

/// It crashed.
#define ENCLAVE_RECYCLE_CRASH 10

/// It broke the protocol between worker and pool.
#define ENCLAVE_RECYCLE_PROTOCOL 11

/// A bug of this library was caught in it.
#define ENCLAVE_RECYCLE_INTERNAL 12

/// The pool shut down.
#define ENCLAVE_RECYCLE_SHUTDOWN 13

/// The filter of system calls.
#define ENCLAVE_SANDBOX_SECCOMP 1

/// No file can be opened, by landlock. The filter of system calls refuses that too.
#define ENCLAVE_SANDBOX_LANDLOCK_FILES 2

/// No TCP port can be used, by landlock (Linux 6.7). The filter of system calls refuses that too, with all other
/// sockets, so that `ENCLAVE_SETTING_REQUIRE_SANDBOX` does without this part.
#define ENCLAVE_SANDBOX_LANDLOCK_NETWORK 4

/// Limits of memory, files, processes and core dumps.
#define ENCLAVE_SANDBOX_RESOURCE_LIMITS 8

/// The group of `enclave_config_set_cgroup`, where one is configured.
#define ENCLAVE_SANDBOX_CGROUP 16

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// The version of the loaded library, such as `"0.1.0"`; never freed.
const char *enclave_version(void);

/// The version of the loaded library as a number. It works with this header if it is at least
/// `ENCLAVE_VERSION_NUMBER` and has the same first part (while that is 0: the same first two parts).
uint32_t enclave_version_number(void);

/// The name of a status, such as `"MEMORY_LIMIT"`; NULL for a number that is none. Never freed.
const char *enclave_status_name(enclave_status_t status);

/// Frees an owned error; NULL is fine.
void enclave_error_free(struct enclave_error_t *error);

/// The status; never `ENCLAVE_OK` (`ENCLAVE_INVALID_ARGUMENT` for NULL).
enclave_status_t enclave_error_status(const struct enclave_error_t *error);

/// What happened and what to do, in one line that is complete without the status. Every error has it; its length
/// goes to `len`, which may be NULL.
const char *enclave_error_message(const struct enclave_error_t *error, size_t *len);

/// EXCEPTION, SYNTAX_ERROR: the JavaScript `error.name`, such as `TypeError`; for a thrown value that is no `Error`,
/// its type.
const char *enclave_error_name(const struct enclave_error_t *error, size_t *len);

/// EXCEPTION, SYNTAX_ERROR: the JavaScript `error.message`, without name and place; for a thrown value that is no
/// `Error`, its text.
const char *enclave_error_script_message(const struct enclave_error_t *error, size_t *len);

/// EXCEPTION: the JavaScript `error.code`, where the script or a tool has set one.
const char *enclave_error_code(const struct enclave_error_t *error, size_t *len);

/// EXCEPTION: the JavaScript stack, a frame a line, innermost first.
const char *enclave_error_stack(const struct enclave_error_t *error, size_t *len);

/// EXCEPTION, SYNTAX_ERROR: the name of the source.
const char *enclave_error_filename(const struct enclave_error_t *error, size_t *len);

/// EXCEPTION, SYNTAX_ERROR: the line in the source, from 1; 0 where unknown.
uint32_t enclave_error_line(const struct enclave_error_t *error);

/// EXCEPTION, SYNTAX_ERROR: the column in the line, from 1, in UTF-16 units; 0 where unknown.
uint32_t enclave_error_column(const struct enclave_error_t *error);

/// SYNTAX_ERROR, EXCEPTION: the text of the line, cut to about 120 characters around the column.
const char *enclave_error_source_line(const struct enclave_error_t *error, size_t *len);

/// INVALID_ARGUMENT, UNSUPPORTED: the argument, setting or feature.
const char *enclave_error_field(const struct enclave_error_t *error, size_t *len);

/// RESULT_NOT_TRANSFERABLE: the path to the value that cannot be copied, such as `result.items[3]`.
const char *enclave_error_path(const struct enclave_error_t *error, size_t *len);

/// TIMEOUT, CPU_LIMIT, MEMORY_LIMIT, CONSOLE_LIMIT, TOOL_CALL_LIMIT, MESSAGE_FLOOD, MESSAGE_TOO_LARGE: the setting
/// whose limit was passed, which tells the unit of `enclave_error_limit`. Otherwise `ENCLAVE_SETTING_NONE`.
enclave_setting_t enclave_error_setting(const struct enclave_error_t *error);

/// The limit that was passed, in the unit of `enclave_error_setting`: milliseconds, bytes or a count.
uint64_t enclave_error_limit(const struct enclave_error_t *error);

/// MEMORY_LIMIT, and TOOL_CALL_LIMIT if the setting is `max_pending_bytes`: the bytes in use when the library saw that
/// the limit was passed, including a refused request.
uint64_t enclave_error_used_bytes(const struct enclave_error_t *error);

/// QUEUE_FULL: executions waiting.
uint64_t enclave_error_queue_size(const struct enclave_error_t *error);

/// QUEUE_FULL: milliseconds until a place may be free, judged by the recent pace; at least 1.
uint64_t enclave_error_retry_after_ms(const struct enclave_error_t *error);

/// QUEUE_TIMEOUT: milliseconds waited in the queue.
uint64_t enclave_error_waited_ms(const struct enclave_error_t *error);

/// WORKER_CRASHED: the signal that ended the worker; 0 if it was none.
int32_t enclave_error_signal(const struct enclave_error_t *error);

/// Frees the bytes of a buffer and empties it; a NULL, an empty buffer and a second call are fine.
void enclave_buffer_free(struct enclave_buffer_t *buffer);

/// Frees an owned value and everything inside it; NULL is fine.
void enclave_value_free(struct enclave_value_t *value);

/// Copies a value with everything inside it. Owned by the caller; NULL for NULL.
struct enclave_value_t *enclave_value_clone(const struct enclave_value_t *value);

/// Makes `undefined`.
struct enclave_value_t *enclave_value_new_undefined(void);

/// Makes `null`.
struct enclave_value_t *enclave_value_new_null(void);

/// Makes `true` or `false`.
struct enclave_value_t *enclave_value_new_bool(bool value);

/// Makes a number; `NaN`, the infinities and `-0` are kept.
struct enclave_value_t *enclave_value_new_number(double value);

/// Makes a bigint of a number of 64 bits.
struct enclave_value_t *enclave_value_new_bigint(int64_t value);

/// Makes a bigint of at most 4933 decimal digits, with a `-` before them if it is negative. NULL and INVALID_ARGUMENT:
/// anything else. `enclave_value_from_cbor` makes a bigint of any size.
struct enclave_value_t *enclave_value_new_bigint_text(const char *digits,
                                                      size_t digits_len,
                                                      struct enclave_error_t **error);

/// Makes a string. NULL and INVALID_ARGUMENT: NULL, or not UTF-8.
struct enclave_value_t *enclave_value_new_string(const char *string, size_t string_len, struct enclave_error_t **error);

/// Makes bytes, a `Uint8Array` in a script. NULL and INVALID_ARGUMENT: NULL with a length above 0.
struct enclave_value_t *enclave_value_new_bytes(const void *bytes, size_t bytes_len, struct enclave_error_t **error);

/// Makes a `Date` from milliseconds since 1970-01-01T00:00:00Z. `NaN` and anything beyond 8.64e15 give an invalid date.
struct enclave_value_t *enclave_value_new_date(double ms);

/// Makes an empty array.
struct enclave_value_t *enclave_value_new_array(void);

/// Makes an empty `Map`.
struct enclave_value_t *enclave_value_new_map(void);

/// Makes an empty `Set`.
struct enclave_value_t *enclave_value_new_set(void);

/// Makes an empty object.
struct enclave_value_t *enclave_value_new_object(void);

/// Makes an `Error`; `name` may be NULL for `Error`, `code` for none. NULL and INVALID_ARGUMENT: `message` is NULL, or
/// something is not UTF-8.
struct enclave_value_t *enclave_value_new_error(const char *name,
                                                size_t name_len,
                                                const char *message,
                                                size_t message_len,
                                                const char *code,
                                                size_t code_len,
                                                struct enclave_error_t **error);

/// Adds a value at the end of an array or a `Set`; the value is taken. INVALID_ARGUMENT: a NULL, a container of another
/// kind, or more than 512 levels of nesting.
enclave_status_t enclave_value_push(struct enclave_value_t *container,
                                    struct enclave_value_t *value,
                                    struct enclave_error_t **error);

/// Adds an entry to a `Map`; key and value are taken. If two entries have the same key, a script sees the later one.
/// INVALID_ARGUMENT: a NULL, a container of another kind, or more than 512 levels of nesting.
enclave_status_t enclave_value_map_set(struct enclave_value_t *map,
                                       struct enclave_value_t *key,
                                       struct enclave_value_t *value,
                                       struct enclave_error_t **error);

/// Sets a property of an object, replacing one of the same key; the value is taken. It searches the keys that the
/// object has. If there are thousands, make a `Map` instead, or use `enclave_value_from_json` or `_from_cbor`.
/// INVALID_ARGUMENT: a NULL, a key that is not UTF-8, a container of another kind, or more than 512 levels of nesting.
enclave_status_t enclave_value_object_set(struct enclave_value_t *object,
                                          const char *key,
                                          size_t key_len,
                                          struct enclave_value_t *value,
                                          struct enclave_error_t **error);

/// The kind of a value; `ENCLAVE_VALUE_UNDEFINED` for NULL.
enclave_value_kind_t enclave_value_kind(const struct enclave_value_t *value);

/// A boolean; false for any other kind.
bool enclave_value_bool(const struct enclave_value_t *value);

/// A number; `NaN` for any other kind.
double enclave_value_number(const struct enclave_value_t *value);

/// A `Date` in milliseconds since 1970-01-01T00:00:00Z; `NaN` for an invalid date and for any other kind.
double enclave_value_date(const struct enclave_value_t *value);

/// A whole number of 64 bits. If the value is a bigint or a number that is exactly one, it returns true and writes the
/// number to `integer`, which may be NULL.
bool enclave_value_int64(const struct enclave_value_t *value, int64_t *integer);

/// The decimal digits of a bigint. The buffer is filled, to be freed. INVALID_ARGUMENT: NULL, another kind, or more than
/// 16384 bits: so many digits would take time out of proportion. `enclave_value_to_cbor` gives the bytes of any bigint.
enclave_status_t enclave_value_bigint_text(const struct enclave_value_t *value,
                                           struct enclave_buffer_t *digits,
                                           struct enclave_error_t **error);

/// The UTF-8 of a string, **without a NUL behind it**: its length goes to `len`. Lent by the value. NULL and 0 for
/// any other kind.
const char *enclave_value_string(const struct enclave_value_t *value, size_t *len);

/// Bytes; their number goes to `len`. Lent by the value. NULL and 0 for any other kind.
const uint8_t *enclave_value_bytes(const struct enclave_value_t *value, size_t *len);

/// The number of values in an array or `Set`, of entries in a `Map`, of properties in an object; 0 for any other kind.
size_t enclave_value_count(const struct enclave_value_t *value);

/// The value at a place, from 0: of an array or `Set` in order, of a `Map` or object the entry's value. Lent by the
/// container. NULL if there is no such place.
const struct enclave_value_t *enclave_value_item(const struct enclave_value_t *value, size_t index);

/// The key of a `Map`'s entry at a place, from 0. Lent by the map. NULL if there is no such place.
const struct enclave_value_t *enclave_value_map_key(const struct enclave_value_t *value, size_t index);

/// The key of an object's property at a place, from 0, **without a NUL behind it**: its length goes to `len`. Lent by
/// the object. NULL and 0 if there is no such place.
const char *enclave_value_object_key(const struct enclave_value_t *value, size_t index, size_t *len);

/// The property of an object. Lent by the object. NULL if the object has no such property, or for another kind. It
/// searches the keys; to read all properties, go by index (`enclave_value_object_key`, `enclave_value_item`).
const struct enclave_value_t *enclave_value_get(const struct enclave_value_t *value, const char *key, size_t key_len);

/// The `name` of an `Error`, **without a NUL behind it**: its length goes to `len`. NULL and 0 for any other kind.
const char *enclave_value_error_name(const struct enclave_value_t *value, size_t *len);

/// The `message` of an `Error`, **without a NUL behind it**: its length goes to `len`. NULL and 0 for any other kind.
const char *enclave_value_error_message(const struct enclave_value_t *value, size_t *len);

/// The `code` of an `Error`, **without a NUL behind it**: its length goes to `len`. NULL and 0 if it has none, and
/// for any other kind.
const char *enclave_value_error_code(const struct enclave_value_t *value, size_t *len);

/// The stack of an `Error`, **without a NUL behind it**: its length goes to `len`. NULL and 0 if it has none, and for
/// any other kind.
const char *enclave_value_error_stack(const struct enclave_value_t *value, size_t *len);

/// Reads one value of JSON. Owned by the caller. NULL and INVALID_ARGUMENT: NULL, not JSON (the message says where and
/// why), or nested deeper than 512 levels.
struct enclave_value_t *enclave_value_from_json(const char *json, size_t json_len, struct enclave_error_t **error);

/// Reads one value of CBOR (RFC 8949), the form that keeps every kind of value. Owned by the caller. NULL and
/// INVALID_ARGUMENT: NULL, not CBOR (the message says where and why), or nested deeper than 512 levels.
struct enclave_value_t *enclave_value_from_cbor(const void *cbor, size_t cbor_len, struct enclave_error_t **error);

/// Writes a value as JSON, without white space. The buffer is filled, to be freed. If JSON has no such value, it writes
/// the nearest: a bigint as its digits in a string, bytes as base64, a `Date` as ISO 8601, a `Map` as an object (or as
/// pairs, if a key is no string), a `Set` as an array, an `Error` as its name and message; `undefined`, `NaN` and the
/// infinities as null. CBOR loses nothing. INVALID_ARGUMENT: a NULL, or a bigint of more than 16384 bits, because so
/// many digits would take time out of proportion.
enclave_status_t enclave_value_to_json(const struct enclave_value_t *value,
                                       struct enclave_buffer_t *json,
                                       struct enclave_error_t **error);

/// Writes a value as CBOR (RFC 8949), the form that keeps every kind of value. The buffer is filled, to be freed.
/// INVALID_ARGUMENT: a NULL.
enclave_status_t enclave_value_to_cbor(const struct enclave_value_t *value,
                                       struct enclave_buffer_t *cbor,
                                       struct enclave_error_t **error);

/// Frees a script; NULL is fine. Executions submitted with it keep what they need.
void enclave_script_free(struct enclave_script_t *script);

/// The name of a setting, such as `"max_workers"` or `"timeout_ms"`; NULL for a number that is none. Never freed.
const char *enclave_setting_name(enclave_setting_t setting);

/// The setting of a name, so that settings can come from a file or a command line; `ENCLAVE_SETTING_NONE` if no
/// setting has this name.
enclave_setting_t enclave_setting_from_name(const char *name, size_t name_len);

/// Makes a config from a preset, without callbacks. Owned by the caller; NULL if the preset is none of the constants.
struct enclave_config_t *enclave_config_new(enclave_preset_t preset);

/// Frees a config; NULL is fine. Pools made from it keep its callbacks.
void enclave_config_free(struct enclave_config_t *config);

/// Changes a setting. You may ignore the status, because the value is checked when a pool is made: if it is wrong,
/// `enclave_pool_new` and `enclave_config_validate` fail with an error that names the setting, the value and what is
/// accepted. INVALID_ARGUMENT: NULL, or not a setting.
enclave_status_t enclave_config_set(struct enclave_config_t *config, enclave_setting_t setting, uint64_t value);

/// The current value of a setting, from the preset or as it was set. 0 for NULL and for a number that is no setting.
uint64_t enclave_config_get(const struct enclave_config_t *config, enclave_setting_t setting);

/// Sets the path of the executable `enclave-worker`, for process isolation. With an empty path, which is the default,
/// the library looks for it in this order: the environment variable `ENCLAVE_WORKER`; beside the loaded library; in
/// `../libexec/enclave` from there; in `PATH`. Whether it exists is checked when a pool is made. INVALID_ARGUMENT: a
/// NULL, or no UTF-8.
enclave_status_t enclave_config_set_worker_path(struct enclave_config_t *config, const char *path, size_t path_len);

/// Sets a directory of cgroup v2 that is delegated to this process, with the controllers `memory` and `pids` enabled
/// for its children. Every worker process gets a group of its own in it, with `memory.max` and `pids.max`. An empty
/// path, which is the default, means no group. INVALID_ARGUMENT: a NULL, or no UTF-8.
enclave_status_t enclave_config_set_cgroup(struct enclave_config_t *config, const char *path, size_t path_len);

/// Checks all settings as `enclave_pool_new` does. INVALID_ARGUMENT or UNSUPPORTED: the first that is out of range.
enclave_status_t enclave_config_validate(const struct enclave_config_t *config, struct enclave_error_t **error);

/// Sets the callback for every worker that leaves the pool, with the reason, replacing an earlier one. It is called on
/// a thread of the pool and should return soon. INVALID_ARGUMENT: a NULL.
enclave_status_t enclave_config_on_worker_recycled(struct enclave_config_t *config,
                                                   enclave_worker_recycled_fn callback,
                                                   void *user_data,
                                                   enclave_finalizer_fn finalizer);

/// Sets the callback that receives the pool's stats every `ENCLAVE_SETTING_STATS_INTERVAL_MS`, replacing an earlier
/// one. It is called on a thread of the pool and should return soon. INVALID_ARGUMENT: a NULL.
enclave_status_t enclave_config_on_stats_update(struct enclave_config_t *config,
                                                enclave_stats_fn callback,
                                                void *user_data,
                                                enclave_finalizer_fn finalizer);

/// Sets the callback that receives the console lines of all executions, as they come, replacing an earlier one.
/// INVALID_ARGUMENT: a NULL.
enclave_status_t enclave_config_on_console(struct enclave_config_t *config,
                                           enclave_console_fn callback,
                                           void *user_data,
                                           enclave_finalizer_fn finalizer);

/// Sets the callback that answers calls of tools without a callback of their own (`enclave_pool_register_tool`),
/// replacing an earlier one. INVALID_ARGUMENT: a NULL.
enclave_status_t enclave_config_on_tool_call(struct enclave_config_t *config,
                                             enclave_tool_fn callback,
                                             void *user_data,
                                             enclave_finalizer_fn finalizer);

/// Makes options that change nothing: an `auto` source with the pool's limits and callbacks. Owned by the caller.
struct enclave_options_t *enclave_options_new(void);

/// Frees options; NULL is fine. Executions submitted with them keep what they need.
void enclave_options_free(struct enclave_options_t *options);

/// Changes a limit of the execution, one of the settings from `ENCLAVE_SETTING_TIMEOUT_MS` on; the others belong to the
/// pool. You may ignore the status, because the value is checked when the options are used. INVALID_ARGUMENT: NULL, or
/// not such a setting.
enclave_status_t enclave_options_set(struct enclave_options_t *options, enclave_setting_t setting, uint64_t value);

/// Sets how the source is read. INVALID_ARGUMENT: NULL, or not an `ENCLAVE_SOURCE_*`.
enclave_status_t enclave_options_set_kind(struct enclave_options_t *options, enclave_source_kind_t kind);

/// Sets the name of the source in stack traces; default `main.js`. INVALID_ARGUMENT: NULL, or not UTF-8.
enclave_status_t enclave_options_set_filename(struct enclave_options_t *options,
                                              const char *filename,
                                              size_t filename_len,
                                              struct enclave_error_t **error);

/// Sets a global variable of the script, replacing one of the same name. `value` is taken, even on failure.
/// INVALID_ARGUMENT: a NULL, or a name that is not UTF-8. Submission checks that the name is an identifier.
enclave_status_t enclave_options_set_global(struct enclave_options_t *options,
                                            const char *name,
                                            size_t name_len,
                                            struct enclave_value_t *value,
                                            struct enclave_error_t **error);

/// Sets a global variable of the script to a value given as JSON. INVALID_ARGUMENT: a NULL, a name that is not UTF-8,
/// or not JSON.
enclave_status_t enclave_options_set_global_json(struct enclave_options_t *options,
                                                 const char *name,
                                                 size_t name_len,
                                                 const char *json,
                                                 size_t json_len,
                                                 struct enclave_error_t **error);

/// Sets a global variable of the script to a value given as CBOR. INVALID_ARGUMENT: a NULL, a name that is not UTF-8,
/// or not CBOR.
enclave_status_t enclave_options_set_global_cbor(struct enclave_options_t *options,
                                                 const char *name,
                                                 size_t name_len,
                                                 const void *cbor,
                                                 size_t cbor_len,
                                                 struct enclave_error_t **error);

/// Sets whether the outcome holds the console lines (default: no). INVALID_ARGUMENT: NULL.
enclave_status_t enclave_options_set_collect_console(struct enclave_options_t *options, bool collect);

/// Sets the callback that receives the console lines of the execution as they come, instead of the pool's.
/// INVALID_ARGUMENT: a NULL.
enclave_status_t enclave_options_on_console(struct enclave_options_t *options,
                                            enclave_console_fn callback,
                                            void *user_data,
                                            enclave_finalizer_fn finalizer);

/// Adds a tool for this execution alone, beside the pool's tools. It replaces a tool of the same name, here or in the
/// pool. The callback answers `callTool(name, args)` and `tools.name(args)`. INVALID_ARGUMENT: a NULL, or a name that
/// is not UTF-8. Submission checks that it is the name of a tool (`enclave_pool_register_tool`).
enclave_status_t enclave_options_add_tool(struct enclave_options_t *options,
                                          const char *name,
                                          size_t name_len,
                                          enclave_tool_fn callback,
                                          void *user_data,
                                          enclave_finalizer_fn finalizer,
                                          struct enclave_error_t **error);

/// Sets the callback that answers all tool calls of the execution, instead of the pool's and of
/// `enclave_options_add_tool`. INVALID_ARGUMENT: a NULL.
enclave_status_t enclave_options_on_tool_call(struct enclave_options_t *options,
                                              enclave_tool_fn callback,
                                              void *user_data,
                                              enclave_finalizer_fn finalizer);

/// Makes a pool and, by default, waits until its `min_workers` workers have started. The config may be freed
/// afterwards. INVALID_ARGUMENT: a NULL, or a setting that is out of range (the message names it, its value and what
/// is accepted). UNSUPPORTED: a setting that this library cannot give. WORKER_STARTUP.
enclave_status_t enclave_pool_new(const struct enclave_config_t *config,
                                  struct enclave_pool_t **pool,
                                  struct enclave_error_t **error);

/// Frees a pool. Before that it shuts the pool down, as `enclave_pool_shutdown` with `ENCLAVE_POOL_TIMEOUT`, unless
/// that was done. NULL is fine. Inside a callback of the library it does not wait: the pool ends on its own threads. In
/// a forked child it does nothing.
void enclave_pool_free(struct enclave_pool_t *pool);

/// The value of a setting of the pool; 0 for NULL and for a number that is no setting.
uint64_t enclave_pool_setting(const struct enclave_pool_t *pool, enclave_setting_t setting);

/// Registers a tool, in place of one of the same name. The callback answers `callTool(name, args)` and
/// `tools.name(args)` of executions that are submitted from now on. INVALID_ARGUMENT: a NULL, or a name that is not
/// accepted (the message says what is). POOL_CLOSED. FORKED.
enclave_status_t enclave_pool_register_tool(const struct enclave_pool_t *pool,
                                            const char *name,
                                            size_t name_len,
                                            enclave_tool_fn callback,
                                            void *user_data,
                                            enclave_finalizer_fn finalizer,
                                            struct enclave_error_t **error);

/// Submits a script and returns immediately. `options` may be NULL. When the execution has its outcome, `callback` (may
/// be NULL) is called with it, and `finalizer` (may be NULL) runs. `execution` (may be NULL) receives a handle owned by
/// the caller.
///
/// If the submission fails, `callback` is not called, and the finalizer runs before the function returns:
/// INVALID_ARGUMENT, MESSAGE_TOO_LARGE (the source), QUEUE_FULL (the error says when to try again), POOL_CLOSED, FORKED.
enclave_status_t enclave_pool_submit(const struct enclave_pool_t *pool,
                                     const char *source,
                                     size_t source_len,
                                     const struct enclave_options_t *options,
                                     enclave_complete_fn callback,
                                     void *user_data,
                                     enclave_finalizer_fn finalizer,
                                     struct enclave_execution_t **execution,
                                     struct enclave_error_t **error);

/// As `enclave_pool_submit`, for a compiled script. INVALID_ARGUMENT also for a NULL in its place.
enclave_status_t enclave_pool_submit_script(const struct enclave_pool_t *pool,
                                            const struct enclave_script_t *script,
                                            const struct enclave_options_t *options,
                                            enclave_complete_fn callback,
                                            void *user_data,
                                            enclave_finalizer_fn finalizer,
                                            struct enclave_execution_t **execution,
                                            struct enclave_error_t **error);

/// Runs a script and waits for its outcome; `options` may be NULL. Returns the outcome's status. `outcome` (may be
/// NULL) always receives an outcome owned by the caller, even if the submission was refused (QUEUE_FULL, POOL_CLOSED,
/// INVALID_ARGUMENT, INVALID_STATE inside a callback of the library, FORKED).
enclave_status_t enclave_pool_run(const struct enclave_pool_t *pool,
                                  const char *source,
                                  size_t source_len,
                                  const struct enclave_options_t *options,
                                  struct enclave_outcome_t **outcome);

/// As `enclave_pool_run`, for a compiled script. INVALID_ARGUMENT also for a NULL in its place.
enclave_status_t enclave_pool_run_script(const struct enclave_pool_t *pool,
                                         const struct enclave_script_t *script,
                                         const struct enclave_options_t *options,
                                         struct enclave_outcome_t **outcome);

/// Compiles a source without running it, and waits for that. It takes a place in the queue and the time that the limits
/// allow, and counts as an execution. Of `options` (may be NULL) only the kind, the filename and the limits matter; the
/// first two stay with the script. `script` receives a script owned by the caller, for `enclave_pool_run_script` and
/// `enclave_pool_submit_script`.
///
/// Workers also keep a plain source compiled when it comes twice. A script is kept from the first time on, and its
/// syntax errors are known before it runs: SYNTAX_ERROR, with an error that says where. All else is as for
/// `enclave_pool_run`.
enclave_status_t enclave_pool_compile(const struct enclave_pool_t *pool,
                                      const char *source,
                                      size_t source_len,
                                      const struct enclave_options_t *options,
                                      struct enclave_script_t **script,
                                      struct enclave_error_t **error);

/// Compiles a source as `enclave_pool_compile` does, and returns immediately, as `enclave_pool_submit` does: the
/// execution succeeds, with undefined, if the source compiles. `script` receives the script right away. If it runs
/// before it is known to compile, it fails as the source would.
enclave_status_t enclave_pool_submit_compile(const struct enclave_pool_t *pool,
                                             const char *source,
                                             size_t source_len,
                                             const struct enclave_options_t *options,
                                             enclave_complete_fn callback,
                                             void *user_data,
                                             enclave_finalizer_fn finalizer,
                                             struct enclave_script_t **script,
                                             struct enclave_execution_t **execution,
                                             struct enclave_error_t **error);

/// Shuts a pool down. It refuses submissions, ends waiting executions as POOL_CLOSED, waits at most `timeout_ms`
/// milliseconds for running ones (`ENCLAVE_POOL_TIMEOUT`: the pool's setting; `ENCLAVE_NO_TIMEOUT`: without end) and
/// then ends those as POOL_CLOSED. When it returns, every execution has its outcome and the workers are gone. A second
/// call waits for the first. INVALID_ARGUMENT: NULL. INVALID_STATE: inside a callback of the library. FORKED.
enclave_status_t enclave_pool_shutdown(const struct enclave_pool_t *pool,
                                       uint64_t timeout_ms,
                                       struct enclave_error_t **error);

/// A snapshot of the pool's stats, owned by the caller. It costs little, because it does not involve the workers.
/// INVALID_ARGUMENT: a NULL. FORKED.
enclave_status_t enclave_pool_stats(const struct enclave_pool_t *pool,
                                    struct enclave_pool_stats_t **stats,
                                    struct enclave_error_t **error);

/// Frees the handle of an execution, which goes on; NULL is fine.
void enclave_execution_free(struct enclave_execution_t *execution);

/// The id, unique in the pool and growing with every submission; 0 for NULL.
uint64_t enclave_execution_id(const struct enclave_execution_t *execution);

/// Whether the execution has its outcome.
bool enclave_execution_is_done(const struct enclave_execution_t *execution);

/// Waits until the execution has its outcome, at most `timeout_ms` milliseconds (0 only looks, `ENCLAVE_NO_TIMEOUT`
/// waits without end). The status is that of the wait, not of the execution: OK with an outcome owned by the caller, or
/// OK with NULL if the time is over. It may be called again, and gives the same outcome to every caller.
/// INVALID_ARGUMENT: a NULL. INVALID_STATE: inside a callback of the library. FORKED.
enclave_status_t enclave_execution_wait(const struct enclave_execution_t *execution,
                                        uint64_t timeout_ms,
                                        struct enclave_outcome_t **outcome,
                                        struct enclave_error_t **error);

/// Cancels the execution and returns immediately. A waiting execution is CANCELLED right away, a running one as soon as
/// its worker can be stopped; one that is done stays as it is. It may be called any number of times, also from
/// callbacks. INVALID_ARGUMENT: NULL. FORKED.
enclave_status_t enclave_execution_cancel(const struct enclave_execution_t *execution, struct enclave_error_t **error);

/// Frees an outcome and what its accessors have given; NULL is fine.
void enclave_outcome_free(struct enclave_outcome_t *outcome);

/// How the execution ended: `ENCLAVE_OK` if it has a value. INVALID_ARGUMENT for NULL.
enclave_status_t enclave_outcome_status(const struct enclave_outcome_t *outcome);

/// The result of the script. Lent by the outcome; NULL unless the status is `ENCLAVE_OK`.
const struct enclave_value_t *enclave_outcome_value(const struct enclave_outcome_t *outcome);

/// What went wrong. Lent by the outcome; NULL if the status is `ENCLAVE_OK`.
const struct enclave_error_t *enclave_outcome_error(const struct enclave_outcome_t *outcome);

/// What the execution took. Lent by the outcome; NULL for NULL.
const struct enclave_execution_stats_t *enclave_outcome_stats(const struct enclave_outcome_t *outcome);

/// The number of console lines: 0 unless `enclave_options_set_collect_console` was on.
size_t enclave_outcome_console_count(const struct enclave_outcome_t *outcome);

/// The console line at a place, from 0. Lent by the outcome; NULL if there is no such line.
const struct enclave_console_line_t *enclave_outcome_console_line(const struct enclave_outcome_t *outcome,
                                                                  size_t index);

/// Frees a tool call; NULL is fine. If it has no answer, the script's promise is rejected with an `Error`.
void enclave_tool_call_free(struct enclave_tool_call_t *call);

/// The id of the execution that calls, as `enclave_execution_id` gives it; 0 for NULL.
uint64_t enclave_tool_call_execution_id(const struct enclave_tool_call_t *call);

/// The name of the tool, with a NUL behind it; its length goes to `len`, which may be NULL. Lent by the call.
const char *enclave_tool_call_name(const struct enclave_tool_call_t *call, size_t *len);

/// The argument, `undefined` if the script gave none. Lent by the call; NULL for NULL. `enclave_value_to_json` and
/// `enclave_value_to_cbor` give it in one buffer.
const struct enclave_value_t *enclave_tool_call_args(const struct enclave_tool_call_t *call);

/// Fulfils the script's promise; the value is taken, also on failure. The call still has to be freed.
/// INVALID_ARGUMENT: a NULL. INVALID_STATE: the call has an answer already.
enclave_status_t enclave_tool_call_resolve(const struct enclave_tool_call_t *call,
                                           struct enclave_value_t *value,
                                           struct enclave_error_t **error);

/// Fulfils the script's promise with a value given as JSON. The call still has to be freed. INVALID_ARGUMENT: a NULL,
/// or not JSON; the call can then still be answered. INVALID_STATE: the call has an answer already.
enclave_status_t enclave_tool_call_resolve_json(const struct enclave_tool_call_t *call,
                                                const char *json,
                                                size_t json_len,
                                                struct enclave_error_t **error);

/// Fulfils the script's promise with a value given as CBOR. The call still has to be freed. INVALID_ARGUMENT: a NULL,
/// or not CBOR; the call can then still be answered. INVALID_STATE: the call has an answer already.
enclave_status_t enclave_tool_call_resolve_cbor(const struct enclave_tool_call_t *call,
                                                const void *cbor,
                                                size_t cbor_len,
                                                struct enclave_error_t **error);

/// Rejects the script's promise with an `Error` of this name, message and code; `name` may be NULL for `Error`, `code`
/// for none. Nothing else of the host's error reaches the script. The call still has to be freed.
/// INVALID_ARGUMENT: `call` or `message` is NULL, or something is not UTF-8; the call can then still be answered.
/// INVALID_STATE: the call has an answer already.
enclave_status_t enclave_tool_call_reject(const struct enclave_tool_call_t *call,
                                          const char *name,
                                          size_t name_len,
                                          const char *message,
                                          size_t message_len,
                                          const char *code,
                                          size_t code_len,
                                          struct enclave_error_t **error);

/// The name of a level, such as `"warn"`; NULL for a number that is none. Never freed.
const char *enclave_console_level_name(enclave_console_level_t level);

/// Frees a snapshot; NULL is fine. Only for those of `enclave_pool_stats`: those given to callbacks are lent.
void enclave_pool_stats_free(struct enclave_pool_stats_t *stats);

/// The executions that ended in this status; 0 for NULL and for a number that is no status.
uint64_t enclave_pool_stats_executions(const struct enclave_pool_stats_t *stats, enclave_status_t status);

/// The workers that left for this reason; 0 for NULL and for a number that is no reason.
uint64_t enclave_pool_stats_recycles(const struct enclave_pool_stats_t *stats, enclave_recycle_reason_t reason);

/// The name of a reason, such as `"memory_limit"`; NULL for a number that is none. Never freed.
const char *enclave_recycle_reason_name(enclave_recycle_reason_t reason);

/// The name of one part, such as `"landlock_files"`; NULL for a number that is not one. Never freed.
const char *enclave_sandbox_part_name(enclave_sandbox_part_t part);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ENCLAVE_H */
