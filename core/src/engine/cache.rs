//! The compiled form of sources that an isolate keeps, so that it can run them again without parsing.
//!
//! A source is kept when it comes a second time, or right away if the host has compiled it as a script of its own. So
//! sources that come once cost nothing but a look. Kept sources count against the worker's memory limit like everything
//! that the engine holds. They have a small share of it; the one that was not used for the longest time goes first.
//!
//! The compiled form is what the engine calls a stencil: the result of parsing, which never changes and contains no
//! object of a realm.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use mozjs::rust::Stencil;

use super::reading::Reading;
use crate::contract::Request;
use crate::execution::SourceKind;

/// The share of a worker's memory that compiled sources may take: one in so many bytes.
const SHARE: u64 = 32;
/// Compiled sources that are kept at most.
const MOST: usize = 256;
/// The last sources of which it is known that they came once.
const SEEN: usize = 1024;

/// What a compiled source depends on.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    source: Arc<str>,
    kind: SourceKind,
    /// None: the name is withheld from script.
    filename: Option<Arc<str>>,
}

impl Key {
    fn of(request: &Request) -> Self {
        let filename = (!request.limits.sanitize_stack_traces).then(|| request.filename.clone());
        Key { source: request.source.clone(), kind: request.kind, filename }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The rest hardly ever tells two apart.
        self.source.hash(state);
    }
}

struct Kept {
    stencil: Stencil,
    reading: Reading,
    bytes: u64,
    /// The higher, the later it was used.
    used: u64,
}

/// The compiled sources of an isolate. It is dropped before the isolate's runtime.
pub(super) struct Cache {
    kept: HashMap<Key, Kept>,
    bytes: u64,
    max_bytes: u64,
    uses: u64,
    /// Hashes of sources that came once; a new one takes the place of another.
    seen: Box<[u64]>,
    hasher: RandomState,
}

/// What to do with a source.
pub(super) enum Found<'a> {
    Kept(&'a Stencil, Reading),
    /// Compile it, to be kept if `worth_keeping`.
    Nothing {
        worth_keeping: bool,
    },
}

impl Cache {
    pub(super) fn new(memory_limit: u64) -> Self {
        Cache {
            kept: HashMap::new(),
            bytes: 0,
            max_bytes: memory_limit / SHARE,
            uses: 0,
            seen: vec![0; SEEN].into(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn find(&mut self, request: &Request) -> Found<'_> {
        let key = Key::of(request);
        self.uses += 1;
        match self.kept.get_mut(&key) {
            Some(kept) => {
                kept.used = self.uses;
                Found::Kept(&kept.stencil, kept.reading)
            }
            None => {
                let hash = self.hasher.hash_one(&key);
                let seen = &mut self.seen[hash as usize % SEEN];
                let worth_keeping = request.compiled || *seen == hash;
                *seen = hash;
                Found::Nothing { worth_keeping }
            }
        }
    }

    /// Keeps a compiled source that takes so many bytes, if there is place for it.
    pub(super) fn keep(&mut self, request: &Request, stencil: Stencil, reading: Reading, bytes: u64) {
        let bytes = bytes.saturating_add(request.source.len() as u64);
        if bytes > self.max_bytes {
            return;
        }
        let key = Key::of(request);
        while self.bytes + bytes > self.max_bytes || self.kept.len() >= MOST {
            let Some(oldest) = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone()) else {
                break;
            };
            self.bytes -= self.kept.remove(&oldest).map_or(0, |kept| kept.bytes);
        }
        let kept = Kept { stencil, reading, bytes, used: self.uses };
        self.bytes += bytes - self.kept.insert(key, kept).map_or(0, |before| before.bytes);
    }
}
