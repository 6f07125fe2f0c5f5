//! Pauses between repetitions of a call that fails for now, with jitter.

use std::time::Duration;

/// Exponential back-off: each pause is twice as long as the one before, up to a longest. Also tells when an outage
/// begins and ends, so that callers log each once.
#[derive(Debug)]
pub(crate) struct Pace {
    first: Duration,
    longest: Duration,
    next: Duration,
    is_failing: bool,
}

impl Pace {
    /// A pace whose pauses grow from `first` to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first, is_failing: false }
    }

    /// Notes a failure; returns whether it begins an outage.
    pub(crate) fn failed(&mut self) -> bool {
        !std::mem::replace(&mut self.is_failing, true)
    }

    /// Notes a success, after which pauses are short again; returns whether it ends an outage.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.next = self.first;
        std::mem::take(&mut self.is_failing)
    }

    /// The pause before the next call.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        half_to_all(pause)
    }
}

/// A random duration between half of `longest` and all of it, so that callers that failed together do not come back
/// together.
pub(crate) fn half_to_all(longest: Duration) -> Duration {
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// A random duration within a fifth of `interval`, so that processes that started together do not look together.
pub(crate) fn about(interval: Duration) -> Duration {
    interval.mul_f64(0.8 + fastrand::f64() * 0.4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_a_success() {
        let mut pace = Pace::new(Duration::from_millis(100), Duration::from_millis(300));
        for longest in [100, 200, 300, 300] {
            let pause = pace.pause().as_millis();
            assert!((longest / 2..=longest).contains(&pause), "{longest}: {pause}");
        }
        pace.succeeded();
        assert!(pace.pause().as_millis() <= 100);
    }

    #[test]
    fn an_outage_begins_once_and_ends_once() {
        let mut pace = Pace::new(Duration::from_millis(1), Duration::from_millis(1));
        assert!(!pace.succeeded());
        assert!(pace.failed());
        assert!(!pace.failed());
        assert!(pace.succeeded());
        assert!(!pace.succeeded());
        assert!(pace.failed());
    }
}
