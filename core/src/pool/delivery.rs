//! Telling the host what has happened, on the thread that made it happen.
//!
//! What is told may make more happen: a completion callback that cancels another execution ends it on the same thread. To
//! tell of that at once would be a call inside of a call, and a chain of them has no end that the stack could bear. So a
//! thread that is telling the host of a pool already puts what comes after it, and tells it when the host has returned.
//!
//! Only for one and the same pool: who waits for another pool inside of a callback waits for what that one has to tell.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use super::callback;
use super::completer::Announcement;
use super::shared::Shared;
use super::stats::WorkerRecycled;
use super::tools::ExecutionHost;
use crate::contract::Request;

/// Something that the host is to be told, or that follows when it has been.
pub(super) enum Notice {
    /// An execution has ended, with what is to be dropped after that.
    Ended { announcement: Announcement, host: Arc<ExecutionHost>, request: Option<Request> },
    /// A worker has left.
    Recycled(WorkerRecycled),
    /// So many deliveries that the state counts are made.
    Settle(usize),
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
