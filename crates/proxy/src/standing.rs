//! Whom to ask: a provider that failed is put aside for a while, longer each time.

use std::time::{Duration, Instant};

/// Why a provider is put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// It gave an answer that does not verify. It is not asked before its time.
    Lie,
    /// It did not answer, or could not. When nobody better is left it is asked all the same.
    Outage,
}

impl Blame {
    /// The first time aside, and the longest.
    const fn times(self) -> (Duration, Duration) {
        match self {
            Self::Lie => (Duration::from_secs(30), Duration::from_hours(1)),
            Self::Outage => (Duration::from_secs(1), Duration::from_mins(1)),
        }
    }
}

/// A time aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) until: Instant,
    pub(crate) blame: Blame,
}

/// How a provider did lately.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    lies: u32,
    outages: u32,
    aside: Option<Aside>,
}

impl Standing {
    /// Whether it is put aside now.
    pub(crate) fn aside(&self, now: Instant) -> Option<Aside> {
        self.aside.filter(|aside| now < aside.until)
    }

    /// It gave an answer that verifies. Lies are not forgotten by that at once: who lies every other
    /// time would never be away for long.
    pub(crate) fn good(&mut self, now: Instant) {
        self.outages = 0;
        let forgotten = self.aside.is_none_or(|aside| {
            let (_, longest) = Blame::Lie.times();
            now.duration_since(aside.until) >= longest
        });
        if forgotten {
            self.lies = 0;
            self.aside = None;
        }
    }

    /// It failed: put aside until when. Failures of requests that were under way already when it was
    /// put aside do not count again.
    pub(crate) fn bad(&mut self, now: Instant, blame: Blame) -> Instant {
        if let Some(aside) = self.aside(now)
            && (aside.blame == Blame::Lie || blame == Blame::Outage)
        {
            return aside.until;
        }
        let (first, longest) = blame.times();
        let count = match blame {
            Blame::Lie => &mut self.lies,
            Blame::Outage => &mut self.outages,
        };
        let factor = 1_u32.checked_shl(*count).unwrap_or(u32::MAX);
        *count = count.saturating_add(1);
        let until = now + first.saturating_mul(factor).min(longest);
        self.aside = Some(Aside { until, blame });
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_longer_up_to_a_longest() {
        for (blame, first, longest) in [(Blame::Lie, 30, 3600), (Blame::Outage, 1, 60)] {
            let mut standing = Standing::default();
            let mut now = Instant::now();
            let mut expected = first;
            for _ in 0..40 {
                assert_eq!(standing.aside(now), None);
                let until = standing.bad(now, blame);
                assert_eq!(until - now, Duration::from_secs(expected));
                assert_eq!(standing.aside(now), Some(Aside { until, blame }));
                expected = (expected * 2).min(longest);
                now = until;
            }
        }
    }

    #[test]
    fn failures_under_way_count_once_and_a_lie_outweighs_an_outage() {
        let mut standing = Standing::default();
        let now = Instant::now();
        let outage = standing.bad(now, Blame::Outage);
        assert_eq!(standing.bad(now, Blame::Outage), outage);
        let lie = standing.bad(now, Blame::Lie);
        assert_eq!(lie - now, Duration::from_secs(30));
        assert_eq!(standing.bad(now, Blame::Outage), lie);
        assert_eq!(standing.bad(now, Blame::Lie), lie);
    }

    #[test]
    fn a_good_answer_ends_outages_and_forgets_lies_after_an_hour_only() {
        let mut standing = Standing::default();
        let now = Instant::now();
        let until = standing.bad(now, Blame::Lie);
        standing.good(until);
        let again = standing.bad(until, Blame::Lie);
        assert_eq!(again - until, Duration::from_mins(1), "the second lie");
        let later = again + Duration::from_hours(1);
        standing.good(later);
        assert_eq!(
            standing.bad(later, Blame::Lie) - later,
            Duration::from_secs(30)
        );

        let mut standing = Standing::default();
        let until = standing.bad(now, Blame::Outage);
        standing.good(until);
        let again = standing.bad(until, Blame::Outage);
        assert_eq!(again - until, Duration::from_secs(1));
    }
}
