//! How fast long work goes, and how long it will still take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Counts what is done, and says every few seconds how fast it goes.
pub(crate) struct Pace {
    pub(crate) total: usize,
    pub(crate) done: usize,
    pictures: usize,
    /// Time, items and pictures at the start and at each line, as far back as the rate looks.
    marks: VecDeque<(Instant, usize, usize)>,
}

/// What is done in a second, lately.
pub(crate) struct Rate {
    pub(crate) items: f64,
    pub(crate) pictures: f64,
    /// Time until all is done, for people.
    pub(crate) left: String,
}

impl Pace {
    const EVERY: Duration = Duration::from_secs(5);
    /// The rate is that of so many lines: long enough to be steady, short enough to follow a change from
    /// small pictures to large ones.
    const LINES: usize = 6;

    pub(crate) fn new(total: usize, now: Instant) -> Self {
        Self {
            total,
            done: 0,
            pictures: 0,
            marks: VecDeque::from([(now, 0, 0)]),
        }
    }

    /// Counts an item; the rate if a line is due.
    pub(crate) fn step(&mut self, picture: bool, now: Instant) -> Option<Rate> {
        self.done += 1;
        self.pictures += usize::from(picture);
        let due = self
            .marks
            .back()
            .is_none_or(|(last, ..)| now.saturating_duration_since(*last) >= Self::EVERY);
        due.then(|| self.rate(now))
    }

    fn rate(&mut self, now: Instant) -> Rate {
        let &(then, done, pictures) = self.marks.front().unwrap_or(&(now, 0, 0));
        self.marks.push_back((now, self.done, self.pictures));
        if self.marks.len() > Self::LINES {
            self.marks.pop_front();
        }
        let seconds = now.saturating_duration_since(then).as_secs_f64().max(1e-3);
        let items = (self.done - done) as f64 / seconds;
        let left = self.total.saturating_sub(self.done) as f64 / items;
        Rate {
            items,
            pictures: (self.pictures - pictures) as f64 / seconds,
            left: duration(left),
        }
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
