//! An inbox: what others want one thread to do, in order.

use std::collections::VecDeque;
use std::time::Instant;

use crate::sync::{Condvar, Mutex, lock, now, wait_until};

pub(super) struct Inbox<T> {
    letters: Mutex<Letters<T>>,
    changed: Condvar,
}

struct Letters<T> {
    waiting: VecDeque<T>,
    /// One is being dealt with.
    busy: bool,
    /// Nothing comes any more.
    closed: bool,
}

/// What the thread of an inbox finds.
pub(super) enum Found<T> {
    Letter(T),
    /// Nothing until the time that it asked for.
    Nothing,
    /// Nothing any more.
    Closed,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        let letters = Letters { waiting: VecDeque::new(), busy: false, closed: false };
        Inbox { letters: Mutex::new(letters), changed: Condvar::new() }
    }
}

impl<T> Inbox<T> {
    /// Puts one behind those that were posted before.
    pub(super) fn post(&self, letter: T) {
        lock(&self.letters).waiting.push_back(letter);
        self.changed.notify_all();
    }

    /// Nothing will be posted any more: the thread ends when all is dealt with.
    pub(super) fn close(&self) {
        lock(&self.letters).closed = true;
        self.changed.notify_all();
    }

    /// Waits until all that was posted is dealt with; false if it is not by then.
    pub(super) fn flush(&self, until: Instant) -> bool {
        let mut letters = lock(&self.letters);
        while letters.busy || !letters.waiting.is_empty() {
            if until <= now() {
                return false;
            }
            letters = wait_until(&self.changed, letters, Some(until));
        }
        true
    }

    /// For the thread: waits for the next, at most until then. What it finds is being dealt with until [`Inbox::done`].
    pub(super) fn take(&self, until: Option<Instant>) -> Found<T> {
        let mut letters = lock(&self.letters);
        loop {
            if let Some(letter) = letters.waiting.pop_front() {
                letters.busy = true;
                return Found::Letter(letter);
            }
            if letters.closed {
                return Found::Closed;
            }
            if until.is_some_and(|until| until <= now()) {
                letters.busy = true;
                return Found::Nothing;
            }
            letters = wait_until(&self.changed, letters, until);
        }
    }

    /// What the thread has found is dealt with.
    pub(super) fn done(&self) {
        lock(&self.letters).busy = false;
        self.changed.notify_all();
    }
}
