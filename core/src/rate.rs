//! A token bucket: how many messages an execution may send. Pure; the caller says what time it is.

use std::time::Instant;

/// Parts of a token: a bucket of rate `r` gains `r` parts every nanosecond, so that no rounding is lost.
const PARTS: u64 = 1_000_000_000;

/// Lets `rate` messages through per second, and as many in one burst: it starts full, refills continuously, and never
/// holds more than `rate` tokens. There is no window whose edge could be straddled.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    rate: u32,
    /// Tokens left, in parts.
    left: u64,
    refilled: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(rate_per_second: u32, now: Instant) -> Self {
        TokenBucket { rate: rate_per_second, left: u64::from(rate_per_second) * PARTS, refilled: now }
    }

    /// Takes a token; false if there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        // A clock that seems to go back refills nothing, and nothing twice.
        let elapsed = now.saturating_duration_since(self.refilled);
        self.refilled = self.refilled.max(now);
        let capacity = u64::from(self.rate) * PARTS;
        let gained = elapsed.as_nanos().saturating_mul(self.rate.into()).min(capacity.into()) as u64;
        self.left = self.left.saturating_add(gained).min(capacity);
        match self.left.checked_sub(PARTS) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(bucket: &mut TokenBucket, at: Instant) -> u32 {
        (0..).take_while(|_| bucket.take(at)).count() as u32
    }

    #[test]
    fn it_starts_full_and_holds_no_more_than_a_second() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100, start);
        assert_eq!(taken(&mut bucket, start), 100);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(3600)), 100);
    }

    #[test]
    fn it_refills_continuously() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(1000, start);
        assert_eq!(taken(&mut bucket, start), 1000);
        // Every microsecond for a second: a thousandth of a token each time, and none is lost.
        let total: u32 = (1..=1_000_000).map(|us| u32::from(bucket.take(start + Duration::from_micros(us)))).sum();
        assert_eq!(total, 1000);
    }

    #[test]
    fn defect_10_a_burst_over_the_edge_of_a_second_is_not_let_through_twice() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100, start);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(990)), 100);
        // A fixed window would have started anew here.
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(1010)), 2);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = TokenBucket::new(10, start);
        assert_eq!(taken(&mut bucket, start), 10);
        assert_eq!(taken(&mut bucket, start - Duration::from_secs(5)), 0);
        assert_eq!(taken(&mut bucket, start), 0);
    }

    #[test]
    fn the_largest_rate_does_not_overflow() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(u32::MAX, start);
        assert!(bucket.take(start));
        assert!(bucket.take(start + Duration::from_secs(1_000_000_000)));
    }
}
