//! Where the executable of worker processes is.

use std::ffi::{CStr, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

const NAME: &str = "enclave-worker";
const VARIABLE: &str = "ENCLAVE_WORKER";

/// What can be done where there is no executable.
const REMEDIES: &str = "install enclave-worker or name it with worker_path, or set isolation to thread, which runs script \
                        inside of this process";

/// The executable: the configured one, or the first that is found. The error says what was tried.
pub(super) fn executable(configured: Option<&Path>) -> Result<PathBuf, Error> {
    let named = configured.map(|path| ("worker_path", path.to_owned()));
    let named = named.or_else(|| variable(VARIABLE).map(|path| (VARIABLE, PathBuf::from(path))));
    if let Some((source, path)) = named {
        // The host may change its directory later.
        let path = std::path::absolute(&path).unwrap_or(path);
        return match problem(&path) {
            None => Ok(path),
            Some(problem) => Err(unsupported(format!("{source} is {}, which {problem}; {REMEDIES}", path.display()))),
        };
    }
    let candidates = candidates();
    if let Some(found) = candidates.iter().find(|path| problem(path).is_none()) {
        return Ok(found.clone());
    }
    let tried: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
    let environment = match is_privileged() {
        true => "the environment is not asked, because this program has more rights than its user",
        false => "the environment variable ENCLAVE_WORKER is not set",
    };
    Err(unsupported(format!(
        "the executable {NAME} was not found: worker_path is not set, {environment}, and there is none at {}; {REMEDIES}",
        tried.join(", ")
    )))
}

/// A variable of the environment, unless whoever has set it has fewer rights than this program.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|_| !is_privileged())
}

/// Whether this program has got rights by being started (setuid, file capabilities).
fn is_privileged() -> bool {
    // SAFETY: a plain call.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

fn unsupported(reason: String) -> Error {
    Error::Unsupported { feature: "process isolation".into(), reason }
}

/// Why this cannot be executed.
fn problem(path: &Path) -> Option<&'static str> {
    match path.metadata() {
        Err(_) => Some("does not exist"),
        Ok(metadata) if !metadata.is_file() => Some("is no file"),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => Some("is not executable"),
        Ok(_) => None,
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(directory) = our_directory() {
        places.push(directory.join(NAME));
        // Tests and examples of Cargo are one directory deeper than executables.
        if let Some(parent) = directory.parent() {
            if directory.ends_with("deps") || directory.ends_with("examples") {
                places.push(parent.join(NAME));
            }
            places.push(parent.join("libexec").join("enclave").join(NAME));
        }
    }
    let path = variable("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path).filter(|place| place.is_absolute()).map(|place| place.join(NAME)));
    places
}

/// The directory of the shared library or program that this code is in.
fn our_directory() -> Option<PathBuf> {
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: the address is one of our own code, `info` a valid place; on success it is written, and the name that it
    // points to stays while our code does.
    let name = unsafe {
        if libc::dladdr(our_directory as *const libc::c_void, info.as_mut_ptr()) == 0 {
            return None;
        }
        let name = info.assume_init().dli_fname;
        if name.is_null() {
            return None;
        }
        Path::new(OsStr::from_bytes(CStr::from_ptr(name).to_bytes())).to_owned()
    };
    // Of a program, only the name may be known by which it was called.
    let file = name.canonicalize().or_else(|_| std::env::current_exe()).ok()?;
    file.parent().map(Path::to_owned)
}
