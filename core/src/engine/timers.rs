//! The timers of one execution: what is to be called, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use mozjs::context::JSContext;
use mozjs::jsapi::{CallArgs, HandleValueArray, JSObject};
use mozjs::rust::wrappers2::NewArrayObject;

use super::kept::Kept;
use super::memory;
use super::thrown::{JsResult, Thrown};

/// Timers of one execution at once; a flood of them would be memory that only the deadline ends.
const MAX_TIMERS: usize = 10_000;
/// What a timer takes at most in the heap of those that are due: two places, since cleared ones stay, and as many free
/// ones.
const DUE: usize = 4 * size_of::<Reverse<(Instant, u64)>>();

/// The timers of one execution.
#[derive(Default)]
pub(super) struct Timers {
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    /// What each calls: a function, or the array of [`with_arguments`].
    calls: Kept,
    last_id: u64,
}

/// A callback with its arguments, as one object of the engine, which so has them in its heap: all arguments of
/// `setTimeout` as they are, in an array that no script sees.
pub(super) fn with_arguments(cx: &mut JSContext, args: &CallArgs) -> JsResult<*mut JSObject> {
    // SAFETY: the engine keeps the arguments rooted.
    let array = unsafe { NewArrayObject(cx, &HandleValueArray::from(args)) };
    if array.is_null() { Err(Thrown) } else { Ok(array) }
}

/// The first argument of a callback in the array of [`with_arguments`].
pub(super) const FIRST_ARGUMENT: u32 = 2;

impl Timers {
    /// Whether as many timers wait as may.
    pub(super) fn is_full(&self) -> bool {
        self.calls.len() >= MAX_TIMERS
    }

    /// Sets a timer, and gives its number.
    pub(super) fn set(&mut self, delay: Duration, call: *mut JSObject) -> JsResult<u64> {
        self.last_id += 1;
        self.calls.insert(self.last_id, call, memory::reserve(DUE)?)?;
        self.due.push(Reverse((Instant::now() + delay, self.last_id)));
        Ok(self.last_id)
    }

    pub(super) fn clear(&mut self, id: u64) {
        self.calls.remove(id);
        // Cleared timers stay in the heap until they are due, unless they outnumber the live ones.
        if self.due.len() > 2 * self.calls.len() + 16 {
            self.due.retain(|Reverse((_, id))| self.calls.contains(*id));
        }
    }

    /// When the next timer is due.
    pub(super) fn next_due(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, id))) = self.due.peek() {
            if self.calls.contains(*id) {
                return Some(*at);
            }
            self.due.pop();
        }
        None
    }

    /// Takes what a timer that is due calls; the caller roots it at once.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<*mut JSObject> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((_, id)) = self.due.pop()?;
        self.calls.remove(id)
    }
}
