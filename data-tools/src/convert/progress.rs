//! A line now and then while a conversion takes long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Counts records, and says every few seconds how far it is.
pub(super) struct Progress {
    total: usize,
    done: usize,
    pictures: usize,
    /// Time, records and pictures at the start and at each line, as far back as the rate looks.
    marks: VecDeque<(Instant, usize, usize)>,
}

impl Progress {
    const EVERY: Duration = Duration::from_secs(5);
    /// The rate is that of so many lines: long enough to be steady, short enough to follow a change from
    /// small pictures to large ones.
    const LINES: usize = 6;

    pub(super) fn new(total: usize, now: Instant) -> Self {
        Self {
            total,
            done: 0,
            pictures: 0,
            marks: VecDeque::from([(now, 0, 0)]),
        }
    }

    /// Counts a record; a line if one is due.
    pub(super) fn step(&mut self, picture: bool, now: Instant) -> Option<String> {
        self.done += 1;
        self.pictures += usize::from(picture);
        let due = self
            .marks
            .back()
            .is_none_or(|(last, ..)| now.saturating_duration_since(*last) >= Self::EVERY);
        due.then(|| self.line(now))
    }

    fn line(&mut self, now: Instant) -> String {
        let &(then, done, pictures) = self.marks.front().unwrap_or(&(now, 0, 0));
        self.marks.push_back((now, self.done, self.pictures));
        if self.marks.len() > Self::LINES {
            self.marks.pop_front();
        }
        let seconds = now.saturating_duration_since(then).as_secs_f64().max(1e-3);
        let rate = |n: usize| n as f64 / seconds;
        let records = rate(self.done - done);
        let speed = match self.pictures - pictures {
            0 => format!("{records:.0} records a second"),
            n => format!("{:.0} pictures a second", rate(n)),
        };
        let left = (self.total - self.done) as f64 / records;
        format!(
            "{} of {} records, {speed}, {} left",
            self.done,
            self.total,
            duration(left)
        )
    }
}

/// Seconds for people.
fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        _ if minutes < 100 => format!("{minutes} min"),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
