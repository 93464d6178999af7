//! The flags of a library that many kinds of host load; for the build scripts of what is linked from enclave-core.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Links with this version script (relative to the crate) and these flags beside those of every library of ours.
pub fn link(version_script: &str, flags: &[String]) {
    println!("cargo::rerun-if-changed={version_script}");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");

    // The engine's allocations are counted: see the build script of enclave-core. The tests of a crate need it too.
    for flag in variable("DEP_ENCLAVE_CORE_LINK_ARGS").split_whitespace() {
        println!("cargo::rustc-link-arg={flag}");
    }
    if variable("CARGO_CFG_TARGET_OS") == "linux" {
        flags.iter().chain(&for_linux(version_script)).for_each(|flag| println!("cargo::rustc-cdylib-link-arg={flag}"));
    }
}

fn for_linux(version_script: &str) -> Vec<String> {
    vec![
        // Threads of the engine outlive every pool, so the code must stay after `dlclose`.
        "-Wl,-z,nodelete".into(),
        "-Wl,-z,relro,-z,now,-z,noexecstack".into(),
        // Another SpiderMonkey, or anything else in the process, must not take the place of our own functions.
        "-Wl,-Bsymbolic".into(),
        // Takes the linker that is made below.
        format!("-B{}", make_linker(version_script).display()),
        "-fuse-ld=bfd".into(),
    ]
}

/// Makes a linker that reads our version script in place of rustc's, and gives its directory.
///
/// rustc passes a version script of its own, one without a version: GNU ld refuses to combine it with any other, and
/// lld lets it win, so that the symbols stay unversioned. There is no option to turn it off. So a few lines of shell,
/// in a directory where the C compiler looks for `ld.bfd` first, change that argument on its way to GNU ld.
fn make_linker(version_script: &str) -> PathBuf {
    let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join(version_script);
    let wrapper = format!(
        r#"#!/bin/sh
for argument do
    shift
    case $argument in
        --version-script=*) argument=--version-script={script} ;;
    esac
    set -- "$@" "$argument"
done
exec {linker} "$@"
"#,
        script = quoted(&script),
        linker = quoted(&gnu_ld()),
    );
    let directory = Path::new(&variable("OUT_DIR")).join("linker");
    let file = directory.join("ld.bfd");
    fs::create_dir_all(&directory).expect("the output directory is writable");
    fs::write(&file, wrapper).expect("the output directory is writable");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    directory
}

/// The GNU ld that belongs to the C compiler with which rustc links.
fn gnu_ld() -> PathBuf {
    let compiler = env::var_os("RUSTC_LINKER").unwrap_or_else(|| OsString::from("cc"));
    let output = Command::new(&compiler)
        .arg("-print-prog-name=ld.bfd")
        .output()
        .unwrap_or_else(|error| panic!("{} is needed to link, and does not start: {error}", compiler.display()));
    let name = String::from_utf8(output.stdout).expect("a path in UTF-8");
    assert!(output.status.success() && !name.trim().is_empty(), "{} knows no ld.bfd", compiler.display());
    PathBuf::from(name.trim())
}

/// As one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_str().expect("a path in UTF-8").replace('\'', r"'\''"))
}

/// A variable that Cargo sets.
pub fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}; is this run by Cargo?"))
}
