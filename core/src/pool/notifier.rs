//! The notifier: a thread that calls the host for the supervisor, which must not wait for it, and gives the host its
//! stats in regular intervals. Should the host block here, only further callbacks of this kind wait.

use std::sync::Arc;

use super::inbox::Found;
use super::shared::Shared;
use super::{callback, perform};
use crate::sync::now;

/// The body of the thread.
pub(super) fn run(shared: &Arc<Shared>) {
    let _inside = callback::enter(shared.id);
    let interval = shared.config.stats_interval;
    let mut stats_at = shared.callbacks.stats_update.as_ref().map(|_| now() + interval);
    loop {
        match shared.notices.take(stats_at) {
            Found::Letter(notice) => perform::deliver(shared, std::iter::once(notice)),
            Found::Nothing => {
                tell_stats(shared);
                // Times that were missed are left out.
                stats_at = stats_at.map(|at| (at + interval).max(now()));
            }
            Found::Closed => return,
        }
        shared.notices.done();
    }
}

fn tell_stats(shared: &Shared) {
    if let Some(stats_update) = &shared.callbacks.stats_update {
        let stats = shared.stats();
        callback::call(shared.id, || stats_update(&stats));
    }
}
