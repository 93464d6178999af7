//! Links the extension as libenclave.so is linked: see the build script of enclave-capi.

#[path = "../../capi/linker.rs"]
mod linker;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    linker::link("enclave.map", &[]);
}
