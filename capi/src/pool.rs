//! [`enclave_pool_t`]: submit, run, register tools, shut down.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::Arc;

use enclave_core::{Error, Execution, ExecutionOptions, MAX_DURATION, Outcome, Pool, PoolConfig, Source};

use crate::attempt::attempt;
use crate::boundary::{caught, guard, put, required};
use crate::callback::{Context, enclave_finalizer_fn, set_callback};
use crate::config::enclave_config_t;
use crate::error::enclave_error_t;
use crate::execution::{enclave_complete_fn, enclave_execution_t, time_to_wait};
use crate::options::enclave_options_t;
use crate::outcome::enclave_outcome_t;
use crate::script::enclave_script_t;
use crate::setting::{Overrides, enclave_setting_t};
use crate::stats::{self, enclave_pool_stats_t};
use crate::status::{ENCLAVE_INTERNAL, enclave_status_t};
use crate::text::text;
use crate::tool::{self, enclave_tool_fn};

/// As the time of `enclave_pool_shutdown`: the pool's `ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS`.
pub const ENCLAVE_POOL_TIMEOUT: u64 = u64::MAX - 1;

type OnComplete = Box<dyn FnOnce(Arc<Outcome>) + Send>;

/// A pool of workers. Owned by the caller. Several threads may call its functions at the same time, except
/// `enclave_pool_free`.
pub struct enclave_pool_t {
    pool: Pool,
    config: PoolConfig,
    process: u32,
}

impl enclave_pool_t {
    /// Whether this is a forked child, where nobody will ever unlock what a thread of the parent had locked.
    fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }

    fn options(&self, options: Option<&enclave_options_t>) -> Result<ExecutionOptions, Error> {
        options.map_or_else(|| Ok(ExecutionOptions::default()), |options| options.effective(&self.config.limits))
    }
}

/// Makes a pool and, by default, waits until its `min_workers` workers have started. The config may be freed
/// afterwards. INVALID_ARGUMENT: a NULL, or a setting that is out of range (the message names it, its value and what
/// is accepted). UNSUPPORTED: a setting that this library cannot give. WORKER_STARTUP.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_pool_new(
    config: Option<&enclave_config_t>,
    pool: Option<&mut MaybeUninit<*mut enclave_pool_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        put(pool, "pool", || {
            let from = required(config, "config")?;
            let config = from.effective()?;
            Ok(enclave_pool_t { pool: from.build(config.clone())?, config, process: std::process::id() })
        })
    })
}

/// Frees a pool. Before that it shuts the pool down, as `enclave_pool_shutdown` with `ENCLAVE_POOL_TIMEOUT`, unless
/// that was done. NULL is fine. Inside a callback of the library it does not wait: the pool ends on its own threads. In
/// a forked child it does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_pool_free(pool: Option<Box<enclave_pool_t>>) {
    guard((), || match pool {
        Some(pool) if pool.is_forked() => std::mem::forget(pool),
        pool => drop(pool),
    })
}

/// The value of a setting of the pool; 0 for NULL and for a number that is no setting.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_pool_setting(pool: Option<&enclave_pool_t>, setting: enclave_setting_t) -> u64 {
    guard(0, || pool.and_then(|pool| Overrides::default().get(setting, &pool.config).ok()).unwrap_or(0))
}

/// Registers a tool, in place of one of the same name. The callback answers `callTool(name, args)` and
/// `tools.name(args)` of executions that are submitted from now on. INVALID_ARGUMENT: a NULL, or a name that is not
/// accepted (the message says what is). POOL_CLOSED. FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_pool_register_tool(
    pool: Option<&enclave_pool_t>,
    name: *const c_char,
    name_len: usize,
    callback: enclave_tool_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contracts of text and of callbacks.
    unsafe {
        set_callback(callback, Context::new(user_data, finalizer), error, tool::handler, |handler| {
            required(pool, "pool")?.pool.register_tool(text(name, name_len, "name")?, handler)
        })
    }
}

/// Submits a script and returns immediately. `options` may be NULL. When the execution has its outcome, `callback` (may
/// be NULL) is called with it, and `finalizer` (may be NULL) runs. `execution` (may be NULL) receives a handle owned by
/// the caller.
///
/// If the submission fails, `callback` is not called, and the finalizer runs before the function returns:
/// INVALID_ARGUMENT, MESSAGE_TOO_LARGE (the source), QUEUE_FULL (the error says when to try again), POOL_CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_pool_submit(
    pool: Option<&enclave_pool_t>,
    source: *const c_char,
    source_len: usize,
    options: Option<&enclave_options_t>,
    callback: enclave_complete_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
    execution: Option<&mut MaybeUninit<*mut enclave_execution_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contracts of text and callbacks.
    unsafe {
        let source = || text(source, source_len, "source").map(Source::from);
        let context = Context::new(user_data, finalizer);
        submit(pool, options, callback, context, execution, error, |pool, options, on_complete| {
            pool.submit_with(source()?, options, on_complete)
        })
    }
}

/// As `enclave_pool_submit`, for a compiled script. INVALID_ARGUMENT also for a NULL in its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_pool_submit_script(
    pool: Option<&enclave_pool_t>,
    script: Option<&enclave_script_t>,
    options: Option<&enclave_options_t>,
    callback: enclave_complete_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
    execution: Option<&mut MaybeUninit<*mut enclave_execution_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contract of callbacks.
    unsafe {
        let context = Context::new(user_data, finalizer);
        submit(pool, options, callback, context, execution, error, |pool, options, on_complete| {
            pool.submit_with(&required(script, "script")?.0, options, on_complete)
        })
    }
}

/// # Safety
///
/// The caller keeps the contract of callbacks.
unsafe fn submit(
    pool: Option<&enclave_pool_t>,
    options: Option<&enclave_options_t>,
    callback: enclave_complete_fn,
    context: Context,
    execution: Option<&mut MaybeUninit<*mut enclave_execution_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
    begin: impl FnOnce(&Pool, ExecutionOptions, OnComplete) -> Result<Execution, Error>,
) -> enclave_status_t {
    attempt(error, || {
        let start = || {
            let pool = required(pool, "pool")?;
            let options = pool.options(options)?;
            let on_complete = move |outcome| {
                let context = context;
                if let Some(callback) = callback {
                    let outcome = Box::into_raw(Box::new(enclave_outcome_t::new(outcome)));
                    // SAFETY: the caller keeps the contract of callbacks; the callback owns the outcome.
                    unsafe { callback(context.user_data(), outcome) }
                }
            };
            begin(&pool.pool, options, Box::new(on_complete))
        };
        match execution {
            Some(_) => put(execution, "execution", || start().map(enclave_execution_t::new)),
            None => start().map(drop),
        }
    })
}

/// Runs a script and waits for its outcome; `options` may be NULL. Returns the outcome's status. `outcome` (may be
/// NULL) always receives an outcome owned by the caller, even if the submission was refused (QUEUE_FULL, POOL_CLOSED,
/// INVALID_ARGUMENT, INVALID_STATE inside a callback of the library, FORKED).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_pool_run(
    pool: Option<&enclave_pool_t>,
    source: *const c_char,
    source_len: usize,
    options: Option<&enclave_options_t>,
    outcome: Option<&mut MaybeUninit<*mut enclave_outcome_t>>,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contract of text.
    run(pool, || unsafe { text(source, source_len, "source") }.map(Source::from), options, outcome)
}

/// As `enclave_pool_run`, for a compiled script. INVALID_ARGUMENT also for a NULL in its place.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_pool_run_script(
    pool: Option<&enclave_pool_t>,
    script: Option<&enclave_script_t>,
    options: Option<&enclave_options_t>,
    outcome: Option<&mut MaybeUninit<*mut enclave_outcome_t>>,
) -> enclave_status_t {
    run(pool, || required(script, "script").map(|script| Source::from(&script.0)), options, outcome)
}

fn run(
    pool: Option<&enclave_pool_t>,
    source: impl FnOnce() -> Result<Source, Error>,
    options: Option<&enclave_options_t>,
    outcome: Option<&mut MaybeUninit<*mut enclave_outcome_t>>,
) -> enclave_status_t {
    let result = caught(|| {
        let source = source()?;
        let pool = required(pool, "pool")?;
        pool.pool.run_detailed(source, pool.options(options)?)
    });
    guard(ENCLAVE_INTERNAL, || {
        let made = Box::new(result.map_or_else(enclave_outcome_t::refused, enclave_outcome_t::new));
        let status = made.status();
        if let Some(outcome) = outcome {
            outcome.write(Box::into_raw(made));
        }
        status
    })
}

/// Compiles a source without running it, and waits for that. It takes a place in the queue and the time that the limits
/// allow, and counts as an execution. Of `options` (may be NULL) only the kind, the filename and the limits matter; the
/// first two stay with the script. `script` receives a script owned by the caller, for `enclave_pool_run_script` and
/// `enclave_pool_submit_script`.
///
/// Workers also keep a plain source compiled when it comes twice. A script is kept from the first time on, and its
/// syntax errors are known before it runs: SYNTAX_ERROR, with an error that says where. All else is as for
/// `enclave_pool_run`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_pool_compile(
    pool: Option<&enclave_pool_t>,
    source: *const c_char,
    source_len: usize,
    options: Option<&enclave_options_t>,
    script: Option<&mut MaybeUninit<*mut enclave_script_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        put(script, "script", || {
            // SAFETY: the caller keeps the contract of text.
            let source = unsafe { text(source, source_len, "source") }?;
            let pool = required(pool, "pool")?;
            pool.pool.compile(source, pool.options(options)?).map(enclave_script_t)
        })
    })
}

/// Compiles a source as `enclave_pool_compile` does, and returns immediately, as `enclave_pool_submit` does: the
/// execution succeeds, with undefined, if the source compiles. `script` receives the script right away. If it runs
/// before it is known to compile, it fails as the source would.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_pool_submit_compile(
    pool: Option<&enclave_pool_t>,
    source: *const c_char,
    source_len: usize,
    options: Option<&enclave_options_t>,
    callback: enclave_complete_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
    mut script: Option<&mut MaybeUninit<*mut enclave_script_t>>,
    execution: Option<&mut MaybeUninit<*mut enclave_execution_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    if let Some(script) = &mut script {
        script.write(std::ptr::null_mut());
    }
    // SAFETY: the caller keeps the contracts of text and callbacks.
    unsafe {
        let source = || text(source, source_len, "source");
        let context = Context::new(user_data, finalizer);
        submit(pool, options, callback, context, execution, error, |pool, options, on_complete| {
            let out = required(script, "script")?;
            let (script, execution) = pool.compile_with(source()?, options, on_complete)?;
            out.write(Box::into_raw(Box::new(enclave_script_t(script))));
            Ok(execution)
        })
    }
}

/// Shuts a pool down. It refuses submissions, ends waiting executions as POOL_CLOSED, waits at most `timeout_ms`
/// milliseconds for running ones (`ENCLAVE_POOL_TIMEOUT`: the pool's setting; `ENCLAVE_NO_TIMEOUT`: without end) and
/// then ends those as POOL_CLOSED. When it returns, every execution has its outcome and the workers are gone. A second
/// call waits for the first. INVALID_ARGUMENT: NULL. INVALID_STATE: inside a callback of the library. FORKED.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_pool_shutdown(
    pool: Option<&enclave_pool_t>,
    timeout_ms: u64,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        required(pool, "pool")?.pool.shutdown(match timeout_ms {
            ENCLAVE_POOL_TIMEOUT => None,
            ms => Some(time_to_wait(ms).unwrap_or(MAX_DURATION)),
        })
    })
}

/// A snapshot of the pool's stats, owned by the caller. It costs little, because it does not involve the workers.
/// INVALID_ARGUMENT: a NULL. FORKED.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_pool_stats(
    pool: Option<&enclave_pool_t>,
    stats: Option<&mut MaybeUninit<*mut enclave_pool_stats_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        stats::give(stats, || match required(pool, "pool")? {
            pool if pool.is_forked() => Err(Error::Forked),
            pool => Ok(pool.pool.stats()),
        })
    })
}
