//! A PTX module as written: names unresolved, opcodes unread. Nothing here knows what an instruction does.

/// One module: what a `.ptx` file holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Module {
    /// `.version`, major and minor.
    pub version: (u32, u32),
    /// `.target`, the first word: `sm_80`.
    pub target: String,
    /// The number in `target`: 80.
    pub sm: u32,
    /// `.file` directives: index and path.
    pub files: Vec<(u32, String)>,
    /// Variables of module scope.
    pub variables: Vec<Variable>,
    /// Kernels and functions, declarations included.
    pub functions: Vec<Function>,
    /// `.alias a, f;`: another name of a function, and the function.
    pub aliases: Vec<(String, String)>,
}

/// Where pointers to functions begin; no memory is there.
const FUNCTIONS: u64 = 0x40_0000_0000;

impl Module {
    /// The name of the function that `name`, which may be an alias, stands for.
    pub fn aliased<'a>(&'a self, name: &'a str) -> &'a str {
        let found = self.aliases.iter().find(|(alias, _)| alias == name);
        found.map_or(name, |(_, function)| function)
    }

    /// What a pointer to the function called `name` holds.
    pub fn function_address(&self, name: &str) -> Option<u64> {
        let name = self.aliased(name);
        let defined = self
            .functions
            .iter()
            .position(|f| !f.entry && f.name == name && f.body.is_some())?;
        Some(FUNCTIONS + 16 * (defined as u64 + 1))
    }
}

/// A state space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// `.global`
    Global,
    /// `.const`
    Const,
    /// `.shared`
    Shared,
    /// `.local`
    Local,
    /// `.param`
    Param,
    /// No space named: the generic address space.
    Generic,
}

/// A fundamental type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    U16x2,
    S16x2,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    Tf32,
    F32,
    F64,
    Pred,
}

impl Type {
    /// Reads a type's name without its dot: `u32`.
    pub fn parse(name: &str) -> Option<Type> {
        use Type::*;
        Some(match name {
            "b8" => B8,
            "b16" => B16,
            "b32" => B32,
            "b64" => B64,
            "b128" => B128,
            "u8" => U8,
            "u16" => U16,
            "u32" => U32,
            "u64" => U64,
            "s8" => S8,
            "s16" => S16,
            "s32" => S32,
            "s64" => S64,
            "u16x2" => U16x2,
            "s16x2" => S16x2,
            "f16" => F16,
            "f16x2" => F16x2,
            "bf16" => Bf16,
            "bf16x2" => Bf16x2,
            "tf32" => Tf32,
            "f32" => F32,
            "f64" => F64,
            "pred" => Pred,
            _ => return None,
        })
    }

    /// Size in bytes; a predicate counts as one.
    pub fn bytes(self) -> u64 {
        use Type::*;
        match self {
            B8 | U8 | S8 | Pred => 1,
            B16 | U16 | S16 | F16 | Bf16 => 2,
            B32 | U32 | S32 | U16x2 | S16x2 | F16x2 | Bf16x2 | Tf32 | F32 => 4,
            B64 | U64 | S64 | F64 => 8,
            B128 => 16,
        }
    }

    /// Whether a narrower value is widened with its sign.
    pub fn signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }

    /// Whether the type is one of floating point.
    pub fn float(self) -> bool {
        use Type::*;
        matches!(self, F16 | F16x2 | Bf16 | Bf16x2 | Tf32 | F32 | F64)
    }
}

/// Who sees a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Linkage {
    /// No linkage directive: this module alone.
    #[default]
    Local,
    /// `.visible`
    Visible,
    /// `.extern`
    Extern,
    /// `.weak`
    Weak,
    /// `.common`
    Common,
}

/// A variable of any space, a parameter of a function included.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where it lives.
    pub space: Space,
    /// Alignment in bytes: as written, or the size of an element (of the whole vector for `.v2`, `.v4`).
    pub align: u64,
    /// The element's type.
    pub ty: Type,
    /// Number of elements, dimensions and vector width multiplied; 0 where the size is left open (`.extern .shared x[]`).
    pub count: u64,
    /// Initial values in order, possibly fewer than elements; empty: zero.
    pub init: Vec<Init>,
    /// Who sees it.
    pub linkage: Linkage,
    /// Line of the declaration, from 1.
    pub line: u32,
}

impl Variable {
    /// Size in bytes, 0 where left open.
    pub fn bytes(&self) -> u64 {
        self.ty.bytes() * self.count
    }
}

/// An initial value.
#[derive(Debug, Clone, PartialEq)]
pub enum Init {
    /// An integer, as its two's-complement bits.
    Int(u64),
    /// A floating-point number, exact in f64.
    Float(f64),
    /// The address of a variable or function, plus bytes.
    Address {
        /// What it names.
        name: String,
        /// Bytes added.
        offset: i64,
    },
}

/// A kernel (`.entry`) or function (`.func`).
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether it is a kernel.
    pub entry: bool,
    /// Who sees it.
    pub linkage: Linkage,
    /// Return parameters of a function.
    pub results: Vec<Variable>,
    /// Parameters in order.
    pub params: Vec<Variable>,
    /// Limits that the code promises or asks for.
    pub limits: Limits,
    /// Statements; none for a declaration.
    pub body: Option<Vec<Statement>>,
    /// Line of the declaration, from 1.
    pub line: u32,
}

/// Performance-tuning directives of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// `.maxntid`: threads a block at most, by dimension.
    pub max_threads: Option<[u32; 3]>,
    /// `.reqntid`: threads a block exactly, by dimension.
    pub required_threads: Option<[u32; 3]>,
    /// `.minnctapersm`
    pub min_blocks: Option<u32>,
    /// `.maxnreg`
    pub max_registers: Option<u32>,
    /// `.reqnctapercluster`: blocks a cluster exactly, by dimension.
    pub required_cluster: Option<[u32; 3]>,
}

/// One statement of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `name:`
    Label(String),
    /// `.reg .b32 %r<6>;` `.reg .b32 a, b;` `.reg .v4 .f32 v;`
    Registers {
        /// Type of each (of each element, for a vector).
        ty: Type,
        /// 1, 2 or 4.
        width: u32,
        /// Name and, for `name<n>`, the count: registers `name0` to `name(n-1)`.
        names: Vec<(String, Option<u32>)>,
        /// Line, from 1.
        line: u32,
    },
    /// A `.local`, `.shared`, `.param`, `.global` or `.const` variable.
    Variable(Variable),
    /// `{ ... }`: names declared inside end with it.
    Block(Vec<Statement>),
    /// An instruction.
    Instruction(Instruction),
    /// `name: .branchtargets a, b, c;`
    BranchTargets {
        /// The list's name.
        name: String,
        /// Labels in order.
        labels: Vec<String>,
    },
}

/// A line of a source file, from `.loc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Location {
    /// Index of a `.file`; 0: none.
    pub file: u32,
    /// Line, from 1; 0: unknown.
    pub line: u32,
    /// For a line of an inlined function, the file and line that it was inlined at; 0: none.
    pub inlined_at: (u32, u32),
}

/// One instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// Line in the PTX text, from 1.
    pub line: u32,
    /// The last `.loc` before it.
    pub location: Location,
    /// `@p` or `@!p`.
    pub guard: Option<Guard>,
    /// The opcode with all its modifiers: `ld.global.nc.v4.f32`.
    pub opcode: String,
    /// Operands in order.
    pub operands: Vec<Operand>,
}

/// The predicate that an instruction runs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The predicate register's name.
    pub name: String,
    /// Whether it must be false.
    pub negated: bool,
}

/// One operand.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A register, label, variable, function, or a special register with its component: `%r1`, `$L1`, `%tid.x`.
    Name(String),
    /// `!p`
    Not(String),
    /// An integer literal's 64 bits, a minus sign applied.
    Int(u64),
    /// A literal in f32: `0f3F800000`, as bits.
    F32(u32),
    /// A literal in f64: `0d...` or decimal, as bits.
    F64(u64),
    /// `[base + offset]`; `base` may be a register, a variable, or none for an absolute address.
    Address {
        /// Register or variable.
        base: Option<String>,
        /// Bytes added.
        offset: i64,
    },
    /// `{a, b, c, d}`
    Vector(Vec<Operand>),
    /// `p|q`: two destinations.
    Pair(Box<Operand>, Box<Operand>),
    /// `a+4`: a variable's address plus bytes.
    Offset {
        /// The variable.
        name: String,
        /// Bytes added.
        offset: i64,
    },
    /// `(a, b)`: the results or arguments of a call. Or `[map, {x, y}]`: the address of a tensor and the coordinates in it.
    Group(Vec<Operand>),
    /// `_`: a destination that nobody wants.
    Sink,
}
