//! [`enclave_setting_t`]: the settings of a pool and the limits of an execution, one table for setting, reading and
//! naming them.
//!
//! A value is kept as the caller gave it until a pool or an execution is made of it: what the field cannot hold is an
//! error there, like what core's own validation refuses, and never a silent change.

use std::ffi::{CStr, c_char};
use std::time::Duration;

use enclave_core::{Error, ExecutionLimits, Isolation, PoolConfig};

use crate::boundary::guard;
use crate::pinned::pinned;
use crate::{text, units};

/// What can be set: one of the constants below. A number is milliseconds if the name ends in `_MS`, bytes if the text
/// says so, a count, or 0 and 1. From 100 on they are limits of an execution: a config sets them for all executions of
/// its pool, options for one.
pub type enclave_setting_t = i32;

/// Where workers run.
pub type enclave_isolation_t = i32;
/// A thread of this process.
pub const ENCLAVE_ISOLATION_THREAD: enclave_isolation_t = 0;
/// A sandboxed child process.
pub const ENCLAVE_ISOLATION_PROCESS: enclave_isolation_t = 1;

pinned! { Isolation as enclave_isolation_t:
    ENCLAVE_ISOLATION_THREAD = Thread,
    ENCLAVE_ISOLATION_PROCESS = Process,
}

/// No setting.
pub const ENCLAVE_SETTING_NONE: enclave_setting_t = 0;
/// Where workers run: `ENCLAVE_ISOLATION_THREAD` or `ENCLAVE_ISOLATION_PROCESS`. Default, and in all
/// presets: process.
pub const ENCLAVE_SETTING_ISOLATION: enclave_setting_t = 1;
/// Workers kept warm, 0 to `max_workers`. Default 2, or `max_workers` where that is smaller; presets 2, 2, 2, 4.
pub const ENCLAVE_SETTING_MIN_WORKERS: enclave_setting_t = 2;
/// Most workers at a time, 1 to 1024. Default: the number of CPUs; presets 4, 8, 16, 32.
pub const ENCLAVE_SETTING_MAX_WORKERS: enclave_setting_t = 3;
/// Bytes that one worker may hold, 16 MiB to 1 TiB. Default 128 MiB; presets 64, 128, 256, 512 MiB.
pub const ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER: enclave_setting_t = 4;
/// Executions after which a worker is replaced, at least 1. Default 1000; presets 100, 500, 1000, 5000.
pub const ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER: enclave_setting_t = 5;
/// Most executions waiting for a worker, 0 to 10 000 000; 0 refuses whatever cannot start at once. Default 100;
/// presets 20, 50, 100, 500.
pub const ENCLAVE_SETTING_MAX_QUEUE_SIZE: enclave_setting_t = 6;
/// Longest wait in the queue in milliseconds, at least 1. Default 30 000; presets 10 000, 20 000, 30 000, 60 000.
pub const ENCLAVE_SETTING_QUEUE_TIMEOUT_MS: enclave_setting_t = 7;
/// Tool calls and console lines that an execution may send in a second, at least 1: a token bucket of this size, full
/// at the start of every execution. Default 1000; presets 100, 500, 1000, 5000.
pub const ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND: enclave_setting_t = 8;
/// Milliseconds after which an idle worker beyond `min_workers` is stopped, at least 1. Default 30 000; presets
/// 15 000, 30 000, 30 000, 60 000.
pub const ENCLAVE_SETTING_IDLE_TIMEOUT_MS: enclave_setting_t = 9;
/// Milliseconds that shutdown waits for running executions before it ends them; 0 ends them immediately. Default 5000;
/// presets 2000, 3000, 5000, 10 000.
pub const ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS: enclave_setting_t = 10;
/// Most bytes in one source, result, tool argument, tool reply or console line, 1 KiB to 1 GiB - 2. Default 16 MiB;
/// presets 1, 4, 16, 64 MiB.
pub const ENCLAVE_SETTING_MAX_MESSAGE_SIZE: enclave_setting_t = 11;
/// Tool calls of one execution that may wait for their answers at a time. Default 100; presets 10, 50, 100, 1000.
pub const ENCLAVE_SETTING_MAX_PENDING_TOOL_CALLS: enclave_setting_t = 12;
/// 1: start `min_workers` workers when the pool is made, and fail if one cannot start. 0: start them when they are
/// needed. Default 1.
pub const ENCLAVE_SETTING_WARM_ON_INIT: enclave_setting_t = 13;
/// Milliseconds between two calls of the stats callback, at least 1. Default 1000.
pub const ENCLAVE_SETTING_STATS_INTERVAL_MS: enclave_setting_t = 14;
/// 1: let worker processes compile scripts to machine code. 0: scripts are interpreted, which is slower and exposes
/// less of the engine. Workers that are threads always compile. Default 1; presets 0, 1, 1, 1.
pub const ENCLAVE_SETTING_JIT: enclave_setting_t = 15;
/// 1: refuse to make a pool (UNSUPPORTED) if any part of the sandbox of process isolation is missing. 0: do without it,
/// and say so in `enclave_pool_stats_t.sandbox_missing`. Default 0.
pub const ENCLAVE_SETTING_REQUIRE_SANDBOX: enclave_setting_t = 16;
/// 1: refuse to make a pool (UNSUPPORTED) if worker processes cannot have the filter of system calls (seccomp), the
/// most important part of their sandbox. 0: do without it, as with other parts. It does not concern threads. Default 0;
/// presets 1, 1, 0, 0.
pub const ENCLAVE_SETTING_REQUIRE_SECCOMP: enclave_setting_t = 17;
/// Wall-clock milliseconds from the start on a worker (waiting in the queue not counted), at least 1. Presets 5000,
/// 15 000, 30 000 (default), 60 000.
pub const ENCLAVE_SETTING_TIMEOUT_MS: enclave_setting_t = 100;
/// CPU milliseconds of the worker; waiting for tools and timers costs about 0.05 each; 0: no limit. Presets 2000,
/// 10 000, 0 (default), 0.
pub const ENCLAVE_SETTING_CPU_TIME_LIMIT_MS: enclave_setting_t = 101;
/// Tool calls. Presets 10, 50, 100 (default), 1000.
pub const ENCLAVE_SETTING_MAX_TOOL_CALLS: enclave_setting_t = 102;
/// Console calls. Presets 100, 500, 1000 (default), 10 000.
pub const ENCLAVE_SETTING_MAX_CONSOLE_CALLS: enclave_setting_t = 103;
/// UTF-8 bytes of console output. Presets 64 KiB, 256 KiB, 1 MiB (default), 10 MiB.
pub const ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT: enclave_setting_t = 104;
/// Levels of nesting in a value that crosses the boundary, 1 to 512. Presets 32, 64, 128 (default), 256.
pub const ENCLAVE_SETTING_MAX_VALUE_DEPTH: enclave_setting_t = 105;
/// 1: remove file names and native frames from stack traces. Presets 1, 1, 0 (default), 0.
pub const ENCLAVE_SETTING_SANITIZE_STACK_TRACES: enclave_setting_t = 106;
/// 1: every clock that the script can read stands still during one execution. Presets 1, 0, 0 (default), 0.
pub const ENCLAVE_SETTING_BLOCK_TIMING_APIS: enclave_setting_t = 107;
/// 1: allow `eval` and the `Function` constructors. Presets 0, 0, 0 (default), 1.
pub const ENCLAVE_SETTING_ALLOW_CODE_GENERATION: enclave_setting_t = 108;
/// 1: allow WebAssembly. Must be 0: it is not supported yet.
pub const ENCLAVE_SETTING_ALLOW_WASM: enclave_setting_t = 109;
/// Bytes of the host's memory that the arguments of unanswered tool calls, and the answers that the script has not
/// taken yet, may hold together. If nothing is held, the next one always has a place. Presets 4, 16, 64 (default), 256
/// MiB.
pub const ENCLAVE_SETTING_MAX_PENDING_BYTES: enclave_setting_t = 110;

/// A setting: its number, its name at the C edge and the field of core that it stands for.
struct Setting {
    id: enclave_setting_t,
    name: &'static CStr,
    field: Field,
}

enum Field {
    Pool(fn(&PoolConfig) -> u64, fn(&mut PoolConfig, Given) -> Result<(), Error>),
    Limit(fn(&ExecutionLimits) -> u64, fn(&mut ExecutionLimits, Given) -> Result<(), Error>),
}

/// Makes the table: each row is a constant, its name at the C edge, the field of core that it stands for, and the type
/// that turns the field into a number and back.
macro_rules! settings {
    ($($constant:ident $name:literal $of:ident.$field:ident: $kind:ident,)+) => {
        static SETTINGS: &[Setting] = &[$(Setting {
            id: $constant,
            name: match CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => unreachable!(),
            },
            field: settings!(@$of $field $kind),
        },)+];
    };
    (@pool $field:ident $kind:ident) => {
        Field::Pool(|config| $kind::read(&config.$field), |config, given| {
            config.$field = $kind::write(given)?;
            Ok(())
        })
    };
    (@limit $field:ident $kind:ident) => {
        Field::Limit(|limits| $kind::read(&limits.$field), |limits, given| {
            limits.$field = $kind::write(given)?;
            Ok(())
        })
    };
}

settings! {
    ENCLAVE_SETTING_ISOLATION "isolation" pool.isolation: isolation,
    ENCLAVE_SETTING_MIN_WORKERS "min_workers" pool.min_workers: size,
    ENCLAVE_SETTING_MAX_WORKERS "max_workers" pool.max_workers: size,
    ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER "memory_limit_per_worker" pool.memory_limit_per_worker: long,
    ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER "max_executions_per_worker" pool.max_executions_per_worker: long,
    ENCLAVE_SETTING_MAX_QUEUE_SIZE "max_queue_size" pool.max_queue_size: size,
    ENCLAVE_SETTING_QUEUE_TIMEOUT_MS "queue_timeout_ms" pool.queue_timeout: ms,
    ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND "max_messages_per_second" pool.max_messages_per_second: int,
    ENCLAVE_SETTING_IDLE_TIMEOUT_MS "idle_timeout_ms" pool.idle_timeout: ms,
    ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS "graceful_shutdown_timeout_ms" pool.graceful_shutdown_timeout: ms,
    ENCLAVE_SETTING_MAX_MESSAGE_SIZE "max_message_size" pool.max_message_size: long,
    ENCLAVE_SETTING_MAX_PENDING_TOOL_CALLS "max_pending_tool_calls" pool.max_pending_tool_calls: int,
    ENCLAVE_SETTING_WARM_ON_INIT "warm_on_init" pool.warm_on_init: flag,
    ENCLAVE_SETTING_STATS_INTERVAL_MS "stats_interval_ms" pool.stats_interval: ms,
    ENCLAVE_SETTING_JIT "jit" pool.jit: flag,
    ENCLAVE_SETTING_REQUIRE_SANDBOX "require_sandbox" pool.require_sandbox: flag,
    ENCLAVE_SETTING_REQUIRE_SECCOMP "require_seccomp" pool.require_seccomp: flag,
    ENCLAVE_SETTING_TIMEOUT_MS "timeout_ms" limit.timeout: ms,
    ENCLAVE_SETTING_CPU_TIME_LIMIT_MS "cpu_time_limit_ms" limit.cpu_time_limit: optional_ms,
    ENCLAVE_SETTING_MAX_TOOL_CALLS "max_tool_calls" limit.max_tool_calls: int,
    ENCLAVE_SETTING_MAX_CONSOLE_CALLS "max_console_calls" limit.max_console_calls: int,
    ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT "max_console_output" limit.max_console_output: long,
    ENCLAVE_SETTING_MAX_VALUE_DEPTH "max_value_depth" limit.max_value_depth: int,
    ENCLAVE_SETTING_SANITIZE_STACK_TRACES "sanitize_stack_traces" limit.sanitize_stack_traces: flag,
    ENCLAVE_SETTING_BLOCK_TIMING_APIS "block_timing_apis" limit.block_timing_apis: flag,
    ENCLAVE_SETTING_ALLOW_CODE_GENERATION "allow_code_generation" limit.allow_code_generation: flag,
    ENCLAVE_SETTING_ALLOW_WASM "allow_wasm" limit.allow_wasm: flag,
    ENCLAVE_SETTING_MAX_PENDING_BYTES "max_pending_bytes" limit.max_pending_bytes: long,
}

impl Setting {
    /// The setting of this number.
    fn find(id: enclave_setting_t) -> Result<&'static Setting, Error> {
        SETTINGS.iter().find(|setting| setting.id == id).ok_or_else(|| {
            Error::invalid_argument("setting", format!("is {id}; accepted are the ENCLAVE_SETTING_* constants"))
        })
    }

    /// The setting of this number, which must be a limit of an execution.
    fn find_limit(id: enclave_setting_t) -> Result<&'static Setting, Error> {
        match Setting::find(id)? {
            setting @ Setting { field: Field::Limit(..), .. } => Ok(setting),
            setting => Err(Error::invalid_argument(
                "setting",
                format!("is {}, which belongs to a pool; an execution has only limits", setting.name()),
            )),
        }
    }

    fn name(&self) -> &'static str {
        self.name.to_str().unwrap_or_default()
    }

    fn read(&self, config: &PoolConfig) -> u64 {
        match self.field {
            Field::Pool(get, _) => get(config),
            Field::Limit(get, _) => get(&config.limits),
        }
    }

    fn write(&self, config: &mut PoolConfig, value: u64) -> Result<(), Error> {
        match self.field {
            Field::Pool(_, set) => set(config, Given { value, name: self.name() }),
            Field::Limit(..) => self.write_limit(&mut config.limits, value),
        }
    }

    fn write_limit(&self, limits: &mut ExecutionLimits, value: u64) -> Result<(), Error> {
        match self.field {
            Field::Pool(..) => Ok(()),
            Field::Limit(_, set) => set(limits, Given { value, name: self.name() }),
        }
    }
}

/// A value as the caller gave it, on its way into a field.
struct Given {
    value: u64,
    name: &'static str,
}

impl Given {
    fn refuse(&self, accepted: impl std::fmt::Display) -> Error {
        Error::invalid_argument(self.name, format!("is {}; accepted is {accepted}", self.value))
    }
}

/// How a field of a type becomes a number, and a number such a field.
macro_rules! kind {
    ($kind:ident: $type:ty, |$field:ident| $read:expr, |$given:ident| $write:expr) => {
        mod $kind {
            use super::*;

            pub(super) fn read($field: &$type) -> u64 {
                $read
            }

            pub(super) fn write($given: Given) -> Result<$type, Error> {
                $write
            }
        }
    };
}

kind!(long: u64, |field| *field, |given| Ok(given.value));
kind!(size: usize, |field| *field as u64, |given| {
    usize::try_from(given.value).map_err(|_| given.refuse(format_args!("at most {}", usize::MAX)))
});
kind!(int: u32, |field| (*field).into(), |given| {
    u32::try_from(given.value).map_err(|_| given.refuse(format_args!("at most {}", u32::MAX)))
});
kind!(flag: bool, |field| (*field).into(), |given| match given.value {
    0 => Ok(false),
    1 => Ok(true),
    _ => Err(given.refuse("0 and 1")),
});
kind!(ms: Duration, |field| units::ms(*field), |given| Ok(Duration::from_millis(given.value)));
kind!(optional_ms: Option<Duration>, |field| field.map_or(0, units::ms), |given| {
    Ok((given.value != 0).then(|| Duration::from_millis(given.value)))
});
kind!(isolation: Isolation, |field| *field as u64, |given| {
    let known = i32::try_from(given.value).ok().and_then(Isolation::from_number);
    known.ok_or_else(|| given.refuse("0 (thread) and 1 (process)"))
});

/// The settings that a caller has changed, as given: a number that is no setting is an error when they are applied.
#[derive(Clone, Default)]
pub(crate) struct Overrides(Vec<(enclave_setting_t, u64)>);

impl Overrides {
    pub(crate) fn set(&mut self, id: enclave_setting_t, value: u64) {
        self.0.retain(|(known, _)| *known != id);
        self.0.push((id, value));
    }

    /// Like `set`, for what an execution can set; anything else is an error now, too.
    pub(crate) fn set_limit(&mut self, id: enclave_setting_t, value: u64) -> Result<(), Error> {
        self.set(id, value);
        Setting::find_limit(id).map(|_| ())
    }

    fn given(&self, id: enclave_setting_t) -> Option<u64> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, value)| *value)
    }

    /// What a setting is in `base` with these changes.
    pub(crate) fn get(&self, id: enclave_setting_t, base: &PoolConfig) -> Result<u64, Error> {
        let setting = Setting::find(id)?;
        Ok(self.given(id).unwrap_or_else(|| match id {
            ENCLAVE_SETTING_MIN_WORKERS => {
                let max_workers = self.given(ENCLAVE_SETTING_MAX_WORKERS).unwrap_or(u64::MAX);
                setting.read(base).min(max_workers)
            }
            _ => setting.read(base),
        }))
    }

    /// `base` with these changes.
    pub(crate) fn apply(&self, base: &PoolConfig) -> Result<PoolConfig, Error> {
        let mut config = base.clone();
        self.0.iter().try_for_each(|(id, value)| Setting::find(*id)?.write(&mut config, *value))?;
        if self.given(ENCLAVE_SETTING_MIN_WORKERS).is_none() {
            config.min_workers = config.min_workers.min(config.max_workers);
        }
        Ok(config)
    }

    /// `base` with these changes, or none if there are no changes.
    pub(crate) fn apply_limits(&self, base: &ExecutionLimits) -> Result<Option<ExecutionLimits>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut limits = base.clone();
        self.0.iter().try_for_each(|(id, value)| Setting::find_limit(*id)?.write_limit(&mut limits, *value))?;
        Ok(Some(limits))
    }
}

/// The name of a setting, such as `"max_workers"` or `"timeout_ms"`; NULL for a number that is none. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_setting_name(setting: enclave_setting_t) -> *const c_char {
    guard(std::ptr::null(), || Setting::find(setting).map_or(std::ptr::null(), |setting| setting.name.as_ptr()))
}

/// The setting of a name, so that settings can come from a file or a command line; `ENCLAVE_SETTING_NONE` if no
/// setting has this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_setting_from_name(name: *const c_char, name_len: usize) -> enclave_setting_t {
    guard(ENCLAVE_SETTING_NONE, || {
        // SAFETY: the caller keeps the contract of text.
        let Ok(name) = (unsafe { text::text(name, name_len, "name") }) else { return ENCLAVE_SETTING_NONE };
        SETTINGS.iter().find(|setting| setting.name() == name).map_or(ENCLAVE_SETTING_NONE, |setting| setting.id)
    })
}

#[cfg(test)]
mod tests {
    use enclave_core::Preset;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_in_every_setting() {
        for setting in SETTINGS {
            let mut config = PoolConfig::default();
            let value = if setting.read(&config) == 1 { 0 } else { 1 };
            setting.write(&mut config, value).unwrap();
            assert_eq!(setting.read(&config), value, "{}", setting.name());
        }
    }

    #[test]
    fn a_preset_is_unchanged_by_writing_what_was_read() {
        for preset in Preset::ALL {
            let config = PoolConfig::preset(preset);
            let mut copy = PoolConfig::default();
            SETTINGS.iter().for_each(|setting| setting.write(&mut copy, setting.read(&config)).unwrap());
            assert_eq!(copy, config);
        }
    }

    #[test]
    fn a_value_that_the_field_cannot_hold_is_refused_by_name() {
        let mut overrides = Overrides::default();
        overrides.set(ENCLAVE_SETTING_MAX_TOOL_CALLS, u64::MAX);
        let message = overrides.apply(&PoolConfig::default()).unwrap_err().to_string();
        assert_eq!(message, "max_tool_calls is 18446744073709551615; accepted is at most 4294967295");
    }

    #[test]
    fn a_number_that_is_no_setting_is_refused_when_it_is_applied() {
        let mut overrides = Overrides::default();
        overrides.set(77, 1);
        let message = overrides.apply(&PoolConfig::default()).unwrap_err().to_string();
        assert_eq!(message, "setting is 77; accepted are the ENCLAVE_SETTING_* constants");
    }

    #[test]
    fn an_execution_has_no_settings_of_a_pool() {
        let mut overrides = Overrides::default();
        overrides.set(ENCLAVE_SETTING_MAX_WORKERS, 1);
        let message = overrides.apply_limits(&ExecutionLimits::default()).unwrap_err().to_string();
        assert_eq!(message, "setting is max_workers, which belongs to a pool; an execution has only limits");
    }

    #[test]
    fn min_workers_follows_max_workers_down_unless_it_was_set() {
        let base = PoolConfig::preset(Preset::Strict);
        let mut overrides = Overrides::default();
        overrides.set(ENCLAVE_SETTING_MAX_WORKERS, 1);
        assert_eq!(overrides.apply(&base).unwrap().min_workers, 1);
        assert_eq!(overrides.get(ENCLAVE_SETTING_MIN_WORKERS, &base).unwrap(), 1);
        overrides.set(ENCLAVE_SETTING_MIN_WORKERS, 2);
        assert_eq!(overrides.apply(&base).unwrap().min_workers, 2);
    }
}
