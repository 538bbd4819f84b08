//! One call or a few with their inputs and outputs, to be run on a device and on the f64 reference and compared.
//!
//! A case holds everything that a device must be given, so the same one runs on any of them. Outputs start as
//! NaN: what a device does not write shows. Buffers have more room than the rows of the case take, filled with
//! NaN too: what a device reads or writes beyond them shows as well.

use super::check::{ELEMENTWISE, REDUCTION, compare};
use crate::backend::{
    Backend, BackendError, Bytes, Call, Count, DropoutSite, Floats, Rows, Run, Sizes, Space,
    Update, Upload, Words,
};
use crate::rng::{Purpose, Stream};
use half::bf16;

/// How close an output must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grade {
    /// It is stored in bf16, or made of something that is: its error (root of the mean square) is at most twice
    /// that of the f64 result rounded to bf16. The second half is for what is rounded on the way, such as the
    /// probabilities of attention. On a device that stores f32, [`REDUCTION`] holds instead.
    Half,
    /// f32 throughout: this bound, in the measure of [`compare`].
    Single(f64),
    /// Not compared.
    Free,
}

impl Grade {
    /// f32 sums, see [`REDUCTION`].
    pub const SUMS: Grade = Grade::Single(REDUCTION);
    /// A few operations in f32, see [`ELEMENTWISE`].
    pub const ELEMENTS: Grade = Grade::Single(ELEMENTWISE);
    /// What an update makes: factors rounded to f32 multiply each other, and where a weight nearly vanishes its
    /// neighbours' rounding stays.
    pub const UPDATED: Grade = Grade::Single(3.0 * ELEMENTWISE);
    /// An input: not a bit of it may change.
    pub const UNTOUCHED: Grade = Grade::Single(0.0);
}

/// A buffer of the case.
struct Buffer {
    name: &'static str,
    at: Floats,
    /// What is in it before the calls; NaN beyond.
    start: Vec<f64>,
    grade: Grade,
}

/// Sources of the inputs of one case.
pub struct Draw {
    stream: Stream,
    /// Number of the case among those of its operation: the first ones are the awkward shapes.
    pub number: usize,
}

impl Draw {
    /// Draws of case `number` under `seed`.
    pub fn new(seed: u64, number: usize) -> Self {
        Self {
            stream: Stream::new(seed, 0, number as u64, Purpose::Test),
            number,
        }
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.stream.below(n as u32) as usize
    }

    /// One of the choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True with probability 1/2.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Positive numbers around 1: their sums do not cancel, so that the rounding of terms weighs as little in a
    /// sum as in a term.
    pub fn around_one(&mut self, n: usize) -> Vec<f64> {
        (0..n)
            .map(|_| (1.0 + 0.5 * self.stream.normal()).abs())
            .collect()
    }

    /// Standard normal numbers.
    pub fn normal(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.stream.normal()).collect()
    }

    /// Rows of an awkward or random number: 0, 1, 2, 33, 97 first, then below `most`.
    pub fn rows(&mut self, most: usize) -> usize {
        const AWKWARD: [usize; 5] = [0, 1, 2, 33, 97];
        match AWKWARD.get(self.number) {
            Some(rows) => (*rows).min(most),
            None => self.below(most + 1),
        }
    }

    /// Columns of an awkward or random number: 1, 3, 31, 32, 59, 64, then below `most`, multiples of 8 as often as others.
    pub fn cols(&mut self, most: usize) -> usize {
        const AWKWARD: [usize; 6] = [64, 1, 3, 31, 32, 59];
        match AWKWARD.get(self.number) {
            Some(cols) => (*cols).min(most),
            None if self.coin() => 8 * (1 + self.below((most / 8).max(1))),
            None => 1 + self.below(most),
        }
    }

    /// Indices below `below`, possibly repeated.
    pub fn indices(&mut self, n: usize, below: usize) -> Vec<u32> {
        (0..n).map(|_| self.stream.below(below as u32)).collect()
    }

    /// `n` different indices below `below`, in random order.
    pub fn distinct(&mut self, n: usize, below: usize) -> Vec<u32> {
        let mut all: Vec<u32> = (0..below as u32).collect();
        self.stream.shuffle(&mut all);
        all.truncate(n);
        all
    }

    /// Random bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.stream.next_u32() as u8).collect()
    }

    /// A place of dropout, or none.
    pub fn site(&mut self) -> Option<DropoutSite> {
        self.coin().then(|| DropoutSite {
            p: self.pick(&[0.1, 0.25, 0.5]),
            key: [self.stream.next_u32(), self.stream.next_u32()],
            site: self.stream.below(100),
        })
    }
}

/// Everything of one case.
#[derive(Default)]
pub struct Case {
    /// The shape in words, for messages.
    pub shape: String,
    /// The counts, and whether dropout is on.
    pub run: Run,
    /// Settings of an update.
    pub update: Update,
    /// What is run, one after the other.
    pub calls: Vec<Call>,
    sizes: Sizes,
    buffers: Vec<Buffer>,
    words: Vec<(Words, Vec<u32>)>,
    bytes: Vec<(Bytes, Vec<u8>)>,
}

impl Case {
    /// An empty case of that shape in words.
    pub fn new(shape: String) -> Self {
        Self {
            shape,
            ..Self::default()
        }
    }

    /// Rows that are counted by `count`: `now` of them, with room for a few more.
    pub fn rows(&mut self, count: Count, now: usize) -> Rows {
        self.run.counts.set(count, now);
        Rows::Counted {
            count,
            cap: now + 1 + now / 3,
        }
    }

    /// An input of `cols` columns with so many rows now; what the devices get is rounded to what they can store.
    pub fn input(
        &mut self,
        name: &'static str,
        space: Space,
        rows: Rows,
        cols: usize,
        values: Vec<f64>,
    ) -> Floats {
        self.buffer(name, space, rows.cap() * cols, values, Grade::UNTOUCHED)
    }

    /// An output that is overwritten: `rows` now, of `cols` columns.
    pub fn output(
        &mut self,
        name: &'static str,
        space: Space,
        rows: Rows,
        cols: usize,
        grade: Grade,
    ) -> Floats {
        let now = rows.now(&self.run.counts) * cols;
        self.buffer(name, space, rows.cap() * cols, vec![f64::NAN; now], grade)
    }

    /// An output that is added to: `values` are there before.
    pub fn sum(
        &mut self,
        name: &'static str,
        space: Space,
        rows: Rows,
        cols: usize,
        values: Vec<f64>,
        grade: Grade,
    ) -> Floats {
        self.buffer(name, space, rows.cap() * cols, values, grade)
    }

    /// Scratch of so many elements: a device may leave anything there.
    pub fn scratch(&mut self, name: &'static str, space: Space, len: usize) -> Floats {
        self.buffer(name, space, len, Vec::new(), Grade::Free)
    }

    /// The gradient of an activation, which is overwritten or, if `accumulate`, added to.
    pub fn target(
        &mut self,
        name: &'static str,
        rows: Rows,
        cols: usize,
        accumulate: bool,
        draw: &mut Draw,
    ) -> Floats {
        if accumulate {
            let before = draw.normal(rows.now(&self.run.counts) * cols);
            self.sum(name, Space::Arena, rows, cols, before, Grade::Half)
        } else {
            self.output(name, Space::Arena, rows, cols, Grade::Half)
        }
    }

    /// A trained parameter with its gradient, which starts around 1 and has `grade`.
    pub fn param(
        &mut self,
        name: &'static str,
        values: Vec<f64>,
        draw: &mut Draw,
        grade: Grade,
    ) -> [Floats; 2] {
        let len = values.len();
        let at = self.trained(name, values, Grade::UNTOUCHED);
        [
            at,
            self.like(at, name, Space::Grads, draw.around_one(len), grade),
        ]
    }

    /// A parameter that an update changes.
    pub fn trained(&mut self, name: &'static str, values: Vec<f64>, grade: Grade) -> Floats {
        self.buffer(name, Space::Params, values.len(), values, grade)
    }

    /// What another space that is laid out like the parameters has for `param`.
    pub fn like(
        &mut self,
        param: Floats,
        name: &'static str,
        space: Space,
        values: Vec<f64>,
        grade: Grade,
    ) -> Floats {
        self.sizes.moments = true;
        self.sizes.ema |= space == Space::Ema;
        let at = param.within(space);
        self.buffers.push(Buffer {
            name,
            at,
            start: values,
            grade,
        });
        at
    }

    /// Lets weight decay apply to `param`.
    pub fn decay(&mut self, param: Floats) {
        let len = param.len.next_multiple_of(16);
        self.sizes.decayed.push([param.offset, len]);
    }

    fn buffer(
        &mut self,
        name: &'static str,
        space: Space,
        cap: usize,
        start: Vec<f64>,
        grade: Grade,
    ) -> Floats {
        assert!(start.len() <= cap, "{name}: {} in {cap}", start.len());
        let size = match space {
            Space::Params => &mut self.sizes.params,
            Space::Arena => &mut self.sizes.arena,
            Space::Wide => &mut self.sizes.wide,
            Space::Io => &mut self.sizes.io,
            other => unreachable!("{other:?} is laid out like the parameters"),
        };
        let at = Floats {
            space,
            offset: *size,
            len: cap,
        };
        *size += cap.next_multiple_of(16);
        self.buffers.push(Buffer {
            name,
            at,
            start,
            grade,
        });
        at
    }

    /// An index list, with room for `cap`.
    pub fn words(&mut self, list: Vec<u32>, cap: usize) -> Words {
        let at = Words {
            offset: self.sizes.words,
            len: cap.max(list.len()),
        };
        self.sizes.words += at.len.next_multiple_of(16);
        self.words.push((at, list));
        at
    }

    /// Images or targets.
    pub fn bytes(&mut self, bytes: Vec<u8>) -> Bytes {
        let at = Bytes {
            offset: self.sizes.bytes,
            len: bytes.len(),
        };
        self.sizes.bytes += bytes.len().next_multiple_of(64);
        self.bytes.push((at, bytes));
        at
    }

    /// Runs the calls on `device` so many `times`, each time with everything written anew, as one list: the first time a
    /// device may only look at it, the second time make a graph of it. Returns every buffer's content after them, room
    /// beyond its rows included.
    ///
    /// # Errors
    /// What the device says.
    pub fn run_on(
        &self,
        device: &mut dyn Backend,
        times: usize,
    ) -> Result<Vec<Vec<f64>>, BackendError> {
        let mut sizes = self.sizes.clone();
        for call in &self.calls {
            sizes.workspace = sizes.workspace.max(device.workspace(call)?);
        }
        device.reserve(&sizes)?;
        let words: Vec<_> = self
            .words
            .iter()
            .map(|(at, list)| (*at, &list[..]))
            .collect();
        let bytes: Vec<_> = self.bytes.iter().map(|(at, b)| (*at, &b[..])).collect();
        for _ in 0..times {
            for b in &self.buffers {
                let mut values = vec![f64::NAN; b.at.len];
                for (value, start) in values.iter_mut().zip(&b.start) {
                    *value = stored(b.at.space, *start);
                }
                device.write(b.at, &values)?;
            }
            device.stage(&Upload {
                words: &words,
                bytes: &bytes,
            })?;
            device.begin(&self.run)?;
            device.begin_update(&self.update)?;
            device.replay(0, &self.calls)?;
        }
        let mut after = Vec::new();
        for b in &self.buffers {
            let mut values = vec![0.0; b.at.len];
            device.read(b.at, &mut values)?;
            after.push(values);
        }
        Ok(after)
    }

    /// The largest share of its bound that any buffer uses, on a device that stores activations in bf16 (`half`)
    /// or not; an error says what is wrong where.
    ///
    /// # Errors
    /// A message naming the buffer and the element.
    pub fn judge(&self, half: bool, got: &[Vec<f64>], want: &[Vec<f64>]) -> Result<f64, String> {
        let mut worst = 0.0f64;
        for ((b, got), want) in self.buffers.iter().zip(got).zip(want) {
            if b.grade == Grade::Free {
                continue;
            }
            let used = b.start.len();
            if let Some(at) = got[used..].iter().position(|x| !x.is_nan()) {
                return Err(format!(
                    "{} of {}: row room beyond the rows was written, element {}",
                    b.name,
                    self.shape,
                    used + at
                ));
            }
            let (got, want) = (&got[..used], &want[..used]);
            if let Some(at) = (0..used).find(|&i| got[i].is_nan() != want[i].is_nan()) {
                return Err(format!(
                    "{}[{at}] of {} is {}, expected {}",
                    b.name, self.shape, got[at], want[at]
                ));
            }
            let share = match b.grade {
                Grade::Half if half => half_share(got, want),
                Grade::Half => compare(got, want).error / REDUCTION,
                Grade::Single(0.0) => {
                    // An input: not a bit of it may change.
                    let same = got
                        .iter()
                        .zip(&b.start)
                        .all(|(g, s)| *g == stored(b.at.space, *s) || g.is_nan());
                    if same { 0.0 } else { f64::INFINITY }
                }
                Grade::Single(bound) => compare(got, want).error / bound,
                Grade::Free => 0.0,
            };
            if share > 1.0 {
                let c = compare(got, want);
                return Err(format!(
                    "{} ({:?})[{}] of {}: got {:e}, want {:e}; the buffer is at {:.0} % of its bound",
                    b.name,
                    b.at.space,
                    c.index,
                    self.shape,
                    c.got,
                    c.want,
                    100.0 * share
                ));
            }
            worst = worst.max(share);
        }
        Ok(worst)
    }
}

/// `value` as both formats of its space can hold it, so that every device works on the same numbers.
fn stored(space: Space, value: f64) -> f64 {
    match space {
        Space::Arena | Space::Params => bf16::from_f64(value).to_f64(),
        _ => f64::from(value as f32),
    }
}

/// Error of `got` over twice that of `want` rounded to bf16, both as roots of mean squares; and no element may be
/// off by more than 1/64 of its size and the others'.
fn half_share(got: &[f64], want: &[f64]) -> f64 {
    let rms = |of: &dyn Fn(usize) -> f64| {
        let finite: Vec<f64> = (0..want.len())
            .filter(|&i| want[i].is_finite())
            .map(of)
            .collect();
        (finite.iter().map(|x| x * x).sum::<f64>() / finite.len().max(1) as f64).sqrt()
    };
    let rounding = rms(&|i| bf16::from_f64(want[i]).to_f64() - want[i]);
    // A few numbers may happen to be nearly exact: the rounding of numbers of this size in the mean, of one number
    // at most.
    let scatter = 0.4 + 1.6 / (want.len().max(1) as f64).sqrt();
    let usual = rms(&|i| want[i]) * scatter / 512.0;
    let error = rms(&|i| got[i] - want[i]);
    let budget = 2.0 * rounding.max(usual);
    let share = if error == 0.0 { 0.0 } else { error / budget };
    share.max(compare(got, want).error * 64.0)
}
