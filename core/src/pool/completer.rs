//! The right to end one execution: the [`Completer`]. There is one, and giving the outcome uses it up.
//!
//! Whoever takes the completer out of the pool's state, under the pool's lock, is the only one who can end the
//! execution: a worker that finishes, the supervisor on a timeout, a caller who cancels or shuts down. The others find
//! it gone. The outcome is published and the callback called afterwards, without the lock.

use std::sync::Arc;

use super::callback;
use crate::error::Error;
use crate::execution::{ExecutionStats, Outcome};
use crate::sync::{Bell, Mutex, lock};

pub(super) type Callback = Box<dyn FnOnce(Arc<Outcome>) + Send>;

/// Where the outcome appears.
#[derive(Default)]
pub(super) struct Ticket {
    pub outcome: Mutex<Option<Arc<Outcome>>>,
    pub published: Bell,
}

impl Ticket {
    fn publish(&self, outcome: Arc<Outcome>) {
        *lock(&self.outcome) = Some(outcome);
        self.published.ring();
    }
}

/// The right to end one execution.
pub(super) struct Completer {
    ticket: Option<Arc<Ticket>>,
    on_complete: Option<Callback>,
}

/// A completion callback that is due, to be called by [`Announcement::call`].
#[must_use]
pub(super) struct Announcement(Option<(Callback, Arc<Outcome>)>);

impl Completer {
    pub(super) fn new(ticket: Arc<Ticket>, on_complete: Option<Callback>) -> Self {
        Completer { ticket: Some(ticket), on_complete }
    }

    /// Publishes the outcome: whoever waits goes on. The callback is for the caller to call.
    pub(super) fn complete(mut self, outcome: Outcome) -> Announcement {
        let outcome = Arc::new(outcome);
        let announcement = Announcement(self.on_complete.take().map(|callback| (callback, outcome.clone())));
        if let Some(ticket) = self.ticket.take() {
            ticket.publish(outcome);
        }
        announcement
    }

    /// Gives up an execution that was never admitted: its callback is dropped uncalled.
    pub(super) fn abandon(mut self) {
        self.ticket = None;
    }
}

impl Drop for Completer {
    /// An execution whose completer was lost ends nevertheless, so that nobody waits for ever.
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let error = Error::Internal { message: "the execution was lost".into() };
            let outcome =
                Arc::new(Outcome { result: Err(error), stats: ExecutionStats::default(), console: Vec::new() });
            ticket.publish(outcome.clone());
            if let Some(on_complete) = self.on_complete.take() {
                on_complete(outcome);
            }
        }
    }
}

impl Announcement {
    /// Calls the callback, if there is one.
    pub(super) fn call(self, pool: u64) {
        if let Some((on_complete, outcome)) = self.0 {
            callback::call(pool, || on_complete(outcome));
        }
    }
}
