//! Carries out what a transition wants done: [`Effects::perform`].
//!
//! The host's code runs on the thread that made the transition, except for the supervisor's: it must never wait for
//! the host, so it hands such code to the notifier.
//!
//! Telling the host something may make more happen: a completion callback that cancels another execution ends it on the
//! same thread. Telling that immediately would be a call inside a call, and a chain of them has no end that the stack
//! could bear. So a thread that is already telling the host of a pool puts the news after it, and tells it when the
//! host has returned. This holds only for one and the same pool: a caller that waits for another pool inside a callback
//! waits for the news of that one.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::callback;
use super::effects::{Effects, Ended, KillRequest, Notice};
use super::shared::Shared;
use crate::execution::Outcome;

impl Effects {
    /// Does it all on this thread.
    pub(super) fn perform(self, shared: &Shared) {
        deliver(shared, self.act(shared));
    }

    /// Does it on this thread, but for the host's code, which the notifier gets.
    pub(super) fn perform_without_host(self, shared: &Shared) {
        self.act(shared).for_each(|notice| shared.notices.post(notice));
    }

    /// Does all but what is for the host. All outcomes are published first: whoever waits for one of them waits for no
    /// callback of another execution.
    fn act(self, shared: &Shared) -> impl Iterator<Item = Notice> {
        self.notify(shared);
        let Effects { ended, recycled, owed, .. } = self;
        let publish = |ended: Ended| {
            let Ended { completer, result, stats, host, request } = ended;
            let announcement = completer.complete(Outcome { result, stats, console: host.take_console() });
            Notice::Ended { announcement, host, request }
        };
        let ended: Vec<Notice> = ended.into_iter().map(publish).collect();
        let recycled = recycled.into_iter().map(Notice::Recycled);
        ended.into_iter().chain(recycled).chain((owed > 0).then_some(Notice::Settle(owed)))
    }

    fn notify(&self, shared: &Shared) {
        self.wake.iter().for_each(|bell| bell.ring());
        if self.poke {
            shared.supervisor.notify_one();
        }
        if self.lifecycle {
            shared.lifecycle.notify_all();
        }
        for KillRequest { control, execution, reason } in &self.kills {
            control.kill(*execution, *reason);
        }
        self.abandoned.iter().for_each(|control| control.abandon());
    }
}

impl Notice {
    /// Calls the host, and drops what belongs to it.
    pub(super) fn deliver(self, shared: &Shared) {
        match self {
            Notice::Ended { announcement, host, request } => {
                announcement.call(shared.id);
                // Dropping these may drop closures of the host.
                callback::call(shared.id, || drop((host, request)));
            }
            Notice::Recycled(event) => shared.tell_recycled(&event),
            Notice::Settle(deliveries) => shared.settle(deliveries),
        }
    }
}

crate::sync::thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's macro does not take `const`")]
    /// The pools whose host this thread is telling something, each with what comes after it.
    static DELIVERING: RefCell<Vec<(u64, VecDeque<Notice>)>> = RefCell::new(Vec::new());
}

/// Delivers these in order; now, or after what this thread is delivering for the same pool.
pub(super) fn deliver(shared: &Shared, notices: impl Iterator<Item = Notice>) {
    let mut notices = notices.peekable();
    if notices.peek().is_none() {
        return;
    }
    if !begin(shared.id) {
        return notices.for_each(|notice| put(shared.id, notice));
    }
    notices.for_each(|notice| notice.deliver(shared));
    while let Some(notice) = next(shared.id) {
        notice.deliver(shared);
    }
}

/// Marks that this thread delivers for a pool; false if it does already.
fn begin(pool: u64) -> bool {
    // A thread so near its end that it cannot tell puts nothing anywhere.
    let begun = DELIVERING.try_with(|delivering| {
        let mut delivering = delivering.borrow_mut();
        let new = delivering.iter().all(|(id, _)| *id != pool);
        if new {
            delivering.push((pool, VecDeque::new()));
        }
        new
    });
    begun.unwrap_or(true)
}

fn put(pool: u64, notice: Notice) {
    DELIVERING.with(|delivering| {
        let mut delivering = delivering.borrow_mut();
        let place = delivering.iter_mut().find(|(id, _)| *id == pool);
        place.expect("it is being delivered for").1.push_back(notice);
    });
}

/// What this thread delivers next for a pool. If there is nothing, it does not deliver any more.
fn next(pool: u64) -> Option<Notice> {
    let next = DELIVERING.try_with(|delivering| {
        let mut delivering = delivering.borrow_mut();
        let place = delivering.iter().position(|(id, _)| *id == pool)?;
        let notice = delivering[place].1.pop_front();
        if notice.is_none() {
            delivering.remove(place);
        }
        notice
    });
    next.ok().flatten()
}
