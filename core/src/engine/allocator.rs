//! The allocation functions that the linker puts between the engine and the C library (`--wrap`, see `build.rs`), so
//! that the [`Ledger`] of the thread sees every byte.
//!
//! Two ways lead through here. What the engine can do without (`moz_arena_*`, new mappings) may be refused; what it
//! or a library inside it cannot (`malloc` and the like) is only counted. Frees are counted by what the allocator says
//! the block holds, so no block has a header and any may be freed by whoever has it.
//!
//! Memory of our own Rust code goes around all this ([`HostAllocator`]): values cross threads, so they would be
//! counted on one and freed on another. They are bounded by `max_message_size`. The engine's own Rust code is counted
//! while it has the thread ([`memory::on`](super::memory::on)).
//!
//! The real functions are looked up once by name instead of being linked to (`__real_malloc`): so a program without
//! the linker's flags still links, and [`counts`] tells what it has.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::hint::black_box;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::memory::{Ledger, current, of_engine};

/// A function of the C library, looked up when it is first needed.
struct Real {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Real {
    const fn new(name: &'static CStr) -> Self {
        Real { name, found: AtomicPtr::new(std::ptr::null_mut()) }
    }

    fn get(&self) -> *mut c_void {
        match self.found.load(Ordering::Relaxed) {
            found if found.is_null() => self.look_up(),
            found => found,
        }
    }

    #[cold]
    fn look_up(&self) -> *mut c_void {
        // SAFETY: the name is NUL-terminated. The call finds what the process itself calls by this name.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, self.name.as_ptr()) };
        if found.is_null() {
            // There is no way to go on, and none to say so that would not allocate.
            std::process::abort();
        }
        self.found.store(found, Ordering::Relaxed);
        found
    }
}

/// Declares the real functions: each is the C library's own, under its own signature.
macro_rules! real {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {
        mod real {
            use super::*;

            $(
                #[inline]
                pub(super) unsafe fn $name($($argument: $kind),*) $(-> $result)? {
                    const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => unreachable!(),
                    };
                    static FUNCTION: Real = Real::new(NAME);
                    type Signature = unsafe extern "C" fn($($kind),*) $(-> $result)?;
                    // SAFETY: the function of this name has this signature, by the C library's own documentation.
                    let function = unsafe { std::mem::transmute::<*mut c_void, Signature>(FUNCTION.get()) };
                    // SAFETY: the caller keeps that function's contract.
                    unsafe { function($($argument),*) }
                }
            )*
        }
    };
}

real! {
    fn malloc(size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
    fn memalign(alignment: usize, size: usize) -> *mut c_void;
    fn malloc_usable_size(block: *mut c_void) -> usize;
    fn getenv(name: *const c_char) -> *mut c_char;
    fn strdup(text: *const c_char) -> *mut c_char;
    fn strndup(text: *const c_char, length: usize) -> *mut c_char;
    fn mmap(address: *mut c_void, length: usize, protection: c_int, flags: c_int, file: c_int, offset: libc::off_t) -> *mut c_void;
    fn munmap(address: *mut c_void, length: usize) -> c_int;
}

/// The bytes that a block holds.
fn size_of_block(block: *mut c_void) -> usize {
    if block.is_null() {
        return 0;
    }
    // SAFETY: the block was given by the same allocator and is not freed yet.
    unsafe { real::malloc_usable_size(block) }
}

/// Counts a new block, if this thread has a ledger.
fn counted(block: *mut c_void) -> *mut c_void {
    if let Some(ledger) = current() {
        ledger.add(size_of_block(block));
    }
    block
}

/// Whether this thread's ledger refuses the engine so many more bytes.
fn refused(more: usize) -> bool {
    current().is_some_and(|ledger| ledger.refuses(more))
}

/// Reallocates and counts the difference.
///
/// # Safety
///
/// As for `realloc`.
unsafe fn resized(block: *mut c_void, size: usize) -> *mut c_void {
    let before = size_of_block(block);
    // SAFETY: the caller's contract.
    let moved = unsafe { real::realloc(block, size) };
    if let Some(ledger) = current()
        && (!moved.is_null() || size == 0)
    {
        ledger.subtract(before);
        ledger.add(size_of_block(moved));
    }
    moved
}

// What the engine calls in place of the C library's functions. All have the contracts of those.

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_malloc(size: usize) -> *mut c_void {
    // SAFETY: the caller's contract, here and in all that follow.
    counted(unsafe { real::malloc(size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_calloc(count: usize, size: usize) -> *mut c_void {
    // SAFETY: as above.
    counted(unsafe { real::calloc(count, size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as above.
    unsafe { resized(block, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_free(block: *mut c_void) {
    if let Some(ledger) = current() {
        ledger.subtract(size_of_block(block));
    }
    // SAFETY: as above.
    unsafe { real::free(block) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_memalign(alignment: usize, size: usize) -> *mut c_void {
    // SAFETY: as above.
    counted(unsafe { real::memalign(alignment, size) })
}

/// `operator new` and `new[]`: the engine is built without exceptions, so they cannot fail.
fn new(size: usize) -> *mut c_void {
    // SAFETY: no preconditions.
    let block = unsafe { real::malloc(size.max(1)) };
    if block.is_null() {
        std::process::abort();
    }
    counted(block)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap__Znwm(size: usize) -> *mut c_void {
    new(size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap__Znam(size: usize) -> *mut c_void {
    new(size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap__ZnwmRKSt9nothrow_t(size: usize, _nothrow: *const c_void) -> *mut c_void {
    // SAFETY: no preconditions.
    counted(unsafe { real::malloc(size.max(1)) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap__ZdlPv(block: *mut c_void) {
    // SAFETY: as above.
    unsafe { __wrap_free(block) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap__ZdaPv(block: *mut c_void) {
    // SAFETY: as above.
    unsafe { __wrap_free(block) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_strdup(text: *const c_char) -> *mut c_char {
    // SAFETY: as above.
    counted(unsafe { real::strdup(text) }.cast()).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_strndup(text: *const c_char, length: usize) -> *mut c_char {
    // SAFETY: as above.
    counted(unsafe { real::strndup(text, length) }.cast()).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_moz_arena_malloc(_arena: usize, size: usize) -> *mut c_void {
    if refused(size) {
        return std::ptr::null_mut();
    }
    // SAFETY: as above.
    counted(unsafe { real::malloc(size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_moz_arena_calloc(_arena: usize, count: usize, size: usize) -> *mut c_void {
    if refused(count.saturating_mul(size)) {
        return std::ptr::null_mut();
    }
    // SAFETY: as above.
    counted(unsafe { real::calloc(count, size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_moz_arena_realloc(_arena: usize, block: *mut c_void, size: usize) -> *mut c_void {
    if refused(size.saturating_sub(size_of_block(block))) {
        return std::ptr::null_mut();
    }
    // SAFETY: as above.
    unsafe { resized(block, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    // What is mapped over a range that the engine has reserved before must not fail: it is memory for JIT code.
    let fixed = flags & libc::MAP_FIXED != 0;
    if !fixed && protection != libc::PROT_NONE && refused(length) {
        // SAFETY: errno is this thread's own.
        unsafe { *libc::__errno_location() = libc::ENOMEM };
        return libc::MAP_FAILED;
    }
    // SAFETY: as above.
    let mapped = unsafe { real::mmap(address, length, protection, flags, file, offset) };
    if let Some(ledger) = current()
        && mapped != libc::MAP_FAILED
    {
        match protection {
            libc::PROT_NONE if fixed => ledger.unmap(length),
            libc::PROT_NONE => {}
            _ => ledger.map(length),
        }
    }
    mapped
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_munmap(address: *mut c_void, length: usize) -> c_int {
    if let Some(ledger) = current() {
        ledger.unmap(length);
    }
    // SAFETY: as above.
    unsafe { real::munmap(address, length) }
}

/// The engine's static data is not destroyed when the process exits: workers may still be using it, and the process
/// gives all of it back anyway.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap___cxa_atexit(
    _function: *const c_void,
    _argument: *mut c_void,
    _library: *mut c_void,
) -> c_int {
    0
}

/// Beginnings of the names of variables that would change the engine's options, or make it read or write files.
#[cfg(not(feature = "debug-engine"))]
const ENGINE_VARIABLES: [&[u8]; 7] = [b"JIT_OPTION_", b"JS_", b"JSGC_", b"MOZ_", b"ION", b"PERF_SPEW_", b"ICU_"];

/// The variable that tells the engine not to ask when the process was started. It would make a thread for that, and end
/// the process where it cannot.
const STARTED_AGAIN: &CStr = c"MOZ_APP_RESTART";

/// Nobody sets options of the engine by the environment. (With the debug engine, its tests do.)
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: as above: the name is NUL-terminated.
    if unsafe { CStr::from_ptr(name) } == STARTED_AGAIN {
        return c"1".as_ptr().cast_mut();
    }
    #[cfg(not(feature = "debug-engine"))]
    {
        // SAFETY: as above: the name is NUL-terminated.
        let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
        if ENGINE_VARIABLES.iter().any(|beginning| bytes.starts_with(beginning)) {
            return std::ptr::null_mut();
        }
    }
    // SAFETY: as above.
    unsafe { real::getenv(name) }
}

/// Memory of Rust code, outside of every ledger. Make it the global allocator of the program or library that links
/// this crate, together with the linker's flags; else the memory limit is not exact, and a pool says so.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HostAllocator;

/// What every allocation is aligned to without asking, on all 64-bit platforms.
const ALIGNED: usize = 16;

// SAFETY: the C library's functions keep the contract: blocks are as large and as aligned as asked (`malloc` to 16
// bytes, `memalign` to what it is told), all can be freed with `free`, and none unwinds.
unsafe impl GlobalAlloc for HostAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        admit(layout.size());
        // SAFETY: no preconditions but a size that is not 0, which the caller guarantees.
        noted(unsafe {
            if layout.align() <= ALIGNED {
                real::malloc(layout.size()).cast()
            } else {
                real::memalign(layout.align(), layout.size()).cast()
            }
        })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`; the block is as large as the layout says.
        unsafe {
            if layout.align() <= ALIGNED {
                admit(layout.size());
                return noted(real::calloc(1, layout.size()).cast());
            }
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        if let Some(ledger) = of_engine() {
            ledger.subtract(size_of_block(block.cast()));
        }
        // SAFETY: the caller has it from here.
        unsafe { real::free(block.cast()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has the block from here, and the sizes are as the trait demands.
        unsafe {
            if layout.align() <= ALIGNED {
                admit(size.saturating_sub(layout.size()));
                let before = of_engine().map_or(0, |_| size_of_block(block.cast()));
                let moved = real::realloc(block.cast(), size);
                if let Some(ledger) = of_engine()
                    && !moved.is_null()
                {
                    ledger.subtract(before);
                    ledger.add(size_of_block(moved));
                }
                return moved.cast();
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// Does not return if the engine's own Rust code wants much more than there is: it has no way to fail.
#[inline]
fn admit(more: usize) {
    if of_engine().is_some_and(|ledger| !ledger.can_give(more)) {
        super::crash::out_of_memory();
    }
}

/// Counts a block of the engine's own Rust code.
#[inline]
fn noted(block: *mut u8) -> *mut u8 {
    if let Some(ledger) = of_engine() {
        ledger.add(size_of_block(block.cast()));
    }
    block
}

/// Whether the ledger is exact in this program: the engine's allocations are counted, and those of Rust are not.
pub(crate) fn counts() -> bool {
    const SIZE: usize = 10_000;
    let ledger = Ledger::new(u64::MAX);
    let _attached = ledger.attach();
    // SAFETY: a block is allocated and freed. `black_box` keeps the compiler from leaving both out.
    let c = unsafe {
        let block = black_box(libc::malloc(black_box(SIZE)));
        let counted = ledger.used() >= SIZE as u64;
        libc::free(block);
        counted && ledger.used() == 0
    };
    let block = black_box(Vec::<u8>::with_capacity(black_box(SIZE)));
    let rust = ledger.used() != 0;
    drop(block);
    c && !rust
}
