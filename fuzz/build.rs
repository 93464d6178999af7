//! Links what is fuzzed as every program of enclave-core.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let flags = std::env::var("DEP_ENCLAVE_CORE_LINK_ARGS").expect("enclave-core says what it is linked with");
    flags.split_whitespace().for_each(|flag| println!("cargo::rustc-link-arg={flag}"));
}
