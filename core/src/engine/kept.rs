//! Objects of a script that our own code keeps until later, under numbers: timers, the promises of tool calls.
//!
//! All of them are one root for the engine. A root of its own for each would cost a search through all others when it
//! goes: ten thousand timers took a tenth of a second to forget.

use std::collections::HashMap;

use mozjs::gc::{RootedTraceableBox, Traceable};
use mozjs::jsapi::{Heap, JSObject, JSTracer};

use super::memory::{BLOCK, Reserved};
use super::thrown::JsResult;

/// Objects under numbers, in the worker's ledger with all that belongs to them.
pub(super) struct Kept(RootedTraceableBox<Objects>);

struct Objects(HashMap<u64, Entry>);

struct Entry {
    /// In a box, because the engine remembers its place.
    object: Box<Heap<*mut JSObject>>,
    _room: Reserved,
}

/// What an entry takes at most: the box, and its place in a table that may be half empty and is copied when it grows.
const ENTRY: usize = 4 * size_of::<(u64, Entry)>() + 2 * BLOCK;

// SAFETY: every object that is held is traced.
unsafe impl Traceable for Objects {
    unsafe fn trace(&self, tracer: *mut JSTracer) {
        for entry in self.0.values() {
            // SAFETY: the tracer is the caller's.
            unsafe { entry.object.trace(tracer) }
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Kept(RootedTraceableBox::new(Objects(HashMap::new())))
    }
}

impl Kept {
    /// Keeps an object. `room` is what else is counted as long as it is kept.
    pub(super) fn insert(&mut self, number: u64, object: *mut JSObject, mut room: Reserved) -> JsResult<()> {
        room.grow(ENTRY)?;
        self.0.0.insert(number, Entry { object: Heap::boxed(object), _room: room });
        Ok(())
    }

    /// Gives an object back, which the caller roots at once.
    pub(super) fn remove(&mut self, number: u64) -> Option<*mut JSObject> {
        self.0.0.remove(&number).map(|entry| entry.object.get())
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.0.contains_key(&number)
    }

    pub(super) fn len(&self) -> usize {
        self.0.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
