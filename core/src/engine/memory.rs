//! The ledger of a worker: every byte of its heap, its buffers and what the engine needs beside them, under one limit.
//!
//! It is exact because a worker is one thread, the engine's helper threads are off, and the linker leads all of the
//! engine's allocations through [`allocator`](super::allocator). Three numbers matter:
//!
//! * At the **limit** the engine is asked to call back at its next poll point ([`Ledger::on_interrupt`]). There garbage
//!   is collected; if more than [`LIVE`] of the limit is still in use, the execution ends with MEMORY_LIMIT.
//! * At the limit plus a **headroom** ([`headroom`]) requests are refused. The engine answers a refusal with "out of
//!   memory", which script could catch. So a refusal also ends the execution ([`Ledger::refused`]), which script cannot
//!   catch. Small requests are met for a little longer ([`ALLOWANCE`]): some of the engine cannot do without, and the
//!   next poll point is near.
//! * **Nothing** is refused while garbage is collected, because the engine would abort the process, nor outside of an
//!   execution.
//!
//! The pool counts only in between: a worker that is at rest holds what its runtime needs, its [`base`](Ledger::base).

use std::cell::{Cell, OnceCell};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use mozjs::context::JSContext;
use mozjs::jsapi::JS::{HeapState, RuntimeHeapState};
use mozjs::jsapi::{GCOptions, GCReason};
use mozjs::rust::Runtime;
use mozjs::rust::wrappers2::{GetGCHeapUsage, NonIncrementalGC, PrepareForFullGC};

use super::interrupt::Link;
use super::thrown::{JsResult, Thrown};
use crate::error::Error;

/// The share of the limit that may be live after a collection: above it, the worker would only collect garbage.
const LIVE: f64 = 0.9;
/// The smallest headroom, and its share of the limit.
const MIN_HEADROOM: u64 = 8 * 1024 * 1024;
const HEADROOM_SHARE: u64 = 4;
/// What small requests, and those that have no way to fail, may take above the limit and the headroom.
const ALLOWANCE: u64 = 8 * 1024 * 1024;
/// What is smaller is a small request.
const SMALL: usize = 1024 * 1024;
/// Garbage is collected at rest when a worker holds this share of its limit more than its base. With a smaller share,
/// executions that hold much would each be followed by a collection.
const GARBAGE_SHARE: u64 = 4;
/// Share of the limit by which a worker at rest may differ from its base, and how much it may in any case: the engine
/// keeps some chunks for the next realms.
const SETTLED_SHARE: u64 = 8;
const SETTLED: u64 = 4 * 1024 * 1024;

thread_local! {
    /// The ledger of this thread. No destructor and no lazy value, so that an allocator may look at it at any time.
    static CURRENT: Cell<*const Ledger> = const { Cell::new(std::ptr::null()) };
}

/// The ledger of this thread, for the length of one call of the allocator.
pub(super) fn current<'a>() -> Option<&'a Ledger> {
    let ledger = CURRENT.try_with(Cell::get).unwrap_or(std::ptr::null());
    // SAFETY: the pointer is null, or that of an `Attached`, which holds the ledger and is dropped on this thread.
    unsafe { ledger.as_ref() }
}

/// Bytes of Rust's memory that stand in the ledger as long as this lives.
///
/// Whatever script makes our own code build or keep is counted so, before it is made.
#[derive(Default)]
pub(super) struct Reserved {
    bytes: usize,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(ledger) = current() {
            ledger.subtract(self.bytes);
        }
    }
}

impl Reserved {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts no more than so many bytes from now on.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        if let Some(ledger) = current() {
            let surplus = self.bytes.saturating_sub(bytes);
            ledger.subtract(surplus);
            self.bytes -= surplus;
        }
    }

    /// Counts more. If the ledger refuses it, the execution ends, as it does when the engine is refused something.
    pub(super) fn grow(&mut self, bytes: usize) -> JsResult<()> {
        if let Some(ledger) = current() {
            if ledger.refuses(bytes) {
                ledger.refused();
                return Err(Thrown);
            }
            ledger.add(bytes);
            self.bytes += bytes;
        }
        Ok(())
    }

    /// Counts so many bytes at least.
    pub(super) fn grow_to(&mut self, bytes: usize) -> JsResult<()> {
        self.grow(bytes.saturating_sub(self.bytes))
    }
}

/// Bytes that the allocator needs at most beside those that it is asked for.
pub(super) const BLOCK: usize = 32;

/// Counts memory that our own code needs for a script, or ends the execution.
pub(super) fn reserve(bytes: usize) -> JsResult<Reserved> {
    let mut reserved = Reserved::default();
    reserved.grow(bytes)?;
    Ok(reserved)
}

/// Bytes above the limit at which requests are refused.
fn headroom(limit: u64) -> u64 {
    (limit / HEADROOM_SHARE).max(MIN_HEADROOM)
}

/// What one worker's thread holds.
pub(super) struct Ledger {
    limit: u64,
    /// May be below 0 for a moment: what a thread frees need not have been allocated while it counted.
    used: Cell<i64>,
    /// What of it is mapped, and not from the C library's allocator.
    mapped: Cell<i64>,
    peak: Cell<i64>,
    /// What the worker held after the first collection at rest.
    base: Cell<Option<i64>>,
    /// An execution runs.
    armed: Cell<bool>,
    /// The engine runs, and not our own code: see [`on`].
    in_engine: Cell<bool>,
    /// The limit was passed, and the engine asked to call back.
    passed: Cell<bool>,
    /// Bytes in use at which the engine is asked to call back: the limit, or less where collecting takes much itself.
    trigger: Cell<u64>,
    collection: Collection,
    /// Bytes that were in use, a refused request included, when the execution was ended.
    at_end: Cell<u64>,
    link: OnceCell<Arc<Link>>,
}

/// What is known of the collection that runs, or of the last one.
#[derive(Default)]
struct Collection {
    /// Bytes in use, and the peak of the execution, at its start.
    used: Cell<i64>,
    peak_before: Cell<i64>,
    /// The most bytes in use while it ran.
    peak: Cell<i64>,
}

/// Who runs on a worker's thread.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Side {
    /// The engine. Parts of it are written in Rust (Unicode normalisation, for one): what they allocate is counted.
    Engine,
    /// Our own code, whose memory is not counted.
    Host,
}

/// A side has the thread until this is dropped.
pub(super) struct On {
    before: bool,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Drop for On {
    fn drop(&mut self) {
        if let Some(ledger) = current() {
            ledger.in_engine.set(self.before);
        }
    }
}

/// Gives the thread to a side.
pub(super) fn on(side: Side) -> On {
    let before = current().is_some_and(|ledger| ledger.in_engine.replace(side == Side::Engine));
    On { before, _thread: PhantomData }
}

/// Runs what may run script, on the engine's side.
pub(super) fn in_engine<R>(run: impl FnOnce() -> R) -> R {
    let _engine = on(Side::Engine);
    run()
}

/// The ledger, if the engine runs on this thread.
pub(super) fn of_engine<'a>() -> Option<&'a Ledger> {
    current().filter(|ledger| ledger.in_engine.get())
}

/// A thread counts as long as this lives.
pub(super) struct Attached {
    _ledger: Rc<Ledger>,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        CURRENT.set(std::ptr::null());
    }
}

impl Ledger {
    pub(super) fn new(limit: u64) -> Rc<Self> {
        Rc::new(Ledger {
            limit,
            used: Cell::new(0),
            mapped: Cell::new(0),
            peak: Cell::new(0),
            base: Cell::new(None),
            armed: Cell::new(false),
            in_engine: Cell::new(false),
            passed: Cell::new(false),
            trigger: Cell::new(limit),
            collection: Collection::default(),
            at_end: Cell::new(0),
            link: OnceCell::new(),
        })
    }

    /// Counts what this thread allocates from now on.
    pub(super) fn attach(self: &Rc<Self>) -> Attached {
        CURRENT.set(Rc::as_ptr(self));
        Attached { _ledger: self.clone(), _thread: PhantomData }
    }

    /// The way to end an execution. Until it is known, nothing is limited.
    pub(super) fn set_link(&self, link: Arc<Link>) {
        // Set once, right after the runtime is made.
        let _ = self.link.set(link);
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> u64 {
        self.used.get().max(0) as u64
    }

    /// The most bytes in use since [`Ledger::begin`].
    pub(super) fn peak(&self) -> u64 {
        self.peak.get().max(0) as u64
    }

    /// An execution starts: the limit holds.
    pub(super) fn begin(&self) {
        self.peak.set(self.used.get());
        self.passed.set(false);
        self.trigger.set(self.limit);
        self.at_end.set(0);
        self.armed.set(true);
    }

    /// The execution is over: nothing is refused any more.
    pub(super) fn end(&self) {
        self.armed.set(false);
    }

    pub(super) fn add(&self, bytes: usize) {
        let used = self.used.get() + bytes as i64;
        self.used.set(used);
        if used > self.peak.get() {
            self.peak.set(used);
        }
        if used > 0 && used as u64 > self.trigger.get() {
            self.pass();
        }
    }

    pub(super) fn subtract(&self, bytes: usize) {
        self.used.set(self.used.get() - bytes as i64);
    }

    pub(super) fn map(&self, bytes: usize) {
        self.mapped.set(self.mapped.get() + bytes as i64);
        self.add(bytes);
    }

    pub(super) fn unmap(&self, bytes: usize) {
        self.mapped.set(self.mapped.get() - bytes as i64);
        self.subtract(bytes);
    }

    /// Asks the engine to call back.
    #[cold]
    fn pass(&self) {
        if self.armed.get()
            && !self.passed.replace(true)
            && let Some(link) = self.link.get()
        {
            link.poke();
        }
    }

    /// Whether the engine is refused so many more bytes.
    pub(super) fn refuses(&self, more: usize) -> bool {
        self.is_beyond(more, if more < SMALL { ALLOWANCE } else { 0 })
    }

    /// Bytes that the engine can have before it is refused more.
    pub(super) fn room(&self) -> u64 {
        match self.armed.get() {
            true => (self.limit + headroom(self.limit)).saturating_sub(self.used()),
            false => u64::MAX,
        }
    }

    /// Whether so many more bytes can be had where there is no way to refuse them. Small requests always can: whoever
    /// makes them may hold a lock of the whole process. The execution ends for them at the next poll point.
    pub(super) fn can_give(&self, more: usize) -> bool {
        if !self.is_beyond(more, ALLOWANCE) {
            return true;
        }
        self.refused();
        more < SMALL
    }

    /// Whether so many more bytes are beyond the limit, the headroom and this allowance.
    fn is_beyond(&self, more: usize, allowance: u64) -> bool {
        let after = self.used().saturating_add(more as u64);
        if after <= self.limit || !self.armed.get() {
            return false;
        }
        self.pass();
        // SAFETY: an execution runs on this thread, so it has a context.
        if after <= self.limit + headroom(self.limit) + allowance || unsafe { RuntimeHeapState() } != HeapState::Idle {
            return false;
        }
        self.at_end.set(after);
        true
    }

    /// The engine reports that it is out of memory: script must not be able to go on.
    pub(super) fn refused(&self) {
        if let Some(link) = self.link.get() {
            self.at_end.set(self.at_end.get().max(self.used()));
            link.kill_from_allocator();
        }
    }

    /// At a poll point of the engine. Collects garbage if the limit was passed, and ends the execution if that did not
    /// help.
    pub(super) fn on_interrupt(&self, cx: &mut JSContext) {
        if !self.passed.get() {
            return;
        }
        let before = self.used();
        collect(cx, GCOptions::Normal);
        if !self.has_room_for(0) && self.has_no_room_without_caches(cx) {
            self.at_end.set(before.max(self.collection.peak.get().max(0) as u64));
            self.refused();
        }
        self.passed.set(false);
    }

    /// Whether so much more may be in use after a collection.
    fn has_room_for(&self, more: u64) -> bool {
        (self.used() + more) as f64 <= self.trigger.get() as f64 * LIVE
    }

    /// Collects once more, to give back what is free in the engine's own mappings. It also throws caches away, such as
    /// the hash tables of large objects, which script may need at once: those are not counted as free, else it would
    /// do nothing but to make them again.
    fn has_no_room_without_caches(&self, cx: &mut JSContext) -> bool {
        // SAFETY: a plain call.
        let live = unsafe { GetGCHeapUsage(cx) };
        if live as f64 > self.trigger.get() as f64 * LIVE {
            return true;
        }
        let allocated = || self.used.get() - self.mapped.get();
        let before = allocated();
        collect(cx, GCOptions::Shrink);
        !self.has_room_for((before - allocated()).max(0) as u64)
    }

    /// A collection of everything starts.
    pub(super) fn collection_starts(&self) {
        let used = self.used.get();
        self.collection.used.set(used);
        self.collection.peak_before.set(self.peak.replace(used));
    }

    /// A collection of everything is over.
    ///
    /// It may have taken memory of its own, which nothing could refuse: for the entries of a `WeakMap`, several times
    /// what the map takes. The more it took, the earlier the next one is asked for; and if it took too much, the
    /// execution ends.
    pub(super) fn collection_ends(&self) {
        let peak = self.peak.get();
        self.peak.set(peak.max(self.collection.peak_before.get()));
        self.collection.peak.set(peak);
        if !self.armed.get() {
            return;
        }
        let (before, peak) = (self.collection.used.get().max(0) as u64, peak.max(1) as u64);
        let (headroom, most) = (headroom(self.limit), self.limit + headroom(self.limit));
        if peak > most && peak - before > headroom {
            self.at_end.set(peak);
            self.refused();
        }
        // What would have been in use at its start for a peak of `most`.
        let trigger = (most as f64 * before as f64 / peak as f64) as u64;
        self.trigger.set(trigger.min(self.limit));
    }

    /// A large request cannot be met: makes room, before the engine tries once more.
    pub(super) fn make_room(&self, cx: &mut JSContext) {
        if self.armed.get() {
            collect(cx, GCOptions::Shrink);
        }
    }

    /// Whether a worker at rest has so much garbage that it should not wait for its turn.
    pub(super) fn wants_collection(&self) -> bool {
        let base = self.base.get().unwrap_or(0).max(0) as u64;
        self.used() > base + self.limit / GARBAGE_SHARE
    }

    /// Collects all garbage of a worker at rest.
    ///
    /// The engine keeps one cache of source texts for all threads, so one worker may free what another has allocated.
    /// Whatever is left beside the base when nothing is alive is such a difference, and is settled here once it matters;
    /// not each time, because the engine first has to give back the chunks that it keeps for the next realms.
    pub(super) fn collect_at_rest(&self, cx: &mut JSContext) {
        collect(cx, GCOptions::Normal);
        let Some(base) = self.base.get() else {
            self.base.set(Some(self.used.get()));
            return;
        };
        if self.used.get().abs_diff(base) > (self.limit / SETTLED_SHARE).max(SETTLED) {
            collect(cx, GCOptions::Shrink);
            self.used.set(base);
        }
    }

    /// The error of an execution that went over the limit.
    pub(super) fn error(&self) -> Error {
        Error::MemoryLimit { used: self.at_end.get().max(self.peak()), limit: self.limit }
    }
}

pub(super) fn collect(cx: &mut JSContext, options: GCOptions) {
    // SAFETY: plain calls on this thread's context, at a point where the engine may collect.
    unsafe {
        PrepareForFullGC(cx);
        NonIncrementalGC(cx, options, GCReason::API);
    }
}

/// Puts the process-wide hook for large requests that cannot be met; the engine tries again after it.
pub(super) fn install_large_allocation_callback() {
    // SAFETY: called once, before the first script runs.
    unsafe { mozjs::jsapi::JS::SetProcessLargeAllocationFailureCallback(Some(on_large_allocation_failure)) }
}

unsafe extern "C" fn on_large_allocation_failure() {
    let Some(cx) = Runtime::get() else { return };
    // SAFETY: this thread's live context, at a point where the engine may collect; one wrapper for this call.
    let mut cx = unsafe { JSContext::from_ptr(cx) };
    if let Some(ledger) = current() {
        ledger.make_room(&mut cx);
    }
}
