//! The targets of the C interface on their corpus, and on what comes of it by a fixed seed. Those of the core are
//! replayed by its own tests.

#[path = "../c_interface.rs"]
mod c_interface;

use std::fs;
use std::path::Path;

fn replay(target: fn(&[u8]), name: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    corpus.iter().for_each(|input| target(input));
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let mut input = corpus[rng.usize(0..corpus.len())].clone();
        if rng.bool() {
            let other = &corpus[rng.usize(0..corpus.len())];
            input.truncate(rng.usize(..=input.len()));
            input.extend_from_slice(&other[rng.usize(..=other.len())..]);
        }
        for _ in 0..rng.usize(0..5).min(input.len()) {
            let place = rng.usize(0..input.len());
            input[place] = rng.u8(..);
        }
        println!("{input:?}");
        target(&input);
    }
}

#[test]
fn values() {
    replay(c_interface::values, "values");
}

#[test]
fn settings() {
    replay(c_interface::settings, "settings");
}
