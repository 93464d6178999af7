//! The notifier: a thread that calls the host for the supervisor, which must not wait for it, and gives the host its
//! stats in regular intervals. Should the host block here, only further callbacks of this kind wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::callback;
use super::effects::Notice;
use super::perform;
use super::shared::Shared;
use crate::sync::{Condvar, Mutex, lock, now, wait_until};

#[derive(Default)]
pub(super) struct Notifier {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

#[derive(Default)]
struct Inbox {
    notices: VecDeque<Notice>,
    /// A notice is being delivered.
    busy: bool,
    /// Nothing comes any more.
    closed: bool,
}

impl Notifier {
    /// Has this delivered on the notifier's thread, after what was posted before.
    pub(super) fn post(&self, notice: Notice) {
        lock(&self.inbox).notices.push_back(notice);
        self.changed.notify_all();
    }

    /// Nothing will be posted any more: the thread ends when all is delivered.
    pub(super) fn close(&self) {
        lock(&self.inbox).closed = true;
        self.changed.notify_all();
    }

    /// Waits until all that was posted is delivered; false if it is not by then.
    pub(super) fn flush(&self, until: Instant) -> bool {
        let mut inbox = lock(&self.inbox);
        while inbox.busy || !inbox.notices.is_empty() {
            if until <= now() {
                return false;
            }
            inbox = wait_until(&self.changed, inbox, Some(until));
        }
        true
    }

    /// The body of the thread.
    pub(super) fn run(shared: &Arc<Shared>) {
        let _inside = callback::enter(shared.id);
        let this = &shared.notifier;
        let interval = shared.config.stats_interval;
        let mut stats_at = shared.callbacks.stats_update.as_ref().map(|_| now() + interval);
        loop {
            let mut inbox = lock(&this.inbox);
            let notice = loop {
                if let Some(notice) = inbox.notices.pop_front() {
                    break Some(notice);
                }
                if inbox.closed {
                    return;
                }
                if stats_at.is_some_and(|at| at <= now()) {
                    break None;
                }
                inbox = wait_until(&this.changed, inbox, stats_at);
            };
            inbox.busy = true;
            drop(inbox);
            match notice {
                Some(notice) => perform::deliver(shared, std::iter::once(notice)),
                None => {
                    this.tell_stats(shared);
                    // Times that were missed are left out.
                    stats_at = stats_at.map(|at| (at + interval).max(now()));
                }
            }
            lock(&this.inbox).busy = false;
            this.changed.notify_all();
        }
    }

    fn tell_stats(&self, shared: &Shared) {
        if let Some(stats_update) = &shared.callbacks.stats_update {
            let stats = shared.stats();
            callback::call(shared.id, || stats_update(&stats));
        }
    }
}
