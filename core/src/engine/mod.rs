//! The engine: one SpiderMonkey runtime a thread, one fresh realm an execution. Knows nothing of queues and pools.
//!
//! SpiderMonkey is started once per process, by a *keeper* thread that owns the parent of all runtimes, runs no script
//! and never ends: a worker's runtime is a child of the parent and shares its self-hosted code and permanent atoms, so
//! that it starts in under a millisecond. Nothing of this is ever torn down: the engine cannot be started twice, and
//! its static data must outlive every worker, also one that was set aside.
//!
//! Helper threads of the engine are off: whatever a script does happens on its worker's own thread, so that its
//! memory and CPU time can be counted there and one worker cannot starve another.

use std::mem::MaybeUninit;
use std::sync::{Mutex, OnceLock, mpsc};

use mozjs::jsapi::JSJitCompilerOption;
use mozjs::rust::wrappers2::JS_SetGlobalJitCompilerOption;
use mozjs::rust::{JSEngine, ParentRuntime, Runtime};

use crate::error::Error;

mod allocator;
mod cache;
mod console;
mod convert;
mod crash;
mod exception;
mod host;
mod interrupt;
mod isolate;
mod jobs;
mod kept;
mod memory;
mod realm;
mod script;
mod text;
mod web;

pub use allocator::HostAllocator;
pub(crate) use allocator::counts as memory_is_exact;
pub(crate) use isolate::{Isolate, IsolateConfig};

/// What the keeper is asked for.
enum Request {
    /// The parent of a new runtime.
    Parent(mpsc::Sender<ParentRuntime>),
    /// To collect the garbage of the parent runtime: only that purges the engine's cache of source texts, which all
    /// runtimes share and in which every source stays until then.
    /// Whoever waits for that is told.
    Collect(mpsc::Sender<()>),
}

static KEEPER: OnceLock<Result<Mutex<mpsc::Sender<Request>>, String>> = OnceLock::new();

/// Starts the engine if it is not started yet, and makes a runtime on this thread.
fn new_runtime() -> Result<Runtime, Error> {
    let startup = |cause: &str| Error::WorkerStartup { cause: cause.to_owned() };
    let keeper = KEEPER.get_or_init(start_keeper).as_ref().map_err(|cause| startup(cause))?;
    let (reply, parent) = mpsc::channel();
    keeper
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .send(Request::Parent(reply))
        .map_err(|_| startup("the engine's keeper thread is gone"))?;
    let parent = parent.recv().map_err(|_| startup("the engine's keeper thread is gone"))?;
    // SAFETY: the parent lives on the keeper thread, which never ends, so it outlives this runtime.
    Ok(unsafe { Runtime::create_with_parent(parent) })
}

/// Asks the keeper to forget the sources that nobody uses any more; what is returned says when it has.
fn forget_sources() -> mpsc::Receiver<()> {
    let (done, is_done) = mpsc::channel();
    if let Some(Ok(keeper)) = KEEPER.get() {
        let keeper = keeper.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Without a keeper there is nothing to forget.
        let _ = keeper.send(Request::Collect(done));
    }
    is_done
}

fn start_keeper() -> Result<Mutex<mpsc::Sender<Request>>, String> {
    let (requests, inbox) = mpsc::channel::<Request>();
    let (started, start) = mpsc::channel();
    std::thread::Builder::new()
        .name("enclave-keeper".into())
        .spawn(move || {
            crate::sync::block_signals();
            let saved = SignalDispositions::save();
            disable_helper_threads();
            let engine = match JSEngine::init() {
                Ok(engine) => engine,
                Err(error) => {
                    let _ = started.send(Err(format!("SpiderMonkey could not be initialised: {error:?}")));
                    return;
                }
            };
            realm::install_clock();
            isolate::install_large_allocation_callback();
            let mut parent = Runtime::new(engine.handle());
            // The engine takes scripts of one name for the same, and compiles a new one at once to machine code because
            // another was worth it: a worker gets slower with what it has run, and shows it.
            // SAFETY: a plain call; it holds for all runtimes, of which this is the first.
            unsafe {
                JS_SetGlobalJitCompilerOption(parent.cx(), JSJitCompilerOption::JSJITCOMPILER_JIT_HINTS_ENABLE, 0)
            };
            // The engine has put its handlers on SIGSEGV and SIGILL, which only WebAssembly needs, and that is off.
            saved.restore();
            let _ = started.send(Ok(()));
            while let Ok(request) = inbox.recv() {
                match request {
                    Request::Parent(reply) => {
                        let _ = reply.send(parent.prepare_for_new_child());
                    }
                    Request::Collect(done) => {
                        memory::collect(parent.cx(), mozjs::jsapi::GCOptions::Normal);
                        let _ = done.send(());
                    }
                }
            }
            // The sender is a static, so this is never reached; were it, the engine must still not be torn down.
            std::mem::forget((parent, engine));
        })
        .map_err(|error| format!("the engine's keeper thread could not be started: {error}"))?;
    start.recv().map_err(|_| "SpiderMonkey could not be started".to_owned())??;
    Ok(Mutex::new(requests))
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
