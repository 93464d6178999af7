//! Tells the linker to lead the engine's allocations through `engine::allocator`, and to link the C++ library statically.

use std::env;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The functions that are wrapped; each has its `__wrap_` twin there.
const WRAPPED: [&str; 24] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "memalign",
    // operator new, new[], new (nothrow), delete and delete[]: some of what they give, the engine frees with `free`.
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZdlPv",
    "_ZdaPv",
    "strdup",
    "strndup",
    "mmap",
    "munmap",
    "moz_arena_malloc",
    "moz_arena_calloc",
    "moz_arena_realloc",
    // What the engine reads of the environment.
    "getenv",
    // Destructors of the engine's static data: a worker may still run when the process exits.
    "__cxa_atexit",
    // This and js::AutoEnterOOMUnsafeRegion::crash_impl(const char*): see `engine::crash`.
    "abort",
    "_ZN2js24AutoEnterOOMUnsafeRegion10crash_implEPKc",
    // See `engine::normalize`.
    "js_normalize_utf16",
    "js_normalize_latin1",
    // v8::internal::regexp::Stack::EnsureCapacity(size_t): see `engine::regexp`.
    "_ZN2v88internal6regexp5Stack14EnsureCapacityEm",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let loom = env::var_os("CARGO_CFG_LOOM").is_some();
    let linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    let flags: Vec<String> = match linux && !loom {
        true => WRAPPED.iter().map(|name| format!("-Wl,--wrap={name}")).collect(),
        false => Vec::new(),
    };
    // For the tests and benchmarks of this crate.
    for flag in &flags {
        println!("cargo::rustc-link-arg={flag}");
    }
    if linux && !loom {
        link_cpp_library();
    }
    // For whatever links this crate: its build script finds them in DEP_ENCLAVE_CORE_LINK_ARGS, separated by spaces.
    println!("cargo::metadata=link_args={}", flags.join(" "));
}

/// Has the archive of the C++ library found before its shared object, where there is one. The engine needs a few of its
/// functions, and whatever links it would else need the library of as new a compiler as the engine was built with.
fn link_cpp_library() {
    let compiler = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let Ok(output) = Command::new(compiler).arg("-print-file-name=libstdc++.a").output() else { return };
    let archive = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !archive.is_absolute() {
        return;
    }
    let directory = Path::new(&env::var_os("OUT_DIR").expect("Cargo sets it")).join("static");
    std::fs::create_dir_all(&directory).expect("the output directory is writable");
    let link = directory.join("libstdc++.a");
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{}: {error}", link.display()),
        _ => symlink(archive, link).expect("the output directory is writable"),
    }
    println!("cargo::rustc-link-search=native={}", directory.display());
}
