//! [`Execution`]: the handle to wait for the outcome of what was submitted, and to cancel it.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::completer::{Callback, Completer, Ticket};
use super::shared::Shared;
use super::{callback, fork};
use crate::error::Error;
use crate::execution::Outcome;
use crate::sync::{lock, now};

/// An execution before it is admitted: the completer, and the handle that lacks only its id.
pub(super) fn pair(pool: &Arc<Shared>, on_complete: Option<Callback>) -> (Completer, impl FnOnce(u64) -> Execution) {
    let ticket = Arc::new(Ticket::default());
    let completer = Completer::new(ticket.clone(), on_complete);
    let handle = Execution { id: 0, ticket, pool_id: pool.id, pool: Arc::downgrade(pool) };
    (completer, move |id| Execution { id, ..handle })
}

/// A submitted execution: to wait for its outcome, or to cancel it.
///
/// A clone is another handle of the same execution. Dropping handles neither cancels nor waits. All methods may be
/// called from any thread, also when the pool is gone.
#[derive(Clone)]
pub struct Execution {
    id: u64,
    ticket: Arc<Ticket>,
    pool_id: u64,
    pool: Weak<Shared>,
}

impl Execution {
    /// The id: unique in its pool, from 1, growing with every admitted submission.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] in a callback of the pool, unless the outcome is there already; [`Error::Forked`].
    /// How the execution itself ended is in [`Outcome::result`].
    pub fn wait(&self) -> Result<Arc<Outcome>, Error> {
        self.wait_until("Execution::wait", None).map(|outcome| outcome.expect("waits without end"))
    }

    /// Waits for the outcome, at most this long; none if it has not come. With a time of zero it only looks, which is
    /// possible anywhere.
    ///
    /// # Errors
    ///
    /// As for [`Execution::wait`].
    pub fn wait_timeout(&self, time: Duration) -> Result<Option<Arc<Outcome>>, Error> {
        if time.is_zero() {
            fork::check()?;
            return Ok(self.outcome());
        }
        // A time beyond the clock's end is without end.
        self.wait_until("Execution::wait_timeout", now().checked_add(time))
    }

    fn wait_until(&self, call: &str, until: Option<Instant>) -> Result<Option<Arc<Outcome>>, Error> {
        fork::check()?;
        let mut outcome = lock(&self.ticket.outcome);
        if outcome.is_none() {
            callback::check_may_wait(self.pool_id, call, "use a completion callback")?;
            drop(outcome);
            if let Some(pool) = self.pool.upgrade() {
                pool.watch.until(|| self.ticket.published.rung());
            }
            outcome = lock(&self.ticket.outcome);
        }
        loop {
            if outcome.is_some() || until.is_some_and(|until| until <= now()) {
                return Ok(outcome.clone());
            }
            outcome = self.ticket.published.sleep(outcome, until);
        }
    }

    /// Waits as [`Execution::wait`] does, and takes the outcome away from all other handles.
    pub(super) fn into_outcome(self) -> Result<Arc<Outcome>, Error> {
        let outcome = self.wait()?;
        lock(&self.ticket.outcome).take();
        Ok(outcome)
    }

    /// Ends the execution with CANCELLED. It returns immediately, and may be called at any time, any number of times,
    /// also in callbacks.
    ///
    /// A waiting execution ends before this returns, and its completion callback runs on this thread: before this
    /// returns too or, inside a completion callback of the same pool, when that has returned. A running execution ends
    /// as soon as its worker stops (or does not stop within a grace of 30 ms); if it finishes first, that outcome
    /// stays. If it is done, nothing happens.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`].
    pub fn cancel(&self) -> Result<(), Error> {
        fork::check()?;
        if let Some(pool) = self.pool.upgrade() {
            pool.update(|state, now, effects| state.cancel(self.id, now, effects));
        }
        Ok(())
    }

    /// Whether the outcome is there. False in a forked child.
    pub fn is_done(&self) -> bool {
        self.outcome().is_some()
    }

    /// The outcome, if it is there. None in a forked child.
    pub fn outcome(&self) -> Option<Arc<Outcome>> {
        if fork::forked() {
            return None;
        }
        lock(&self.ticket.outcome).clone()
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution").field("id", &self.id).finish_non_exhaustive()
    }
}
