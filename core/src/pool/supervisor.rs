//! The supervisor: the one thread that acts because time has passed. It enforces deadlines, asks again where a kill has
//! not helped, sets workers aside, expires waiting executions, stops idle workers, and makes the threads of new ones
//! (so they inherit nothing from the thread that submits). [`State::tick`] knows what is due; the supervisor sleeps
//! until then or until it is poked.
//!
//! The limits depend on a prompt supervisor. So it never runs the host's code (the notifier does), and waits for
//! nothing but its own alarm.
//!
//! [`State::tick`]: super::state::State::tick

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use super::{callback, driver};
use crate::sync::{lock, now, wait_until};

/// The body of the thread.
pub(super) fn run(shared: &Arc<Shared>) {
    let _inside = callback::enter(shared.id);
    // Without it no limit would hold, so a bug that panics must not end it, nor make it spin.
    while !catch_unwind(AssertUnwindSafe(|| step(shared))).unwrap_or_else(|_| {
        std::thread::sleep(Duration::from_millis(10));
        false
    }) {
        sleep(shared);
    }
    shared.notices.close();
}

/// Does what is due. True if nothing will ever be due again.
pub(super) fn step(shared: &Arc<Shared>) -> bool {
    let (wanted, over, ended) = shared.update_without_host(|state, now, effects| {
        state.tick(now, effects);
        state.poked = false;
        (std::mem::take(&mut state.start.wanted), state.is_over(), state.take_finished_threads())
    });
    drop(ended);
    for worker in wanted {
        match (shared.spawn)(shared, worker) {
            Ok(thread) => shared.update_without_host(|state, _, _| state.spawned(worker, thread)),
            Err(error) => {
                let error = driver::no_thread("its thread", &error);
                shared.update_without_host(|state, now, effects| state.start_failed(worker, error, now, effects));
            }
        }
    }
    over
}

/// Sleeps until the alarm, or until poked.
fn sleep(shared: &Shared) {
    let mut state = lock(&shared.state);
    while !state.poked && state.alarm.is_none_or(|alarm| now() < alarm) {
        let alarm = state.alarm;
        state = wait_until(&shared.supervisor, state, alarm);
    }
}
