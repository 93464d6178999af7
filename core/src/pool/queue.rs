//! The queue: executions that wait for a worker, first come, first served.
//!
//! It is a `VecDeque` under the pool's lock, not a lock-free deque such as crossbeam's `Injector`. Admission has to
//! know exactly how many wait and how many workers are free, in one step, so it takes the pool's lock anyway; entries
//! must leave from the middle (cancelled) and from the front (timed out), and their number must be exact at any time.
//! A lock-free queue gives none of that, and the lock is held for less than a microsecond.
//!
//! Entries stay sorted by id, since ids are given at admission under the same lock, and by deadline, since every entry
//! may wait equally long. So the next to expire is the first, and one is found by its id through binary search. A
//! removed entry leaves a gap; gaps at the front go at once, others when they are more than the entries. The cost of
//! every operation is constant (finding: logarithmic) on average, and memory stays within twice the bound.

use std::collections::VecDeque;
use std::time::Instant;

/// Gaps that are not worth closing.
const FEW_GAPS: usize = 32;

/// Executions in order; `J` is what waits.
pub(super) struct Queue<J> {
    /// The first entry, if there is one, is no gap.
    entries: VecDeque<Entry<J>>,
    len: usize,
}

struct Entry<J> {
    id: u64,
    since: Instant,
    job: Option<J>,
}

impl<J> Queue<J> {
    pub(super) fn new() -> Self {
        Queue { entries: VecDeque::new(), len: 0 }
    }

    /// Executions waiting.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends; `id` and `now` are not below those of the last.
    pub(super) fn push(&mut self, id: u64, now: Instant, job: J) {
        debug_assert!(self.entries.back().is_none_or(|last| last.id < id && last.since <= now));
        self.entries.push_back(Entry { id, since: now, job: Some(job) });
        self.len += 1;
    }

    /// Puts one that was taken back to where it was.
    pub(super) fn put_back(&mut self, id: u64, since: Instant, job: J) {
        let place = self.entries.partition_point(|entry| entry.id < id);
        self.entries.insert(place, Entry { id, since, job: Some(job) });
        self.len += 1;
    }

    /// Since when the first has been waiting.
    pub(super) fn first_since(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.since)
    }

    /// Takes the first, and since when it has been waiting.
    pub(super) fn pop(&mut self) -> Option<(Instant, J)> {
        let entry = self.entries.pop_front()?;
        self.len -= 1;
        self.drop_leading_gaps();
        entry.job.map(|job| (entry.since, job))
    }

    /// Takes the one with this id out, if it waits, and since when it has been waiting.
    pub(super) fn remove(&mut self, id: u64) -> Option<(Instant, J)> {
        let place = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        let entry = &mut self.entries[place];
        let found = (entry.since, entry.job.take()?);
        self.len -= 1;
        self.drop_leading_gaps();
        if self.entries.len() - self.len > self.len.max(FEW_GAPS) {
            self.entries.retain(|entry| entry.job.is_some());
        }
        Some(found)
    }

    fn drop_leading_gaps(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.job.is_none()) {
            self.entries.pop_front();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn filled(ids: std::ops::Range<u64>) -> Queue<u64> {
        let mut queue = Queue::new();
        let now = Instant::now();
        ids.for_each(|id| queue.push(id, now, id));
        queue
    }

    fn drained(queue: &mut Queue<u64>) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop().map(|(_, job)| job)).collect()
    }

    #[test]
    fn it_is_first_in_first_out() {
        assert_eq!(drained(&mut filled(5..10)), [5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_removed_entry_is_gone_at_once_and_the_rest_keep_their_order() {
        let mut queue = filled(0..6);
        for id in [3, 0, 5] {
            assert_eq!(queue.remove(id).map(|(_, job)| job), Some(id));
            assert!(queue.remove(id).is_none());
        }
        assert!(queue.remove(77).is_none());
        assert_eq!(queue.len(), 3);
        assert_eq!(drained(&mut queue), [1, 2, 4]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn the_first_is_never_a_gap() {
        let mut queue = filled(0..3);
        queue.remove(1);
        queue.remove(0);
        assert!(queue.first_since().is_some());
        assert_eq!(queue.pop().map(|(_, job)| job), Some(2));
        assert!(queue.first_since().is_none());
    }

    #[test]
    fn removing_keeps_memory_within_twice_the_entries() {
        let mut queue = filled(0..1);
        let now = Instant::now();
        for id in 1..100_000 {
            queue.push(id, now, id);
            // The first stays, so gaps pile up behind it.
            queue.remove(id);
            assert!(queue.entries.len() <= 2 * FEW_GAPS + 2);
        }
        assert_eq!(drained(&mut queue), [0]);
    }
}
