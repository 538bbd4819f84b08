//! From a PTX function to instructions on registers without number: names are resolved, every opcode finds its operation. What
//! follows (`flow`, `allocate`) decides where lanes meet again and which row each register gets.

use std::collections::HashMap;

use super::opcode::Opcode;
use super::{Class, Constant, Site};
use crate::isa;
use crate::machine::access::{PARAM_WINDOW, SHARED_WINDOW};
use crate::machine::rows::{Exec, binary, unary};
use crate::module::LoadError;
use crate::ptx::ast::{self, Function, Guard, Instruction, Operand, Space, Statement, Type};

/// How wide a register's row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// One bit a lane.
    Pred,
    /// 8 to 32 bits a lane.
    Word,
    /// 64 bits a lane.
    Long,
}

impl Width {
    /// The width that a value of this type has.
    pub fn of(ty: Type) -> Width {
        match ty {
            Type::Pred => Width::Pred,
            _ if ty.bytes() == 8 => Width::Long,
            _ => Width::Word,
        }
    }

    /// Bytes of a row.
    pub fn bytes(self) -> u32 {
        match self {
            Width::Pred => 4,
            Width::Word => 128,
            Width::Long => 256,
        }
    }
}

/// A value that an instruction takes or gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// A register.
    Reg(u32),
    /// A constant, by its offset in the constant rows.
    Const(u32),
    /// Nothing.
    None,
}

/// An operand of a lowered instruction.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// The value.
    pub arg: Arg,
    /// Whether it is written.
    pub def: bool,
    /// Whether it is read.
    pub used: bool,
}

/// A destination.
pub fn d(arg: Arg) -> Slot {
    Slot {
        arg,
        def: true,
        used: false,
    }
}

/// A source.
pub fn u(arg: Arg) -> Slot {
    Slot {
        arg,
        def: false,
        used: true,
    }
}

/// What an instruction does to the order of execution.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// Goes on.
    None,
    /// To one of these labels, or on if guarded.
    Branch(Vec<String>),
    /// To the function's end, or on if guarded.
    Return,
    /// The function's end.
    End,
}

/// A lowered instruction.
pub struct Proto {
    /// What it does.
    pub exec: Exec,
    /// Register of the guard, and whether it must be false.
    pub guard: Option<(u32, bool)>,
    /// Operands, destinations first.
    pub slots: Vec<Slot>,
    /// How many of them the instruction itself holds; the rest goes to the wide operands.
    pub inline: usize,
    /// Numbers behind the operands there.
    pub extra: Vec<u32>,
    /// Its constant.
    pub imm: i64,
    /// Its class.
    pub class: Class,
    /// Bytes a lane moves.
    pub bytes: u8,
    /// Where it goes.
    pub control: Control,
    /// Where it stands.
    pub site: Site,
}

/// What a name stands for.
#[derive(Debug, Clone)]
enum Name {
    Register(u32),
    Variable(Place),
}

/// Where a variable lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its space, that of the machine: a function's parameters are in local memory.
    pub space: Space,
    /// Its address there; relative to the frame for local memory.
    pub address: u64,
    /// Its size.
    pub bytes: u64,
}

/// What the functions of one kernel share while they are lowered.
pub struct Kernel<'m> {
    /// The module.
    pub module: &'m ast::Module,
    /// Addresses of the module's `.global` and `.const` variables.
    pub variables: &'m HashMap<String, u64>,
    /// Constants so far, each with its offset.
    pub constants: Vec<(Constant, u32)>,
    known: HashMap<Constant, u32>,
    /// Bytes of the constant rows.
    pub constant_bytes: u32,
    /// Shared variables of module scope that the kernel uses, and where they are.
    shared: HashMap<String, u64>,
    /// Bytes of static shared memory.
    pub shared_bytes: u64,
    /// Alignment that the dynamic shared memory behind it asks for.
    pub dynamic_align: u64,
    /// Functions to lower: the kernel first, then those it calls as they are met.
    pub functions: Vec<&'m Function>,
    /// Whether an atomic's outcome may depend on the order of blocks.
    pub ordered: bool,
    /// Narrowest access to shared memory, log2.
    pub granule: u32,
    /// The same of global memory.
    pub global_granule: u32,
    /// Whether it has barriers that only some warps take part in.
    pub named_barriers: bool,
    /// Whether it has fences.
    pub fences: bool,
    /// Whether it has atomics, or volatile accesses and their like.
    pub meetings: bool,
    /// Whether it has a compare-and-swap.
    pub swaps: bool,
    /// The capability that the module is for.
    pub sm: u32,
}

impl<'m> Kernel<'m> {
    /// Begins with the kernel `entry`.
    pub fn new(
        module: &'m ast::Module,
        variables: &'m HashMap<String, u64>,
        entry: &'m Function,
    ) -> Kernel<'m> {
        Kernel {
            module,
            variables,
            constants: Vec::new(),
            known: HashMap::new(),
            constant_bytes: 0,
            shared: HashMap::new(),
            shared_bytes: 0,
            dynamic_align: 16,
            functions: vec![entry],
            ordered: false,
            granule: 2,
            global_granule: 2,
            named_barriers: false,
            fences: false,
            meetings: false,
            swaps: false,
            sm: module.sm,
        }
    }

    /// The row of a constant.
    pub fn constant(&mut self, constant: Constant) -> Arg {
        let next = self.constant_bytes;
        let offset = *self.known.entry(constant).or_insert(next);
        if offset == next {
            self.constants.push((constant, offset));
            let long = matches!(
                constant,
                Constant::Long(_) | Constant::Param { long: true, .. }
            );
            let pred = matches!(constant, Constant::Pred(_));
            self.constant_bytes += if long {
                256
            } else if pred {
                64
            } else {
                128
            };
        }
        Arg::Const(offset)
    }

    fn place_shared(&mut self, variable: &ast::Variable) -> u64 {
        let align = variable.align.max(1);
        if variable.count == 0 {
            self.dynamic_align = self.dynamic_align.max(align);
            return u64::MAX;
        }
        let at = self.shared_bytes.next_multiple_of(align);
        self.shared_bytes = at + variable.bytes();
        at
    }

    /// Notes that a pointer may lead to any function whose address is taken: all of them are lowered too.
    fn call_anything(&mut self) {
        for function in self
            .module
            .functions
            .iter()
            .filter(|f| !f.entry && f.body.is_some())
        {
            if !self
                .functions
                .iter()
                .any(|known| std::ptr::eq(*known, function))
            {
                self.functions.push(function);
            }
        }
    }

    /// The function called `name`, with its number; noted as one to lower.
    fn callee(&mut self, name: &str) -> Option<(u32, &'m Function)> {
        let name = self.module.aliased(name);
        let function = self
            .module
            .functions
            .iter()
            .find(|f| !f.entry && f.name == name && f.body.is_some())?;
        let index = match self
            .functions
            .iter()
            .position(|f| std::ptr::eq(*f, function))
        {
            Some(index) => index,
            None => {
                self.functions.push(function);
                self.functions.len() - 1
            }
        };
        Some((index as u32, function))
    }
}

/// Bytes of a kernel's parameters, at most.
const MOST_PARAMS: u64 = 32764;
/// Bytes of a function's local memory, its parameters and those of its calls included, at most.
const MOST_LOCAL: u64 = 512 << 10;
/// Registers of one function, at most.
const MOST_REGISTERS: usize = 1 << 20;

/// Offset and size of each of some variables.
type Places = Vec<(u32, u32)>;

/// Where variables are, laid out one after the other from `start`, and where they end.
fn lay_out(variables: &[ast::Variable], start: u64) -> (Places, u64) {
    let mut at = start;
    let places = variables
        .iter()
        .map(|variable| {
            at = at.next_multiple_of(variable.align.max(1));
            let place = (at as u32, variable.bytes() as u32);
            at += variable.bytes();
            place
        })
        .collect();
    (places, at)
}

/// Where a function's parameters and results lie in its local memory, and their end.
pub fn signature(function: &Function) -> (Places, Places, u64) {
    let (params, end) = lay_out(&function.params, 0);
    let (results, end) = lay_out(&function.results, end);
    (params, results, end)
}

/// A kernel's parameters: offset and size of each, and the bytes of all.
pub fn kernel_params(function: &Function) -> (Places, u32) {
    let (places, end) = lay_out(&function.params, 0);
    (places, end as u32)
}

/// One function while it is lowered.
pub struct Lower<'k, 'm> {
    /// What it shares with the kernel's other functions.
    pub kernel: &'k mut Kernel<'m>,
    /// Whether it is the kernel itself.
    pub entry: bool,
    scopes: Vec<HashMap<String, Name>>,
    /// Widths of the registers.
    pub registers: Vec<Width>,
    /// Instructions so far.
    pub protos: Vec<Proto>,
    /// Labels, and the instruction that each stands before.
    pub labels: HashMap<String, usize>,
    branch_lists: HashMap<String, Vec<String>>,
    /// Bytes of local memory so far.
    pub local_bytes: u64,
    site: Site,
    guard: Option<(u32, bool)>,
    fresh_labels: usize,
    /// Instructions that lanes may run in groups, which meet again behind it.
    pub joins_after: Vec<usize>,
    /// Volatile and relaxed loads, and what a plain load of the kind does.
    pub volatile_loads: Vec<(usize, Exec)>,
    carry: Option<Arg>,
}

type Result<T> = std::result::Result<T, LoadError>;

impl<'k, 'm> Lower<'k, 'm> {
    /// Lowers the body of `function`.
    pub fn function(kernel: &'k mut Kernel<'m>, function: &'m Function) -> Result<Lower<'k, 'm>> {
        let mut this = Lower {
            entry: function.entry,
            kernel,
            scopes: vec![HashMap::new()],
            registers: Vec::new(),
            protos: Vec::new(),
            labels: HashMap::new(),
            branch_lists: HashMap::new(),
            local_bytes: 0,
            site: Site {
                line: function.line,
                ..Site::default()
            },
            guard: None,
            fresh_labels: 0,
            joins_after: Vec::new(),
            volatile_loads: Vec::new(),
            carry: None,
        };
        if function.entry {
            let (places, end) = lay_out(&function.params, 0);
            if end > MOST_PARAMS {
                return Err(this.error(format!(
                    "{end} bytes of parameters; a kernel has at most {MOST_PARAMS}"
                )));
            }
            for (variable, (offset, bytes)) in function.params.iter().zip(places) {
                let place = Place {
                    space: Space::Param,
                    address: offset as u64,
                    bytes: bytes as u64,
                };
                this.declare(&variable.name, Name::Variable(place));
            }
        } else {
            let (params, results, end) = signature(function);
            let all = function
                .params
                .iter()
                .zip(params)
                .chain(function.results.iter().zip(results));
            for (variable, (offset, bytes)) in all {
                let place = Place {
                    space: Space::Local,
                    address: offset as u64,
                    bytes: bytes as u64,
                };
                this.declare(&variable.name, Name::Variable(place));
            }
            this.set_local_bytes(end)?;
        }
        this.collect_lists(function.body.as_deref().unwrap_or(&[]));
        this.statements(function.body.as_deref().unwrap_or(&[]))?;
        let end = this.emit(isa::control::end_of(function.entry), Class::None, &[]);
        end.control = Control::End;
        Ok(this)
    }

    /// `.branchtargets` may come after the branch that names them.
    fn collect_lists(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::BranchTargets { name, labels } => {
                    self.branch_lists.insert(name.clone(), labels.clone());
                }
                Statement::Block(inner) => self.collect_lists(inner),
                _ => {}
            }
        }
    }

    fn statements(&mut self, statements: &'m [Statement]) -> Result<()> {
        for statement in statements {
            match statement {
                Statement::Label(name) => {
                    if self
                        .labels
                        .insert(name.clone(), self.protos.len())
                        .is_some()
                    {
                        return Err(self.error(format!("label {name} stands here a second time")));
                    }
                }
                Statement::Registers {
                    ty,
                    width,
                    names,
                    line,
                } => {
                    self.site.line = *line;
                    if *width != 1 {
                        return Err(self.error("vector registers are not supported".to_string()));
                    }
                    if *ty == Type::B128 {
                        return Err(
                            self.error("registers of 128 bits are not supported".to_string())
                        );
                    }
                    let more = |count: &Option<u32>| count.unwrap_or(1) as usize;
                    let all = names.iter().map(|(_, count)| more(count)).sum::<usize>();
                    if self.registers.len() + all > MOST_REGISTERS {
                        return Err(self.error(format!(
                            "more than {MOST_REGISTERS} registers in one function"
                        )));
                    }
                    for (name, count) in names {
                        match count {
                            None => self.declare_register(name, *ty),
                            Some(count) => {
                                for n in 0..*count {
                                    self.declare_register(&format!("{name}{n}"), *ty);
                                }
                            }
                        }
                    }
                }
                Statement::Variable(variable) => self.variable(variable)?,
                Statement::Block(inner) => {
                    self.scopes.push(HashMap::new());
                    self.statements(inner)?;
                    self.scopes.pop();
                }
                Statement::Instruction(instruction) => self.instruction(instruction)?,
                Statement::BranchTargets { .. } => {}
            }
        }
        Ok(())
    }

    /// Notes how much local memory there is so far.
    fn set_local_bytes(&mut self, bytes: u64) -> Result<()> {
        if bytes > MOST_LOCAL {
            return Err(self.error(format!(
                "{bytes} bytes of local memory and parameters; a function has at most {MOST_LOCAL}"
            )));
        }
        self.local_bytes = bytes;
        Ok(())
    }

    fn declare(&mut self, name: &str, what: Name) {
        self.scopes
            .last_mut()
            .expect("a function has a scope")
            .insert(name.to_string(), what);
    }

    fn declare_register(&mut self, name: &str, ty: Type) {
        let register = self.register(Width::of(ty));
        self.declare(name, Name::Register(register));
    }

    fn variable(&mut self, variable: &'m ast::Variable) -> Result<()> {
        self.site.line = variable.line;
        let place = match variable.space {
            Space::Shared => {
                let at = self.kernel.place_shared(variable);
                Place {
                    space: Space::Shared,
                    address: at,
                    bytes: variable.bytes(),
                }
            }
            Space::Local | Space::Param => {
                let at = self.local_bytes.next_multiple_of(variable.align.max(1));
                self.set_local_bytes(at + variable.bytes())?;
                Place {
                    space: Space::Local,
                    address: at,
                    bytes: variable.bytes(),
                }
            }
            space => {
                return Err(self.error(format!(
                    "variables of {space:?} memory inside a function are not supported"
                )));
            }
        };
        self.declare(&variable.name, Name::Variable(place));
        Ok(())
    }

    /// An error at the instruction being lowered.
    pub fn error(&self, message: String) -> LoadError {
        LoadError {
            line: self.site.line,
            message,
        }
    }

    /// A new register.
    pub fn register(&mut self, width: Width) -> u32 {
        self.registers.push(width);
        self.registers.len() as u32 - 1
    }

    /// A new register as a value.
    pub fn temporary(&mut self, width: Width) -> Arg {
        Arg::Reg(self.register(width))
    }

    fn find(&self, name: &str) -> Option<&Name> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// Where the variable called `name` lies, if there is one.
    pub fn place(&mut self, name: &str) -> Option<Place> {
        if let Some(found) = self.find(name) {
            return match found {
                Name::Variable(place) => Some(*place),
                Name::Register(_) => None,
            };
        }
        let variable = self
            .kernel
            .module
            .variables
            .iter()
            .find(|variable| variable.name == name)?;
        let bytes = variable.bytes();
        if variable.space == Space::Shared {
            let address = match self.kernel.shared.get(name) {
                Some(address) => *address,
                None => {
                    let at = self.kernel.place_shared(variable);
                    self.kernel.shared.insert(name.to_string(), at);
                    at
                }
            };
            return Some(Place {
                space: Space::Shared,
                address,
                bytes,
            });
        }
        let address = *self.kernel.variables.get(name)?;
        Some(Place {
            space: variable.space,
            address,
            bytes,
        })
    }

    /// The address of a place, as a 64-bit value (32-bit users narrow it).
    pub fn address_of(&mut self, place: Place, offset: i64) -> Arg {
        match place.space {
            Space::Local if !self.entry => {
                let to = self.temporary(Width::Long);
                self.emit(isa::address::LOCAL_ADDRESS, Class::Move, &[d(to)])
                    .imm = (place.address as i64).wrapping_add(offset);
                to
            }
            // Dynamic shared memory begins where the static one ends, which is known once the whole kernel is lowered.
            Space::Shared if place.address == u64::MAX => self
                .kernel
                .constant(Constant::Param {
                    offset: DYNAMIC_SHARED,
                    bytes: 8,
                    signed: false,
                    long: true,
                })
                .offset_by(self, offset),
            _ => self
                .kernel
                .constant(Constant::Long(place.address.wrapping_add_signed(offset))),
        }
    }

    /// Adds an instruction under the current guard.
    pub fn emit(&mut self, exec: Exec, class: Class, slots: &[Slot]) -> &mut Proto {
        self.protos.push(Proto {
            exec,
            guard: self.guard,
            slots: slots.to_vec(),
            inline: 4,
            extra: Vec::new(),
            imm: 0,
            class,
            bytes: 0,
            control: Control::None,
            site: self.site,
        });
        self.protos.last_mut().expect("just pushed")
    }

    fn width_of(&self, arg: Arg) -> Option<Width> {
        match arg {
            Arg::Reg(register) => Some(self.registers[register as usize]),
            _ => None,
        }
    }

    /// The register called `name`.
    pub fn register_named(&self, name: &str) -> Option<u32> {
        match self.find(name) {
            Some(Name::Register(register)) => Some(*register),
            _ => None,
        }
    }

    /// An operand as a value of type `ty`; a register must have just that width.
    pub fn source(&mut self, operand: &Operand, ty: Type) -> Result<Arg> {
        let arg = self.any_source(operand, ty)?;
        match self.width_of(arg) {
            Some(width) if width != Width::of(ty) => Err(self.error(format!(
                "{} is wider or narrower than {ty:?}",
                describe(operand)
            ))),
            _ => Ok(arg),
        }
    }

    /// An operand as a value of type `ty`; a wider register gives its low bits (loads, stores and conversions allow it).
    pub fn relaxed_source(&mut self, operand: &Operand, ty: Type) -> Result<Arg> {
        let arg = self.any_source(operand, ty)?;
        match (self.width_of(arg), Width::of(ty)) {
            (Some(Width::Long), Width::Word) => {
                let to = self.temporary(Width::Word);
                self.emit(unary(|a: u64| a as u32), Class::None, &[d(to), u(arg)]);
                Ok(to)
            }
            (Some(have), want) if have != want => Err(self.error(format!(
                "{} cannot hold a value of {ty:?}",
                describe(operand)
            ))),
            _ => Ok(arg),
        }
    }

    fn any_source(&mut self, operand: &Operand, ty: Type) -> Result<Arg> {
        Ok(match operand {
            Operand::Name(name) => {
                if let Some(register) = self.register_named(name) {
                    return Ok(Arg::Reg(register));
                }
                if let Some(arg) = isa::special::read(self, name, ty)? {
                    return Ok(arg);
                }
                if let Some(place) = self.place(name) {
                    let address = self.address_of(place, 0);
                    return self.fit_address(address, ty);
                }
                if let Some(address) = self.kernel.module.function_address(name) {
                    return Ok(self.literal(address, ty));
                }
                return Err(self.error(format!("{name} is not declared")));
            }
            Operand::Offset { name, offset } => {
                let Some(place) = self.place(name) else {
                    return Err(self.error(format!("{name} is not declared")));
                };
                let address = self.address_of(place, *offset);
                return self.fit_address(address, ty);
            }
            Operand::Not(name) => {
                let Some(register) = self.register_named(name) else {
                    return Err(self.error(format!("{name} is not a predicate")));
                };
                let to = self.temporary(Width::Pred);
                let exec = crate::machine::rows::logic(|a, _| !a);
                self.emit(
                    exec,
                    Class::None,
                    &[d(to), u(Arg::Reg(register)), u(Arg::Reg(register))],
                );
                to
            }
            // Zero is zero either way; of another integer it is not clear whether its bits or its value are meant.
            Operand::Int(bits) if *bits != 0 && matches!(ty, Type::F32 | Type::F64) => {
                return Err(self.error(format!(
                    "{} is an integer, not a number of type {ty:?}",
                    describe(operand)
                )));
            }
            Operand::Int(bits) => self.literal(*bits, ty),
            Operand::F32(bits) => match ty {
                Type::F64 => self.literal((f32::from_bits(*bits) as f64).to_bits(), ty),
                _ => self.literal(*bits as u64, ty),
            },
            Operand::F64(bits) => match ty {
                Type::F32 => self.literal((f64::from_bits(*bits) as f32).to_bits() as u64, ty),
                _ => self.literal(*bits, ty),
            },
            other => return Err(self.error(format!("{} cannot stand here", describe(other)))),
        })
    }

    fn fit_address(&mut self, address: Arg, ty: Type) -> Result<Arg> {
        match Width::of(ty) {
            Width::Long => Ok(address),
            Width::Word => {
                let to = self.temporary(Width::Word);
                self.emit(unary(|a: u64| a as u32), Class::None, &[d(to), u(address)]);
                Ok(to)
            }
            Width::Pred => Err(self.error("an address is not a predicate".to_string())),
        }
    }

    /// A literal's row.
    pub fn literal(&mut self, bits: u64, ty: Type) -> Arg {
        self.kernel.constant(match Width::of(ty) {
            Width::Pred => Constant::Pred(bits != 0),
            Width::Word => Constant::Word(bits as u32),
            Width::Long => Constant::Long(bits),
        })
    }

    /// An operand that is written with a value of type `ty`.
    pub fn dest(&mut self, operand: &Operand, ty: Type) -> Result<Arg> {
        match operand {
            Operand::Sink => Ok(self.temporary(Width::of(ty))),
            Operand::Name(name) => match self.register_named(name) {
                Some(register) if self.registers[register as usize] == Width::of(ty) => {
                    Ok(Arg::Reg(register))
                }
                Some(_) => Err(self.error(format!("{name} is wider or narrower than {ty:?}"))),
                None => Err(self.error(format!("{name} is not a register"))),
            },
            other => Err(self.error(format!("{} cannot be written", describe(other)))),
        }
    }

    /// An operand that is written with a value of type `ty`; a wider register is filled up with zeros or the sign, by what
    /// [`Lower::widen`] adds after the instruction.
    pub fn relaxed_dest(&mut self, operand: &Operand, ty: Type) -> Result<(Arg, Option<Arg>)> {
        if let Operand::Name(name) = operand
            && let Some(register) = self.register_named(name)
            && self.registers[register as usize] == Width::Long
            && Width::of(ty) == Width::Word
        {
            return Ok((self.temporary(Width::Word), Some(Arg::Reg(register))));
        }
        Ok((self.dest(operand, ty)?, None))
    }

    /// Fills the wider register that [`Lower::relaxed_dest`] was given.
    pub fn widen(&mut self, from: Arg, to: Option<Arg>, ty: Type) {
        let Some(to) = to else { return };
        let exec = if ty.signed() {
            unary(|a: u32| a as i32 as i64 as u64)
        } else {
            unary(|a: u32| a as u64)
        };
        self.emit(exec, Class::None, &[d(to), u(from)]);
    }

    /// The two predicates of `p|q`, or one.
    pub fn pair(&mut self, operand: &Operand) -> Result<(Arg, Option<Arg>)> {
        match operand {
            Operand::Pair(p, q) => {
                let q = if **q == Operand::Sink {
                    None
                } else {
                    Some(self.dest(q, Type::Pred)?)
                };
                Ok((self.dest(p, Type::Pred)?, q))
            }
            other => Ok((self.dest(other, Type::Pred)?, None)),
        }
    }

    /// The elements of `{a, b}`, or the operand itself.
    pub fn elements<'o>(&self, operand: &'o Operand) -> Vec<&'o Operand> {
        match operand {
            Operand::Vector(elements) | Operand::Group(elements) => elements.iter().collect(),
            other => vec![other],
        }
    }

    /// Takes the operands apart, which must be `N`.
    pub fn operands<'o, const N: usize>(
        &self,
        instruction: &'o Instruction,
    ) -> Result<[&'o Operand; N]> {
        let all: Vec<&Operand> = instruction.operands.iter().collect();
        let found = all.len();
        all.try_into().map_err(|_| {
            self.error(format!(
                "{} takes {N} operands, here are {found}",
                instruction.opcode
            ))
        })
    }

    /// The error for a form that nobody knows.
    pub fn unknown(&self, instruction: &Instruction) -> LoadError {
        self.error(format!("unknown instruction form {}", instruction.opcode))
    }

    /// A label of the lowering's own.
    pub fn fresh_label(&mut self) -> String {
        self.fresh_labels += 1;
        // A space keeps it apart from every name of the text.
        format!("{} fresh", self.fresh_labels)
    }

    /// The labels of a `.branchtargets` list.
    pub fn branch_list(&self, name: &str) -> Option<&Vec<String>> {
        self.branch_lists.get(name)
    }

    /// Runs `body` without the current guard, branching around it where the guard does not hold.
    pub fn guarded_by_branch(&mut self, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let Some((register, negated)) = self.guard else {
            return body(self);
        };
        let label = self.fresh_label();
        self.guard = Some((register, !negated));
        self.emit(isa::control::BRANCH, Class::Branch, &[]).control =
            Control::Branch(vec![label.clone()]);
        self.guard = None;
        body(self)?;
        self.labels.insert(label, self.protos.len());
        Ok(())
    }

    fn instruction(&mut self, instruction: &'m Instruction) -> Result<()> {
        self.site = Site {
            line: instruction.line,
            location: instruction.location,
        };
        self.guard = match &instruction.guard {
            None => None,
            Some(Guard { name, negated }) => match self.register_named(name) {
                Some(register) if self.registers[register as usize] == Width::Pred => {
                    Some((register, *negated))
                }
                _ => return Err(self.error(format!("{name} is not a predicate"))),
            },
        };
        let mut opcode = Opcode::new(&instruction.opcode);
        isa::lower(self, &mut opcode, instruction)?;
        if !opcode.spent() {
            return Err(self.unknown(instruction));
        }
        self.guard = None;
        Ok(())
    }

    /// Lanes may run the last instruction in groups: they meet again behind it.
    pub fn needs_join(&mut self) {
        self.joins_after.push(self.protos.len() - 1);
    }

    /// The predicate that holds the carry of extended-precision arithmetic.
    pub fn carry_register(&mut self) -> Arg {
        match self.carry {
            Some(carry) => carry,
            None => {
                let carry = self.temporary(Width::Pred);
                self.carry = Some(carry);
                carry
            }
        }
    }

    /// A call goes wherever a pointer leads.
    pub fn call_anything(&mut self) {
        self.kernel.call_anything();
    }

    /// The function that a call names.
    pub fn callee(&mut self, name: &str) -> Option<(u32, &'m Function)> {
        self.kernel.callee(name)
    }
}

/// The offset that stands for "where dynamic shared memory begins" in a parameter constant: no kernel has so many parameters.
pub const DYNAMIC_SHARED: u32 = u32::MAX;

impl Arg {
    fn offset_by(self, lower: &mut Lower, offset: i64) -> Arg {
        if offset == 0 {
            return self;
        }
        let by = lower.kernel.constant(Constant::Long(offset as u64));
        let to = lower.temporary(Width::Long);
        lower.emit(
            binary(|a: u64, b: u64| a.wrapping_add(b)),
            Class::None,
            &[d(to), u(self), u(by)],
        );
        to
    }
}

/// The generic address of a place.
pub fn window(space: Space) -> u64 {
    match space {
        Space::Shared => SHARED_WINDOW,
        Space::Local => crate::machine::access::LOCAL_WINDOW,
        Space::Param => PARAM_WINDOW,
        _ => 0,
    }
}

/// An operand in words.
pub fn describe(operand: &Operand) -> String {
    match operand {
        Operand::Name(name) => name.clone(),
        Operand::Not(name) => format!("!{name}"),
        Operand::Int(bits) => (*bits as i64).to_string(),
        Operand::F32(bits) => f32::from_bits(*bits).to_string(),
        Operand::F64(bits) => f64::from_bits(*bits).to_string(),
        Operand::Address { .. } => "an address".to_string(),
        Operand::Vector(_) => "a vector".to_string(),
        Operand::Pair(..) => "a pair".to_string(),
        Operand::Group(_) => "a list".to_string(),
        Operand::Offset { name, offset } => format!("{name}{offset:+}"),
        Operand::Sink => "_".to_string(),
    }
}
