//! Runs PTX on tables of values: what goes into each lane, and what must come out, bit for bit.
//!
//! Every case says its own PTX, and which opcode forms it covers is read from that text: so the list of forms is checked without
//! running anything.

use std::collections::BTreeSet;

use softcuda::launch::{Checks, Grid, Options, Outcome, launch};
use softcuda::memory::{Memory, Owner};
use softcuda::module::Module;
use softcuda::report::{FaultKind, FindingKind};

/// What a family of instructions is tested by.
#[derive(Default)]
pub struct Family {
    /// Instructions on the lanes' own registers.
    pub tables: Vec<Table>,
    /// Whole kernels.
    pub programs: Vec<Program>,
}

/// One piece of PTX that works in each lane on its own, and rows of inputs and outputs.
pub struct Table {
    /// The PTX. `%a %b %c %e` are the inputs, `%d %f` the outputs.
    pub ptx: String,
    /// Kinds of the registers, inputs before outputs: see [`register`].
    kinds: Vec<char>,
    inputs: usize,
    rows: Vec<Vec<u64>>,
    /// How far the output may be from the one in the table: 0 for bits, else units in the last place of f32.
    pub ulps: u32,
    /// Whether any NaN of f64 does for any other: the ISA leaves it open which one an instruction gives.
    any_nan: bool,
    /// The target.
    sm: u32,
}

/// A kernel over one block or more.
pub struct Program {
    /// What it shows.
    pub what: &'static str,
    /// What stands before the kernel: functions, variables.
    pub before: String,
    /// The kernel's body. `%t` is the thread's index in the grid, `%in` the address of the input, `%out` that of the output and
    /// `%mine` that of the output's word for this thread; `%r0..`, `%rd0..`, `%h0..`, `%p0..` are registers. The parameter
    /// `bytes` holds 32 bytes, number n of them [`byte`]`(n)`.
    pub body: String,
    /// Blocks and threads a block.
    pub grid: (u32, u32),
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// Words that `%in` points to.
    pub input: Vec<u32>,
    /// What must come of it.
    pub want: Want,
    /// The target.
    pub sm: u32,
}

/// The end of a program.
pub enum Want {
    /// It fills the output with these words.
    Words(Vec<u32>),
    /// It ends with this fault.
    Fault(FaultKind),
    /// A check finds something of this kind.
    Finding(FindingKind),
}

/// Ends a check with a message unless the condition holds.
macro_rules! must {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}

/// The names of inputs and outputs.
const INPUTS: [&str; 4] = ["a", "b", "c", "e"];
const OUTPUTS: [&str; 4] = ["d", "f", "g", "h"];

/// A table: `kinds` is as in `"rr>r"`, a letter a register: p predicate, h 16 bits, r 32 bits, d 64 bits.
pub fn table<const N: usize>(ptx: &str, kinds: &str, rows: &[[u64; N]]) -> Table {
    let (inputs, outputs) = kinds.split_once('>').expect("inputs > outputs");
    assert_eq!(inputs.len() + outputs.len(), N, "{ptx}: columns");
    Table {
        ptx: ptx.to_string(),
        kinds: inputs.chars().chain(outputs.chars()).collect(),
        inputs: inputs.len(),
        rows: rows.iter().map(|row| row.to_vec()).collect(),
        ulps: 0,
        any_nan: false,
        sm: 90,
    }
}

impl Table {
    /// The same, an f32 within `ulps` units in the last place.
    pub fn near(mut self, ulps: u32) -> Table {
        self.ulps = ulps;
        self
    }

    /// The same, any f64 NaN for any other.
    pub fn any_nan(mut self) -> Table {
        self.any_nan = true;
        self
    }

    fn declarations(&self) -> String {
        let mut text = String::new();
        for (n, kind) in self.kinds.iter().enumerate() {
            text += &format!(".reg {} %{};\n", register(*kind), self.name(n));
        }
        text
    }

    fn name(&self, n: usize) -> &'static str {
        match n.checked_sub(self.inputs) {
            None => INPUTS[n],
            Some(n) => OUTPUTS[n],
        }
    }

    /// The kernel; guarded, odd threads do not run the PTX and keep what the outputs hold.
    fn kernel(&self, name: &str, guarded: bool) -> String {
        let mut text = format!(
            ".visible .entry {name}(.param .u64 rows, .param .u64 results)\n{{\n{}",
            self.declarations()
        );
        text += ".reg .b64 %row<4>; .reg .b32 %me<4>; .reg .b16 %is; .reg .pred %q; .reg .pred %even;\n";
        text += ".reg .b16 %h<8>; .reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .pred %p<8>;\n";
        text +=
            "ld.param.u64 %row0, [rows];\nld.param.u64 %row1, [results];\nmov.u32 %me0, %tid.x;\n";
        text += &format!("mul.wide.u32 %row2, %me0, {};\n", 8 * self.kinds.len());
        text += "add.s64 %row0, %row0, %row2;\nadd.s64 %row1, %row1, %row2;\n";
        text += "and.b32 %me1, %me0, 1;\nsetp.eq.s32 %even, %me1, 0;\n";
        for (n, kind) in self.kinds.iter().enumerate() {
            let (name, at) = (self.name(n), 8 * n);
            // Outputs begin with what the row buffer holds there.
            text += &match kind {
                'p' => format!("ld.global.u16 %is, [%row0+{at}];\nsetp.ne.s16 %{name}, %is, 0;\n"),
                'h' => format!("ld.global.u16 %{name}, [%row0+{at}];\n"),
                'r' => format!("ld.global.u32 %{name}, [%row0+{at}];\n"),
                _ => format!("ld.global.u64 %{name}, [%row0+{at}];\n"),
            };
        }
        let guard = if guarded { "@%even " } else { "" };
        text += &format!("{guard}{}\n", self.ptx);
        for (n, kind) in self.kinds.iter().enumerate() {
            let (name, at) = (self.name(n), 8 * n);
            text += &match kind {
                'p' => {
                    format!("selp.b32 %me2, 1, 0, %{name};\nst.global.u32 [%row1+{at}], %me2;\n")
                }
                'h' => format!("st.global.u16 [%row1+{at}], %{name};\n"),
                'r' => format!("st.global.u32 [%row1+{at}], %{name};\n"),
                _ => format!("st.global.u64 [%row1+{at}], %{name};\n"),
            };
        }
        text + "ret;\n}\n"
    }

    /// Checks the table: full warps and one that is not, with and without a guard.
    pub fn check(&self) -> Result<(), String> {
        // One instruction can be guarded; more, or a label, cannot.
        let guardable = self.ptx.matches(';').count() == 1;
        let mut text = header(self.sm) + &self.kernel("plain", false);
        if guardable {
            text += &self.kernel("guarded", true);
        }
        let device = Device::new(&text, self.sm)?;
        // Every row comes at an even and at an odd place, in a warp of 32 and in one of 9.
        let threads = (2 * self.rows.len()).max(32).next_multiple_of(32) + 9;
        let width = self.kinds.len();
        for kernel in ["plain", "guarded"]
            .into_iter()
            .take(1 + guardable as usize)
        {
            let mut bytes = Vec::new();
            for t in 0..threads {
                for (n, value) in self.row(t).iter().enumerate() {
                    let value = if n < self.inputs {
                        *value
                    } else {
                        before(self.kinds[n], t)
                    };
                    bytes.extend(value.to_le_bytes());
                }
            }
            let rows = device.buffer(&bytes);
            let results = device.buffer(&vec![0; bytes.len()]);
            let outcome = device.run(kernel, (1, threads as u32), 0, &[rows, results], false);
            must!(outcome.fault.is_none(), "{}: {:?}", self.ptx, outcome.fault);
            must!(
                outcome.findings.is_empty(),
                "{}: {:?}",
                self.ptx,
                outcome.findings
            );
            let found = device.read(results, bytes.len());
            for t in 0..threads {
                let row = self.row(t);
                for n in self.inputs..width {
                    let bits = u64::from_le_bytes(
                        found[8 * (t * width + n)..][..8]
                            .try_into()
                            .expect("8 bytes"),
                    );
                    let runs = kernel == "plain" || t % 2 == 0;
                    let want = match runs {
                        true => cut(self.kinds[n], row[n]),
                        false => before(self.kinds[n], t),
                    };
                    must!(
                        if runs {
                            self.same(bits, want)
                        } else {
                            bits == want
                        },
                        "{} ({kernel}, thread {t}) of {:x?}: %{} is {bits:#x}, must be {want:#x}",
                        self.ptx,
                        &row[..self.inputs],
                        self.name(n)
                    );
                }
            }
        }
        Ok(())
    }

    /// The row of thread `t`: each row in two threads that follow each other.
    fn row(&self, t: usize) -> &[u64] {
        &self.rows[t / 2 % self.rows.len()]
    }

    fn same(&self, found: u64, want: u64) -> bool {
        if self.any_nan && f64::from_bits(want).is_nan() {
            return f64::from_bits(found).is_nan();
        }
        // Sign and magnitude as one number: neighbours differ by one.
        let order = |bits: u64| {
            let bits = bits as u32 as i32;
            if bits < 0 {
                -((bits & i32::MAX) as i64)
            } else {
                bits as i64
            }
        };
        let (x, y) = (f32::from_bits(found as u32), f32::from_bits(want as u32));
        found == want
            || self.ulps > 0
                && x.is_finite()
                && y.is_finite()
                && y != 0.0
                && (order(found) - order(want)).unsigned_abs() <= self.ulps as u64
    }
}

/// The type of a register.
fn register(kind: char) -> &'static str {
    match kind {
        'p' => ".pred",
        'h' => ".b16",
        'r' => ".b32",
        'd' => ".b64",
        other => panic!("no kind of register is called {other}"),
    }
}

/// The low bits that a register has.
fn cut(kind: char, value: u64) -> u64 {
    match kind {
        'p' => value & 1,
        'h' => value & 0xFFFF,
        'r' => value & 0xFFFF_FFFF,
        _ => value,
    }
}

/// What an output register holds before the instruction.
fn before(kind: char, thread: usize) -> u64 {
    cut(
        kind,
        0xA5A5_5A5A_C3C3_3C3C ^ (thread as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
    )
}

/// A program of one block of a warp with no input.
pub fn program(what: &'static str, body: &str, want: Want) -> Program {
    Program {
        what,
        before: String::new(),
        body: body.to_string(),
        grid: (1, 32),
        shared: 0,
        input: vec![0],
        want,
        sm: 90,
    }
}

/// The words that 32 threads leave, from each thread's index.
pub fn each(word: impl Fn(u32) -> u32) -> Want {
    Want::Words((0..32).map(word).collect())
}

impl Program {
    /// The same over another grid.
    pub fn grid(mut self, blocks: u32, threads: u32) -> Program {
        self.grid = (blocks, threads);
        self
    }

    /// The same with this text before the kernel.
    pub fn before(mut self, text: &str) -> Program {
        self.before = text.to_string();
        self
    }

    /// The same with these words as input.
    pub fn input(mut self, words: impl IntoIterator<Item = u32>) -> Program {
        self.input = words.into_iter().collect();
        self
    }

    /// The same with dynamic shared memory.
    pub fn shared(mut self, bytes: u32) -> Program {
        self.shared = bytes;
        self
    }

    /// The same for another target.
    pub fn sm(mut self, sm: u32) -> Program {
        self.sm = sm;
        self
    }

    fn text(&self) -> String {
        header(self.sm)
            + &self.before
            + &format!(
                "
.visible .entry kernel(.param .u64 input, .param .u64 output, .param .align 16 .b8 bytes[32])
{{
.reg .b32 %r<64>; .reg .b64 %rd<32>; .reg .b16 %h<32>; .reg .pred %p<16>;
.reg .b32 %t; .reg .b32 %block; .reg .b32 %size; .reg .b64 %in; .reg .b64 %out; .reg .b64 %mine; .reg .b64 %skip;
ld.param.u64 %in, [input];
ld.param.u64 %out, [output];
mov.u32 %block, %ctaid.x;
mov.u32 %size, %ntid.x;
mov.u32 %t, %tid.x;
mad.lo.s32 %t, %block, %size, %t;
mul.wide.u32 %skip, %t, 4;
add.s64 %mine, %out, %skip;
{}
ret;
}}
",
                self.body
            )
    }

    /// Runs it in order and shuffled, and compares what comes of it.
    pub fn check(&self) -> Result<(), String> {
        for seed in [0, 12345] {
            let mut device = Device::new(&self.text(), self.sm)?;
            device.options.seed = seed;
            device.options.threads = 1 + (seed != 0) as usize;
            let bytes: Vec<u8> = self
                .input
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            let input = device.buffer(&bytes);
            let words = match &self.want {
                Want::Words(words) => words.len(),
                _ => 4096,
            };
            let output = device.buffer(&vec![0; 4 * words]);
            let outcome = device.run("kernel", self.grid, self.shared, &[input, output], true);
            let what = self.what;
            match &self.want {
                Want::Fault(kind) => {
                    let found = outcome.fault.as_ref().map(|fault| fault.kind);
                    must!(found == Some(*kind), "{what}: {:?}", outcome.fault);
                }
                Want::Finding(kind) => {
                    must!(
                        outcome.findings.iter().any(|f| f.kind == *kind),
                        "{what}: {outcome:?}"
                    );
                }
                Want::Words(want) => {
                    must!(outcome.fault.is_none(), "{what}: {:?}", outcome.fault);
                    must!(
                        outcome.findings.is_empty(),
                        "{what}: {:?}",
                        outcome.findings
                    );
                    let found = device.read(output, 4 * words);
                    for (n, (want, found)) in want.iter().zip(found.chunks_exact(4)).enumerate() {
                        let found = u32::from_le_bytes(found.try_into().expect("4 bytes"));
                        must!(
                            found == *want,
                            "{what}: word {n} is {found:#x}, must be {want:#x}"
                        );
                    }
                }
            }
        }
        Ok(())
    }
}

/// Byte `n` of the parameter `bytes`: half of them have their highest bit set.
pub fn byte(n: usize) -> u8 {
    (n as u8 + 1).wrapping_mul(0x4D)
}

/// What begins a module.
pub fn header(sm: u32) -> String {
    format!(".version 8.5\n.target sm_{sm}\n.address_size 64\n")
}

/// A device with a module.
struct Device {
    memory: Memory,
    module: Module,
    options: Options,
}

impl Device {
    fn new(ptx: &str, sm: u32) -> Result<Device, String> {
        let memory = Memory::new(1 << 26).expect("device memory");
        let module = Module::load(ptx, &memory).map_err(|error| {
            let line = ptx.lines().nth(error.line as usize - 1).unwrap_or_default();
            format!("{error} ({})", line.trim())
        })?;
        let checks = Checks {
            initialised: true,
            shared_races: true,
            global_races: false,
        };
        let options = Options {
            threads: 1,
            seed: 0,
            checks,
            count: false,
            capability: (sm / 10, sm % 10),
            stack: 1 << 12,
            timeout: Some(std::time::Duration::from_secs(20)),
        };
        Ok(Device {
            memory,
            module,
            options,
        })
    }

    fn buffer(&self, bytes: &[u8]) -> u64 {
        let address = self
            .memory
            .alloc(bytes.len().max(1) as u64, Owner::Program)
            .expect("room");
        self.memory.write(address, bytes).expect("inside");
        address
    }

    fn read(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut data = vec![0; bytes];
        self.memory.read(address, &mut data).expect("inside");
        data
    }

    fn run(
        &self,
        kernel: &str,
        (blocks, threads): (u32, u32),
        shared: u32,
        params: &[u64],
        bytes: bool,
    ) -> Outcome {
        let kernel = self.module.kernel(kernel).expect("the kernel");
        let grid = Grid {
            blocks: [blocks, 1, 1],
            threads: [threads, 1, 1],
            dynamic_shared: shared,
            cooperative: false,
        };
        let mut params: Vec<u8> = params
            .iter()
            .flat_map(|param| param.to_le_bytes())
            .collect();
        if bytes {
            params.extend((0..32).map(byte));
        }
        launch(&self.memory, kernel, &grid, &params, &self.options)
    }
}

/// The opcodes in a piece of PTX.
pub fn opcodes(ptx: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in ptx.lines() {
        let line = line.split("//").next().unwrap_or("");
        for statement in line.split(';') {
            let mut words = statement
                .split_whitespace()
                .filter(|word| !matches!(*word, "{" | "}"));
            let mut word = words.next();
            while word.is_some_and(|word| word.starts_with('@') || word.ends_with(':')) {
                word = words.next();
            }
            if let Some(word) = word
                && word.starts_with(|c: char| c.is_ascii_lowercase())
            {
                found.insert(word.to_string());
            }
        }
    }
    found
}

impl Family {
    /// Runs everything; what fails is told all at once.
    pub fn check(self) {
        let tables = self.tables.iter().map(Table::check);
        let programs = self.programs.iter().map(Program::check);
        let failed: Vec<String> = tables.chain(programs).filter_map(Result::err).collect();
        assert!(
            failed.is_empty(),
            "{} cases failed:\n{}",
            failed.len(),
            failed.join("\n")
        );
    }

    /// The opcodes that it covers.
    pub fn opcodes(&self) -> BTreeSet<String> {
        let tables = self.tables.iter().map(|table| &table.ptx);
        let programs = self
            .programs
            .iter()
            .flat_map(|program| [&program.body, &program.before]);
        tables
            .chain(programs)
            .flat_map(|text| opcodes(text))
            .collect()
    }
}

/// The bits of an f32.
pub fn f(value: f32) -> u64 {
    value.to_bits() as u64
}

/// The bits of an f64.
pub fn g(value: f64) -> u64 {
    value.to_bits()
}

/// A signed value in 32 bits.
pub fn s(value: i32) -> u64 {
    value as u32 as u64
}

/// A signed value in 64 bits.
pub fn l(value: i64) -> u64 {
    value as u64
}

/// The NaN that f32 arithmetic gives.
pub const NAN: u64 = 0x7FFF_FFFF;
/// A NaN with another payload.
pub const OTHER_NAN: u64 = 0xFFC0_0001;
/// Infinity of f32.
pub const INF: u64 = 0x7F80_0000;
/// Negative infinity of f32.
pub const NEG_INF: u64 = 0xFF80_0000;
/// -0 of f32.
pub const NEG_ZERO: u64 = 0x8000_0000;
/// The greatest f32.
pub const MAX: u64 = 0x7F7F_FFFF;
/// The least normal f32.
pub const NORMAL: u64 = 0x0080_0000;
/// The greatest subnormal f32.
pub const SUBNORMAL: u64 = 0x007F_FFFF;
/// The NaN of f64.
pub const NAN64: u64 = 0x7FF8_0000_0000_0000;
/// Infinity of f64.
pub const INF64: u64 = 0x7FF0_0000_0000_0000;
/// The NaN that arithmetic on halves gives.
pub const NAN16: u64 = 0x7FFF;
