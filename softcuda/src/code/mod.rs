//! Executable code: a kernel and the functions it calls, lowered from PTX to instructions that run on rows of 32 lanes.

pub mod allocate;
pub mod assemble;
pub mod data;
pub mod flow;
pub mod lower;
pub mod opcode;

use crate::machine::rows::Exec;
use crate::ptx::ast::Location;

/// Where an operand's row lies: bytes into the frame's registers or, with [`CONST`] set, into the constant rows.
pub type Row = u32;

/// Marks a row of constants.
pub const CONST: Row = 1 << 31;

/// No row: an operand that is not there.
pub const NO_ROW: Row = u32::MAX;

/// One executable instruction.
#[derive(Clone, Copy)]
pub struct Instr {
    /// What it does.
    pub exec: Exec,
    /// Rows of the first four operands, destinations first.
    pub args: [Row; 4],
    /// A constant of the instruction: an address offset, a branch's join, an option.
    pub imm: i64,
    /// Start in [`Code::wide`] of the operands after the fourth, or another option.
    pub more: u32,
    /// Row of the guard predicate, or [`NO_ROW`].
    pub guard: Row,
    /// Whether the guard must be false.
    pub negated: bool,
    /// What the counters file it under.
    pub class: Class,
    /// Bytes a lane moves, for memory instructions.
    pub bytes: u8,
}

/// What kind of work an instruction is, for the counters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Class {
    /// Integer and logic.
    Integer,
    /// f32 arithmetic.
    F32,
    /// f64 arithmetic.
    F64,
    /// f16 and bf16 arithmetic.
    F16,
    /// Approximate functions of the special unit.
    Special,
    /// Conversions between types.
    Convert,
    /// Comparisons, selections, predicates.
    Compare,
    /// Moves.
    Move,
    /// Loads from global memory.
    GlobalLoad,
    /// Stores to global memory.
    GlobalStore,
    /// Loads from shared memory, ldmatrix included.
    SharedLoad,
    /// Stores to shared memory.
    SharedStore,
    /// Loads and stores of local memory.
    Local,
    /// Loads of constants, and of parameters through a register.
    Constant,
    /// Loads and stores whose space is known only at run time.
    Generic,
    /// Atomics and reductions.
    Atomic,
    /// Asynchronous copies.
    Async,
    /// Tensor-core operations.
    Tensor,
    /// Exchanges within a warp.
    Shuffle,
    /// Barriers and fences.
    Barrier,
    /// Branches.
    Branch,
    /// Calls, returns, exits.
    Control,
    /// Bookkeeping of this machine that no hardware executes.
    None,
}

/// Number of classes.
pub const CLASSES: usize = Class::None as usize + 1;

impl Class {
    /// All of them in order.
    pub const ALL: [Class; CLASSES] = [
        Class::Integer,
        Class::F32,
        Class::F64,
        Class::F16,
        Class::Special,
        Class::Convert,
        Class::Compare,
        Class::Move,
        Class::GlobalLoad,
        Class::GlobalStore,
        Class::SharedLoad,
        Class::SharedStore,
        Class::Local,
        Class::Constant,
        Class::Generic,
        Class::Atomic,
        Class::Async,
        Class::Tensor,
        Class::Shuffle,
        Class::Barrier,
        Class::Branch,
        Class::Control,
        Class::None,
    ];
}

/// Where an instruction stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Site {
    /// PTX line, from 1.
    pub line: u32,
    /// Source line, where `-lineinfo` gave one.
    pub location: Location,
}

/// A value in the constant rows, the same for all lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Constant {
    /// A predicate.
    Pred(bool),
    /// A 32-bit (or narrower) value.
    Word(u32),
    /// A 64-bit value.
    Long(u64),
    /// A kernel parameter's bytes, widened to the row.
    Param {
        /// Bytes from the start of the parameters.
        offset: u32,
        /// Bytes read.
        bytes: u8,
        /// Whether to widen with the sign.
        signed: bool,
        /// Whether the row holds 64 bits a lane.
        long: bool,
    },
}

/// A function's body within a kernel's code.
#[derive(Debug, Clone, Default)]
pub struct FunctionCode {
    /// Its name.
    pub name: String,
    /// What a pointer to it holds.
    pub address: u64,
    /// First instruction.
    pub entry: u32,
    /// Its last instruction, the one that every return leads to.
    pub end: u32,
    /// Bytes of registers of one frame.
    pub frame: u32,
    /// Bytes of local memory of one frame.
    pub local: u32,
    /// Local offset and size of its parameters, in order.
    pub params: Vec<(u32, u32)>,
    /// Local offset and size of its results, in order.
    pub results: Vec<(u32, u32)>,
}

/// A kernel's executable code.
pub struct Code {
    /// The kernel's name.
    pub name: String,
    /// Instructions of all its functions; the kernel itself is function 0.
    pub instrs: Vec<Instr>,
    /// Where each stands.
    pub sites: Vec<Site>,
    /// Operands beyond the fourth.
    pub wide: Vec<u32>,
    /// Constants and their byte offsets in the constant rows.
    pub constants: Vec<(Constant, u32)>,
    /// Bytes of the constant rows.
    pub constant_bytes: u32,
    /// The kernel and the functions it calls.
    pub functions: Vec<FunctionCode>,
    /// Source files by `.file` index.
    pub files: Vec<(u32, String)>,
    /// Whether blocks must run one after the other for the result not to depend on the host's threads: it uses atomics
    /// whose outcome depends on their order.
    pub ordered: bool,
    /// log2 of the bytes that the shared-memory race check tells apart: the narrowest access of the code.
    pub granule: u32,
    /// Start and end of the module's constant variables.
    pub const_ranges: Vec<(u64, u64)>,
    /// log2 of the bytes that the check of races between blocks tells apart.
    pub global_granule: u32,
    /// Whether it has synchronisation that only some warps take part in: barriers of some threads, or fences and atomics.
    pub partial_order: bool,
    /// Whether it has a compare-and-swap, whose loops begin with a plain read of what others update.
    pub swaps: bool,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "code of {}, {} instructions",
            self.name,
            self.instrs.len()
        )
    }
}

impl Code {
    /// The source place of instruction `pc` in words: `PTX line 12, saxpy.cu:7`; for an inlined
    /// function its own line, and the one that it was inlined at.
    pub fn place(&self, pc: u32) -> String {
        let site = self.sites[pc as usize];
        let mut text = format!("PTX line {}", site.line);
        let location = site.location;
        let places = [(location.file, location.line), location.inlined_at];
        for (file, line) in places.into_iter().filter(|(_, line)| *line != 0) {
            if let Some((_, path)) = self.files.iter().find(|(index, _)| *index == file) {
                let name = path.rsplit('/').next().unwrap_or(path);
                text.push_str(&format!(", {name}:{line}"));
            }
        }
        text
    }
}
