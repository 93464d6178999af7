//! Gives libenclave.so its name, its symbol versions and the flags of a library that many kinds of host load.

mod linker;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // While the first part of the version is 0, the second one counts the changes that break callers.
    let (major, minor) = (linker::variable("CARGO_PKG_VERSION_MAJOR"), linker::variable("CARGO_PKG_VERSION_MINOR"));
    linker::link(
        "libenclave.map",
        &[
            format!("-Wl,-soname,libenclave.so.{major}.{minor}"),
            // What nobody defines is an error of this build, not of the host's.
            "-Wl,-z,defs".into(),
        ],
    );
}
