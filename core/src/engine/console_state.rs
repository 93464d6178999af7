//! What the console of one execution has printed, and what it keeps between its calls.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Instant;

use super::memory::{self, BLOCK, Reserved};
use super::thrown::JsResult;

/// The console of one execution.
#[derive(Default)]
pub(super) struct ConsoleState {
    /// Calls that have printed, or tried to.
    pub calls: Cell<u32>,
    /// Bytes that were printed.
    pub bytes: Cell<u64>,
    pub group_depth: Cell<u32>,
    pub counters: RefCell<Labels<u32>>,
    pub timers: RefCell<Labels<Instant>>,
}

/// What is kept under labels, in the worker's ledger as long as it is.
pub(super) type Labels<T> = HashMap<String, (T, Reserved)>;

/// Room for an entry of [`Labels`]: its place in a table that may be half empty and is copied when it grows, and the label.
pub(super) fn label_room(label: &str) -> JsResult<Reserved> {
    memory::reserve(4 * size_of::<(String, (Instant, Reserved))>() + BLOCK + label.len())
}
