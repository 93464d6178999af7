//! The keeper: the one thread that starts the engine, for the whole process and for good.
//!
//! SpiderMonkey is started once per process, by a *keeper* thread that owns the parent of all runtimes, runs no script
//! and never ends. A worker's runtime is a child of the parent and shares its self-hosted code and permanent atoms, so
//! it starts in under a millisecond. Nothing of this is ever torn down: the engine cannot be started twice, and its
//! static data must outlive every worker, even one that was set aside.
//!
//! Helper threads of the engine are off. A script's work happens on its worker's own thread, so its memory and CPU time
//! can be counted there and one worker cannot starve another.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};

use mozjs::jsapi::JSJitCompilerOption;
use mozjs::rust::wrappers2::JS_SetGlobalJitCompilerOption;
use mozjs::rust::{JSEngine, JSEngineHandle, ParentRuntime, Runtime};

use super::{clock, memory, trim};
use crate::error::Error;

/// What the keeper is asked for.
enum KeeperRequest {
    /// The parent of a new runtime.
    Parent(mpsc::Sender<ParentRuntime>),
    /// To collect the garbage of the parent runtime: only that purges the engine's cache of source texts, which all
    /// runtimes share and in which every source stays until then.
    /// Whoever waits for that is told.
    Collect(mpsc::Sender<()>),
}

/// The way to the keeper, once it runs. That it could not be started is not remembered: it may be another time.
static KEEPER: Mutex<Option<mpsc::Sender<KeeperRequest>>> = Mutex::new(None);

/// The engine of this process, or why there will never be one.
static ENGINE: OnceLock<Result<JSEngineHandle, String>> = OnceLock::new();

static JIT_IS_OFF: AtomicBool = AtomicBool::new(false);

const MIB: usize = 1024 * 1024;
/// Address space that the engine reserves for machine code when it starts.
const CODE: usize = 2048 * MIB;
/// Address space that a runtime needs, its first realm included, and a little more.
const RUNTIME: usize = 16 * MIB;

fn startup(cause: &str) -> Error {
    Error::WorkerStartup { cause: cause.to_owned() }
}

/// That the system has no memory for what the engine needs to start.
pub(super) fn no_memory(what: &str) -> String {
    format!(
        "{what}: the process has too little memory or address space left; raise its limits (`ulimit -v`, RLIMIT_AS, \
         the cgroup's memory.max)"
    )
}

/// Whether so much address space can be had now. Asked before the engine is, which cannot always say no.
fn has_address_space(bytes: usize) -> bool {
    // SAFETY: new addresses are reserved, which nobody uses, and given back.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let reserved = libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0);
        reserved != libc::MAP_FAILED && libc::munmap(reserved, bytes) == 0
    }
}

/// Says so if there is no memory for another runtime. Must be called where nothing is counted yet.
pub(super) fn expect_memory() -> Result<(), Error> {
    match has_address_space(RUNTIME) {
        true => Ok(()),
        false => Err(startup(&no_memory("SpiderMonkey could not make a runtime"))),
    }
}

/// Starts the engine if it is not started yet, and makes a runtime on this thread.
pub(super) fn new_runtime() -> Result<Runtime, Error> {
    let (reply, parent) = mpsc::channel();
    {
        let mut keeper = crate::sync::lock(&KEEPER);
        if keeper.is_none() {
            *keeper = Some(start_keeper().map_err(|cause| startup(&cause))?);
        }
        keeper
            .as_ref()
            .and_then(|keeper| keeper.send(KeeperRequest::Parent(reply)).ok())
            .ok_or_else(|| startup("the engine's keeper thread is gone"))?;
    }
    let parent = parent.recv().map_err(|_| startup("the engine's keeper thread is gone"))?;
    // SAFETY: the parent lives on the keeper thread, which never ends, so it outlives this runtime.
    let runtime = catch_unwind(AssertUnwindSafe(|| unsafe { Runtime::create_with_parent(parent) }));
    runtime.map_err(|_| startup(&no_memory("SpiderMonkey could not make a runtime")))
}

/// Asks the keeper to forget the sources that nobody uses any more; what is returned says when it has.
pub(super) fn forget_sources() -> mpsc::Receiver<()> {
    let (done, is_done) = mpsc::channel();
    if let Some(keeper) = &*crate::sync::lock(&KEEPER) {
        // Without a keeper there is nothing to forget.
        let _ = keeper.send(KeeperRequest::Collect(done));
    }
    is_done
}

/// Starts the engine, or says why not. Must be called on the keeper.
fn start_engine() -> Result<JSEngineHandle, String> {
    let reserved = if JIT_IS_OFF.load(Ordering::Relaxed) { 0 } else { CODE };
    if ENGINE.get().is_none() && !has_address_space(reserved + RUNTIME) {
        let needed = (reserved + RUNTIME) / MIB;
        return Err(no_memory(&format!("SpiderMonkey needs {needed} MiB of address space to start")));
    }
    let start = || {
        disable_helper_threads();
        let engine = JSEngine::init().map_err(|error| format!("SpiderMonkey could not be initialised: {error:?}"))?;
        clock::install();
        memory::install_large_allocation_callback();
        make_once();
        let handle = engine.handle();
        // It is never torn down, also not if the keeper cannot go on.
        std::mem::forget(engine);
        Ok(handle)
    };
    ENGINE.get_or_init(start).clone()
}

/// Makes now what the engine would make in a script for the whole process, as far as it can be had by a plain call: the
/// list of collations. (The rest, the centuries of lunar calendars and the tables of ICU, needs no more than small
/// requests, which are always met: see `crash`.)
fn make_once() {
    unsafe extern "C" {
        fn mozilla_collator_glue_is_supported_collation(
            locale: *const u8,
            locale_length: usize,
            collation: *const u8,
            collation_length: usize,
        ) -> bool;
    }
    let (locale, collation) = (c"de", c"phonebk");
    // SAFETY: the texts are static, and as long as is said.
    unsafe {
        mozilla_collator_glue_is_supported_collation(
            locale.as_ptr().cast(),
            locale.count_bytes(),
            collation.as_ptr().cast(),
            collation.count_bytes(),
        )
    };
}

fn start_keeper() -> Result<mpsc::Sender<KeeperRequest>, String> {
    let (requests, inbox) = mpsc::channel::<KeeperRequest>();
    let (started, start) = mpsc::channel();
    std::thread::Builder::new()
        .name("enclave-keeper".into())
        .spawn(move || {
            crate::sync::block_signals();
            let saved = SignalDispositions::save();
            let runtime = start_engine().and_then(|engine| {
                let no_memory = |_| no_memory("SpiderMonkey could not make its first runtime");
                catch_unwind(|| Runtime::new(engine)).map_err(no_memory)
            });
            // The engine has put its handlers on SIGSEGV and SIGILL, which only WebAssembly needs, and that is off.
            saved.restore();
            let mut parent = match runtime {
                Ok(parent) => parent,
                Err(cause) => {
                    let _ = started.send(Err(cause));
                    return;
                }
            };
            // The engine takes scripts of one name for the same, and compiles a new one at once to machine code because
            // another was worth it: a worker gets slower with what it has run, and shows it.
            // SAFETY: a plain call; it holds for all runtimes, of which this is the first.
            unsafe {
                JS_SetGlobalJitCompilerOption(parent.cx(), JSJitCompilerOption::JSJITCOMPILER_JIT_HINTS_ENABLE, 0)
            };
            let _ = started.send(Ok(()));
            let mut trimmer = trim::Trimmer::new();
            while let Ok(request) = inbox.recv() {
                match request {
                    KeeperRequest::Parent(reply) => {
                        let _ = reply.send(parent.prepare_for_new_child());
                    }
                    KeeperRequest::Collect(done) => {
                        memory::collect(parent.cx(), mozjs::jsapi::GCOptions::Normal);
                        let _ = done.send(());
                        trimmer.trim();
                    }
                }
            }
            // The sender is a static, so this is never reached; were it, the engine must still not be torn down.
            std::mem::forget(parent);
        })
        .map_err(|error| format!("the engine's keeper thread could not be started: {error}"))?;
    start.recv().map_err(|_| "SpiderMonkey could not be started".to_owned())??;
    Ok(requests)
}

unsafe extern "C" {
    // js::DisableExtraThreads(), which the bindings do not have.
    #[link_name = "_ZN2js19DisableExtraThreadsEv"]
    fn js_disable_extra_threads();
}

fn disable_helper_threads() {
    // SAFETY: the function takes and returns nothing, and is called before the first runtime, as it demands.
    unsafe { js_disable_extra_threads() }
}

/// Lets the engine interpret all script, in all runtimes of this process. Must be called before the first is made.
pub(crate) fn disable_jit() {
    JIT_IS_OFF.store(true, Ordering::Relaxed);
    // SAFETY: it sets a flag of the process that is read when the engine starts.
    unsafe { mozjs::jsapi::JS::DisableJitBackend() }
}

/// The signal handlers that the engine may replace, as the host had them.
struct SignalDispositions(Vec<(libc::c_int, libc::sigaction)>);

impl SignalDispositions {
    fn save() -> Self {
        let signals = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP, libc::SIGFPE];
        let read = |signal| {
            let mut action = MaybeUninit::uninit();
            // SAFETY: with a null new action this only writes the current one to `action`.
            let failed = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0;
            // SAFETY: sigaction succeeded, so `action` is written.
            (!failed).then(|| (signal, unsafe { action.assume_init() }))
        };
        SignalDispositions(signals.into_iter().filter_map(read).collect())
    }

    fn restore(&self) {
        for (signal, action) in &self.0 {
            // SAFETY: `action` is what sigaction itself has given for this signal.
            unsafe { libc::sigaction(*signal, action, std::ptr::null_mut()) };
        }
    }
}
