//! The last step to executable code: instructions in their places, joins between them, rows and targets as numbers.

use std::collections::{BTreeSet, HashMap};

use super::allocate::allocate;
use super::flow::analyse;
use super::lower::{Arg, Control, Kernel, Lower, Proto, signature};
use super::{CONST, Class, Code, FunctionCode, Instr, NO_ROW, Row};
use crate::isa::control::{BRANCH, JOIN};
use crate::module::LoadError;
use crate::ptx::ast::Space;

/// A kernel's code and what its resources are.
pub struct Assembled {
    /// The code.
    pub code: Code,
    /// 32-bit registers alive at once, at most.
    pub pressure: u32,
    /// Bytes of static shared memory.
    pub shared: u32,
}

/// Lowers and assembles a kernel and the functions that it calls.
pub fn kernel(mut shared: Kernel) -> Result<Assembled, LoadError> {
    let mut code = Code {
        name: shared.functions[0].name.clone(),
        instrs: Vec::new(),
        sites: Vec::new(),
        wide: Vec::new(),
        constants: Vec::new(),
        constant_bytes: 0,
        functions: Vec::new(),
        files: shared.module.files.clone(),
        ordered: false,
        granule: 2,
        global_granule: 2,
        partial_order: false,
        swaps: false,
        const_ranges: constant_variables(&shared),
    };
    let mut pressure = 0;
    let mut index = 0;
    // The list grows as calls are met.
    while index < shared.functions.len() {
        let function = shared.functions[index];
        let mut lowered = Lower::function(&mut shared, function)?;
        super::data::settle(&mut lowered);
        for proto in &lowered.protos {
            if let Control::Branch(targets) = &proto.control
                && let Some(missing) = targets
                    .iter()
                    .find(|label| !lowered.labels.contains_key(*label))
            {
                return Err(LoadError {
                    line: proto.site.line,
                    message: format!("there is no label {missing}"),
                });
            }
        }
        let used = append(&mut code, &lowered, &function.name);
        pressure = pressure.max(used);
        let (params, results, _) = signature(function);
        let last = code.functions.last_mut().expect("just appended");
        if !function.entry {
            (last.params, last.results) = (params, results);
            last.address = shared.module.function_address(&function.name).unwrap_or(0);
        }
        index += 1;
    }
    code.constants = shared.constants;
    code.constant_bytes = shared.constant_bytes;
    code.ordered = shared.ordered;
    code.granule = shared.granule;
    code.global_granule = shared.global_granule;
    code.partial_order = shared.named_barriers || shared.fences && shared.meetings;
    code.swaps = shared.swaps;
    let bytes = shared
        .shared_bytes
        .next_multiple_of(shared.dynamic_align.max(1));
    let Ok(bytes) = u32::try_from(bytes) else {
        let line = shared.functions[0].line;
        return Err(LoadError {
            line,
            message: "more than 4 GiB of shared memory".to_string(),
        });
    };
    // The padding before dynamic shared memory is only there if there is such memory; the launch rounds up likewise.
    let shared_bytes = if shared.dynamic_align > 16 {
        bytes
    } else {
        shared.shared_bytes as u32
    };
    Ok(Assembled {
        code,
        pressure,
        shared: shared_bytes,
    })
}

fn constant_variables(shared: &Kernel) -> Vec<(u64, u64)> {
    let constant = shared
        .module
        .variables
        .iter()
        .filter(|variable| variable.space == Space::Const);
    constant
        .filter_map(|variable| {
            shared
                .variables
                .get(&variable.name)
                .map(|at| (*at, at + variable.bytes()))
        })
        .collect()
}

/// Appends a function. Returns its registers alive at once.
fn append(code: &mut Code, lowered: &Lower, name: &str) -> u32 {
    let protos = &lowered.protos;
    let end = protos.len() - 1;
    let flow = analyse(protos, &lowered.labels);
    let rows = allocate(protos, &flow, &lowered.registers);
    let row = |arg: Arg| -> Row {
        match arg {
            Arg::Reg(register) => rows.offsets[register as usize],
            Arg::Const(offset) => CONST | offset,
            Arg::None => NO_ROW,
        }
    };
    // In a kernel, lanes that part for good (one way leads to nothing but the exit) do not wait for each other: they may be at
    // different barriers' sides.
    let joins: HashMap<usize, usize> = flow
        .joins
        .iter()
        .map(|(branch, join)| {
            let leaves = lowered.entry
                && protos[*join].control == Control::Return
                && protos[*join].guard.is_none();
            (*branch, if leaves { end } else { *join })
        })
        .collect();
    let mut meeting: BTreeSet<usize> = joins
        .values()
        .copied()
        .filter(|join| *join != end)
        .collect();
    meeting.extend(
        lowered
            .joins_after
            .iter()
            .map(|index| index + 1)
            .filter(|index| *index != end),
    );
    let first = code.instrs.len() as u32;
    let mut places = Vec::with_capacity(protos.len());
    let mut next = first;
    for index in 0..protos.len() {
        places.push(next);
        next += 1 + meeting.contains(&index) as u32;
    }
    for (index, proto) in protos.iter().enumerate() {
        if meeting.contains(&index) {
            code.instrs.push(plain(JOIN));
            code.sites.push(proto.site);
        }
        let place = |label: &str| places[lowered.labels[label].min(end)];
        let join = joins.get(&index).map(|join| places[*join]);
        code.instrs.push(instruction(
            &mut code.wide,
            proto,
            &row,
            &place,
            join,
            places[end],
        ));
        code.sites.push(proto.site);
    }
    code.functions.push(FunctionCode {
        name: name.to_string(),
        address: 0,
        entry: first,
        end: places[end],
        frame: rows.bytes,
        local: (lowered.local_bytes as u32).next_multiple_of(16),
        params: Vec::new(),
        results: Vec::new(),
    });
    rows.pressure
}

fn plain(exec: crate::machine::rows::Exec) -> Instr {
    Instr {
        exec,
        args: [NO_ROW; 4],
        imm: 0,
        more: 0,
        guard: NO_ROW,
        negated: false,
        class: Class::None,
        bytes: 0,
    }
}

fn instruction(
    wide: &mut Vec<u32>,
    proto: &Proto,
    row: &impl Fn(Arg) -> Row,
    place: &impl Fn(&str) -> u32,
    join: Option<u32>,
    end: u32,
) -> Instr {
    let mut args = [NO_ROW; 4];
    for (arg, slot) in args
        .iter_mut()
        .zip(&proto.slots[..proto.slots.len().min(proto.inline)])
    {
        *arg = row(slot.arg);
    }
    let mut more = wide.len() as u32;
    let mut imm = proto.imm;
    match &proto.control {
        Control::Branch(targets) if std::ptr::fn_addr_eq(proto.exec, BRANCH) => {
            more = place(&targets[0]);
            imm = join.unwrap_or(end) as i64;
        }
        Control::Branch(targets) => {
            wide.extend(targets.iter().map(|label| place(label)));
            imm = (targets.len() as i64) << 32 | join.unwrap_or(end) as i64;
        }
        Control::Return if std::ptr::fn_addr_eq(proto.exec, BRANCH) => {
            more = end;
            imm = join.unwrap_or(end) as i64;
        }
        _ => {
            wide.extend(
                proto
                    .slots
                    .iter()
                    .skip(proto.inline)
                    .map(|slot| row(slot.arg)),
            );
            wide.extend(&proto.extra);
        }
    }
    let (guard, negated) = match proto.guard {
        Some((register, negated)) => (row(Arg::Reg(register)), negated),
        None => (NO_ROW, false),
    };
    Instr {
        exec: proto.exec,
        args,
        imm,
        more,
        guard,
        negated,
        class: proto.class,
        bytes: proto.bytes,
    }
}
