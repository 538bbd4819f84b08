//! Progress for people: a line every few steps; on a terminal also a line that is overwritten.

use super::memory;
use std::io::Write;
use std::time::{Duration, Instant};

/// Between two refreshes of the line that is overwritten.
const REFRESH: Duration = Duration::from_millis(200);

/// What a line shows.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The step, from 1.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Total loss.
    pub loss: f64,
    /// The terms, by name.
    pub terms: Vec<(&'static str, f64)>,
    /// Learning rate.
    pub lr: f64,
    /// Gradient norm.
    pub grad_norm: f64,
    /// Whether the update was skipped.
    pub skipped: bool,
    /// Tokens of the step.
    pub tokens: usize,
    /// Seconds of the step.
    pub seconds: f64,
    /// Of them, seconds spent waiting for data.
    pub wait: f64,
}

/// Writes lines to a log. What cannot be written is dropped: a closed terminal ends no run.
pub struct Progress<'a> {
    out: &'a mut dyn Write,
    tty: bool,
    drawn: Option<Instant>,
    tokens: usize,
    seconds: f64,
    wait: f64,
    count: u64,
}

impl<'a> Progress<'a> {
    /// Writes to `out`; `tty` says that lines can be overwritten there.
    pub fn new(out: &'a mut dyn Write, tty: bool) -> Self {
        Self {
            out,
            tty,
            drawn: None,
            tokens: 0,
            seconds: 0.0,
            wait: 0.0,
            count: 0,
        }
    }

    /// Writes a line of its own.
    pub fn say(&mut self, text: &str) {
        self.erase();
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// Takes note of a step; writes a line if `show`.
    pub fn step(&mut self, step: &Step, show: bool) {
        self.tokens += step.tokens;
        self.seconds += step.seconds;
        self.wait += step.wait;
        self.count += 1;
        let refresh = self.tty && self.drawn.is_none_or(|at| at.elapsed() >= REFRESH);
        if !show && !refresh {
            return;
        }
        let line = self.line(step);
        if show {
            self.say(&line);
            (self.tokens, self.seconds, self.wait, self.count) = (0, 0.0, 0.0, 0);
        } else {
            // Back to the first column, and erase to the end of the line.
            let _ = write!(self.out, "\r{line}\x1b[K");
            let _ = self.out.flush();
            self.drawn = Some(Instant::now());
        }
    }

    fn erase(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(self.out, "\r\x1b[K");
        }
    }

    fn line(&self, step: &Step) -> String {
        let width = step.steps.to_string().len();
        let mut line = format!(
            "step {:>width$}/{}  loss {:.4}",
            step.step, step.steps, step.loss
        );
        for (name, value) in &step.terms {
            line += &format!("  {name} {value:.4}");
        }
        line += &format!("  lr {:.2e}  norm {:.2}", step.lr, step.grad_norm);
        let seconds = self.seconds.max(1e-9);
        line += &format!("  {:.0} tok/s", self.tokens as f64 / seconds);
        line += &format!("  wait {:.0}%", 100.0 * self.wait / seconds);
        line += &format!("  mem {} MiB", memory::resident().now_bytes >> 20);
        let left = (step.steps - step.step) as f64 * seconds / self.count.max(1) as f64;
        line += &format!("  ETA {}", duration(left));
        if step.skipped {
            line += "  (update skipped)";
        }
        line
    }
}

/// Seconds in words: `45s`, `3m05s`, `2h14m`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tty: bool) -> String {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, tty);
        let step = |step, tokens| Step {
            step,
            steps: 100,
            loss: 2.5,
            terms: vec![("mlm", 1.5)],
            lr: 5e-4,
            grad_norm: 1.25,
            tokens,
            seconds: 0.5,
            wait: 0.05,
            ..Step::default()
        };
        progress.step(&step(9, 1000), false);
        progress.step(&step(10, 3000), true);
        progress.say("done");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_file_gets_plain_lines() {
        let text = shown(false);
        assert!(!text.contains('\r') && !text.contains('\x1b'), "{text:?}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let line =
            "step  10/100  loss 2.5000  mlm 1.5000  lr 5.00e-4  norm 1.25  4000 tok/s  wait 10%";
        assert!(lines[0].starts_with(line), "{text}");
        assert!(lines[0].ends_with("ETA 45s"), "{text}");
    }

    #[test]
    fn a_terminal_gets_a_line_that_is_overwritten() {
        let text = shown(true);
        assert!(text.starts_with("\rstep   9/100"), "{text:?}");
        assert!(text.contains("\r\x1b[Kstep  10/100"), "{text:?}");
    }

    #[test]
    fn durations() {
        assert_eq!(duration(45.4), "45s");
        assert_eq!(duration(185.0), "3m05s");
        assert_eq!(duration(8040.0), "2h14m");
    }
}
