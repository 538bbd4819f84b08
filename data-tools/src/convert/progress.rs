//! A line now and then while a conversion takes long.

use crate::pace::Pace;
use std::time::Instant;

/// Counts records, and says every few seconds how far it is.
pub(super) struct Progress(Pace);

impl Progress {
    pub(super) fn new(total: usize, now: Instant) -> Self {
        Self(Pace::new(total, now))
    }

    /// Counts a record; a line if one is due.
    pub(super) fn step(&mut self, picture: bool, now: Instant) -> Option<String> {
        let rate = self.0.step(picture, now)?;
        let speed = match rate.pictures {
            0.0 => format!("{:.0} records a second", rate.items),
            pictures => format!("{pictures:.0} pictures a second"),
        };
        let Pace { done, total, .. } = self.0;
        Some(format!(
            "{done} of {total} records, {speed}, {} left",
            rate.left
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_rate_is_that_of_the_last_lines() {
        let start = Instant::now();
        let mut progress = Progress::new(10_000, start);
        let mut lines = Vec::new();
        // Ten records a second for a minute, half of them with a picture, then one a second.
        for i in 1..=600 {
            let now = start + Duration::from_millis(100 * i);
            lines.extend(progress.step(i % 2 == 0, now));
        }
        assert_eq!(lines.len(), 12);
        let line = "50 of 10000 records, 5 pictures a second, 17 min left";
        assert_eq!(lines[0], line);
        lines.clear();
        for i in 1..=40 {
            lines.extend(progress.step(true, start + Duration::from_secs(60 + i)));
        }
        let last = "640 of 10000 records, 1 pictures a second, 2 h 36 min left";
        assert_eq!(lines.last().map(String::as_str), Some(last));
    }

    #[test]
    fn nothing_is_said_of_a_short_run() {
        let start = Instant::now();
        let mut progress = Progress::new(100, start);
        let soon = start + Duration::from_millis(4900);
        assert!((0..100).all(|_| progress.step(false, soon).is_none()));
    }
}
