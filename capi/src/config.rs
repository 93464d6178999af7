//! [`enclave_config_t`]: what a pool is made with.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::path::PathBuf;

use enclave_core::{ConsoleHandler, Error, Pool, PoolConfig, Preset, ToolHandler};

use crate::attempt::attempt;
use crate::boundary::{guard, required};
use crate::callback::{Context, enclave_finalizer_fn, set_callback};
use crate::console::{self, enclave_console_fn};
use crate::error::enclave_error_t;
use crate::setting::{Overrides, enclave_setting_t};
use crate::stats::{self, RecycleHandler, StatsHandler, enclave_stats_fn, enclave_worker_recycled_fn};
use crate::status::enclave_status_t;
use crate::text;
use crate::tool::{self, enclave_tool_fn};

/// A named table of settings.
pub type enclave_preset_t = i32;
/// The defaults: those of STANDARD, with as many workers as there are CPUs and 128 MiB each.
pub const ENCLAVE_PRESET_DEFAULT: enclave_preset_t = 0;
/// For code from strangers: 4 workers of 64 MiB, 5 s wall, 2 s CPU, no code generation, no clocks.
pub const ENCLAVE_PRESET_STRICT: enclave_preset_t = 1;
/// For untrusted code with a purpose: 8 workers of 128 MiB, 15 s wall, 10 s CPU.
pub const ENCLAVE_PRESET_SECURE: enclave_preset_t = 2;
/// For code of known origin: 16 workers of 256 MiB, 30 s wall.
pub const ENCLAVE_PRESET_STANDARD: enclave_preset_t = 3;
/// For trusted code: 32 workers of 512 MiB, 60 s wall, `eval` allowed.
pub const ENCLAVE_PRESET_PERMISSIVE: enclave_preset_t = 4;

/// The settings of a pool: a preset, changes to it, and callbacks. It may make any number of pools, and may be changed
/// or freed as soon as a pool is made. Only one thread at a time may change it.
pub struct enclave_config_t {
    base: PoolConfig,
    overrides: Overrides,
    worker_path: Option<PathBuf>,
    cgroup: Option<PathBuf>,
    on_worker_recycled: Option<RecycleHandler>,
    on_stats_update: Option<StatsHandler>,
    on_console: Option<ConsoleHandler>,
    on_tool_call: Option<ToolHandler>,
}

impl enclave_config_t {
    /// The settings that a pool of this config has.
    pub(crate) fn effective(&self) -> Result<PoolConfig, Error> {
        let mut config = self.overrides.apply(&self.base)?;
        config.worker_path = self.worker_path.clone();
        config.cgroup = self.cgroup.clone();
        config.validate()?;
        Ok(config)
    }

    pub(crate) fn build(&self, config: PoolConfig) -> Result<Pool, Error> {
        let mut builder = Pool::builder(config);
        if let Some(handler) = self.on_worker_recycled.clone() {
            builder = builder.on_worker_recycled(move |event| handler(event));
        }
        if let Some(handler) = self.on_stats_update.clone() {
            builder = builder.on_stats_update(move |stats| handler(stats));
        }
        if let Some(handler) = self.on_console.clone() {
            builder = builder.on_console(handler);
        }
        if let Some(handler) = self.on_tool_call.clone() {
            builder = builder.tool_handler(handler);
        }
        builder.build()
    }
}

/// Makes a config from a preset, without callbacks. Owned by the caller; NULL if the preset is none of the constants.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_config_new(preset: enclave_preset_t) -> Option<Box<enclave_config_t>> {
    guard(None, || {
        let base = match preset {
            ENCLAVE_PRESET_DEFAULT => PoolConfig::default(),
            ENCLAVE_PRESET_STRICT => PoolConfig::preset(Preset::Strict),
            ENCLAVE_PRESET_SECURE => PoolConfig::preset(Preset::Secure),
            ENCLAVE_PRESET_STANDARD => PoolConfig::preset(Preset::Standard),
            ENCLAVE_PRESET_PERMISSIVE => PoolConfig::preset(Preset::Permissive),
            _ => return None,
        };
        Some(Box::new(enclave_config_t {
            base,
            overrides: Overrides::default(),
            worker_path: None,
            cgroup: None,
            on_worker_recycled: None,
            on_stats_update: None,
            on_console: None,
            on_tool_call: None,
        }))
    })
}

/// Frees a config; NULL is fine. Pools made from it keep its callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_config_free(config: Option<Box<enclave_config_t>>) {
    guard((), || drop(config))
}

/// Changes a setting. You may ignore the status, because the value is checked when a pool is made: if it is wrong,
/// `enclave_pool_new` and `enclave_config_validate` fail with an error that names the setting, the value and what is
/// accepted. INVALID_ARGUMENT: NULL, or not a setting.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_config_set(
    config: Option<&mut enclave_config_t>,
    setting: enclave_setting_t,
    value: u64,
) -> enclave_status_t {
    attempt(None, || {
        let config = required(config, "config")?;
        config.overrides.set(setting, value);
        config.overrides.get(setting, &config.base).map(|_| ())
    })
}

/// The current value of a setting, from the preset or as it was set. 0 for NULL and for a number that is no setting.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_config_get(config: Option<&enclave_config_t>, setting: enclave_setting_t) -> u64 {
    guard(0, || config.and_then(|config| config.overrides.get(setting, &config.base).ok()).unwrap_or(0))
}

/// Sets the path of the executable `enclave-worker`, for process isolation. With an empty path, which is the default,
/// the library looks for it in this order: the environment variable `ENCLAVE_WORKER`; beside the loaded library; in
/// `../libexec/enclave` from there; in `PATH`. Whether it exists is checked when a pool is made. INVALID_ARGUMENT: a
/// NULL, or no UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_config_set_worker_path(
    config: Option<&mut enclave_config_t>,
    path: *const c_char,
    path_len: usize,
) -> enclave_status_t {
    attempt(None, || {
        // SAFETY: the caller keeps the contract of text.
        let path = unsafe { path_of(path, path_len) }?;
        required(config, "config")?.worker_path = path;
        Ok(())
    })
}

/// Sets a directory of cgroup v2 that is delegated to this process, with the controllers `memory` and `pids` enabled
/// for its children. Every worker process gets a group of its own in it, with `memory.max` and `pids.max`. An empty
/// path, which is the default, means no group. INVALID_ARGUMENT: a NULL, or no UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_config_set_cgroup(
    config: Option<&mut enclave_config_t>,
    path: *const c_char,
    path_len: usize,
) -> enclave_status_t {
    attempt(None, || {
        // SAFETY: the caller keeps the contract of text.
        let path = unsafe { path_of(path, path_len) }?;
        required(config, "config")?.cgroup = path;
        Ok(())
    })
}

/// A path, or none if it is empty.
///
/// # Safety
///
/// The contract of text.
unsafe fn path_of(path: *const c_char, path_len: usize) -> Result<Option<PathBuf>, Error> {
    // SAFETY: by the contract of this function.
    let path = unsafe { text::text(path, path_len, "path") }?;
    Ok((!path.is_empty()).then(|| PathBuf::from(path)))
}

/// Checks all settings as `enclave_pool_new` does. INVALID_ARGUMENT or UNSUPPORTED: the first that is out of range.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_config_validate(
    config: Option<&enclave_config_t>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || required(config, "config")?.effective().map(|_| ()))
}

/// Sets the callback for every worker that leaves the pool, with the reason, replacing an earlier one. It is called on
/// a thread of the pool and should return soon. INVALID_ARGUMENT: a NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_config_on_worker_recycled(
    config: Option<&mut enclave_config_t>,
    callback: enclave_worker_recycled_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contract of callbacks.
    unsafe {
        set_callback(callback, Context::new(user_data, finalizer), None, stats::recycle_handler, |handler| {
            required(config, "config")?.on_worker_recycled = Some(handler);
            Ok(())
        })
    }
}

/// Sets the callback that receives the pool's stats every `ENCLAVE_SETTING_STATS_INTERVAL_MS`, replacing an earlier
/// one. It is called on a thread of the pool and should return soon. INVALID_ARGUMENT: a NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_config_on_stats_update(
    config: Option<&mut enclave_config_t>,
    callback: enclave_stats_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contract of callbacks.
    unsafe {
        set_callback(callback, Context::new(user_data, finalizer), None, stats::stats_handler, |handler| {
            required(config, "config")?.on_stats_update = Some(handler);
            Ok(())
        })
    }
}

/// Sets the callback that receives the console lines of all executions, as they come, replacing an earlier one.
/// INVALID_ARGUMENT: a NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_config_on_console(
    config: Option<&mut enclave_config_t>,
    callback: enclave_console_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contract of callbacks.
    unsafe {
        set_callback(callback, Context::new(user_data, finalizer), None, console::handler, |handler| {
            required(config, "config")?.on_console = Some(handler);
            Ok(())
        })
    }
}

/// Sets the callback that answers calls of tools without a callback of their own (`enclave_pool_register_tool`),
/// replacing an earlier one. INVALID_ARGUMENT: a NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_config_on_tool_call(
    config: Option<&mut enclave_config_t>,
    callback: enclave_tool_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contract of callbacks.
    unsafe {
        set_callback(callback, Context::new(user_data, finalizer), None, tool::handler, |handler| {
            required(config, "config")?.on_tool_call = Some(handler);
            Ok(())
        })
    }
}
