//! Tensor-core operations and the loads that feed them.

use super::address::{SHORT, address, addresses};
use crate::code::lower::{Lower, d, u};
use crate::code::opcode::Opcode;
use crate::code::{Class, Instr, NO_ROW};
use crate::machine::access::{Place, SharedMemory, lanes};
use crate::machine::global::Access;
use crate::machine::rows::{Exec, Flow, LANES};
use crate::machine::warp::Warp;
use crate::module::LoadError;
use crate::ptx::ast::{Instruction, Operand, Space, Type};
use crate::tensor::{Arch, Kind, mma, mma_f64};

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    if !op.flag("sync") || !op.flag("aligned") {
        return Err(l.unknown(i));
    }
    match op.base {
        "mma" => multiply(l, op, i),
        "ldmatrix" | "stmatrix" => matrices(l, op, i),
        "movmatrix" => {
            if !op.flag("m8n8") || !op.flag("trans") || op.only() != Some(Type::B16) {
                return Err(l.unknown(i));
            }
            let [to, from] = l.operands(i)?;
            let slots = [d(l.dest(to, Type::B32)?), u(l.source(from, Type::B32)?)];
            l.emit(transpose, Class::Shuffle, &slots);
            Ok(())
        }
        _ => Err(l.unknown(i)),
    }
}

fn multiply(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let Some(shape) = op.prefixed("m") else {
        return Err(l.unknown(i));
    };
    if !op.flag("row") || !op.flag("col") {
        return Err(l.unknown(i));
    }
    let [to, a, b, c] = l.operands(i)?;
    let fragments = [to, a, b, c].map(|operand| {
        l.elements(operand)
            .into_iter()
            .cloned()
            .collect::<Vec<Operand>>()
    });
    if shape == "m8n8k4" && op.types == [Type::F64; 4] {
        let [to, a, b, c] = &fragments;
        if [to.len(), a.len(), b.len(), c.len()] != [2, 1, 1, 2] {
            return Err(l.unknown(i));
        }
        let mut slots = Vec::new();
        for operand in to {
            slots.push(d(l.dest(operand, Type::F64)?));
        }
        for operand in a.iter().chain(b).chain(c) {
            slots.push(u(l.source(operand, Type::F64)?));
        }
        l.emit(multiply_f64, Class::Tensor, &slots).inline = 0;
        return Ok(());
    }
    let kind = match op.types[..] {
        [d, a, b, c] => Kind::new(shape, d, a, b, c),
        _ => None,
    };
    let Some(kind) = kind else {
        return Err(l.unknown(i));
    };
    let counts = [
        kind.c_registers(),
        kind.a_registers(),
        kind.b_registers(),
        kind.c_registers(),
    ];
    if fragments.each_ref().map(Vec::len) != counts {
        return Err(l.error(format!(
            "{} takes fragments of {counts:?} registers",
            i.opcode
        )));
    }
    let [to, a, b, c] = &fragments;
    let mut slots = Vec::new();
    // Some front ends keep fragments in float registers: a row is a row.
    for operand in to {
        slots.push(d(l.dest(operand, Type::B32)?));
    }
    for operand in a.iter().chain(b) {
        slots.push(u(l.source(operand, Type::B32)?));
    }
    for operand in c {
        slots.push(u(l.source(operand, kind.sum())?));
    }
    let index = Kind::ALL
        .iter()
        .position(|known| *known == kind)
        .expect("one of all kinds");
    let proto = l.emit(MULTIPLY[index], Class::Tensor, &slots);
    proto.inline = 0;
    proto.bytes = index as u8;
    Ok(())
}

const MULTIPLY: [Exec; 8] = [
    multiply_exec::<0>,
    multiply_exec::<1>,
    multiply_exec::<2>,
    multiply_exec::<3>,
    multiply_exec::<4>,
    multiply_exec::<5>,
    multiply_exec::<6>,
    multiply_exec::<7>,
];

/// All lanes of the warp take part, or the operation is not defined.
fn whole(w: &mut Warp, mask: u32) -> Option<Flow> {
    (!w.all_here(mask, u32::MAX)).then_some(Flow::WaitLanes)
}

unsafe fn multiply_exec<const KIND: usize>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    if let Some(flow) = whole(w, mask) {
        return flow;
    }
    let kind = Kind::ALL[KIND];
    let (na, nb, nc) = (kind.a_registers(), kind.b_registers(), kind.c_registers());
    let rows = &w.code().wide[i.more as usize..][..na + nb + 2 * nc];
    // SAFETY: the rows are the instruction's own; the block is only read.
    unsafe {
        let block = w.block();
        let arch = Arch::of(block.launch().options.capability);
        let mut all = [[0u32; LANES]; 10];
        for (to, row) in all.iter_mut().zip(&rows[nc..]) {
            *to = w.load(*row);
        }
        let (a, rest) = all.split_at(na);
        let (b, rest) = rest.split_at(nb);
        let mut sums = [[0u32; LANES]; 4];
        mma(kind, arch, a, b, &rest[..nc], &mut sums[..nc]);
        for (row, sum) in rows[..nc].iter().zip(&sums) {
            w.store(*row, sum, mask);
        }
        if block.launch().options.count {
            let fmas = 16 * 8 * kind.k() as u64;
            match kind.element() {
                Type::Tf32 => block.counts().tensor_fmas_tf32 += fmas,
                _ => block.counts().tensor_fmas_half += fmas,
            }
        }
    }
    Flow::Next
}

unsafe fn multiply_f64(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    if let Some(flow) = whole(w, mask) {
        return flow;
    }
    let [d0, d1, a, b, c0, c1] = w.code().wide[i.more as usize..][..6] else {
        unreachable!("six operands")
    };
    // SAFETY: the rows are the instruction's own.
    unsafe {
        let (a, b): ([u64; LANES], [u64; LANES]) = (w.load(a), w.load(b));
        let c: [[u64; LANES]; 2] = [w.load(c0), w.load(c1)];
        let mut to = [[0; LANES]; 2];
        mma_f64(&a, &b, &c, &mut to);
        w.store(d0, &to[0], mask);
        w.store(d1, &to[1], mask);
        let block = w.block();
        if block.launch().options.count {
            block.counts().tensor_fmas_f64 += 8 * 8 * 4;
        }
    }
    Flow::Next
}

/// ldmatrix, stmatrix: 8 x 8 matrices of 16-bit elements, a row at each address; those of lanes 0 to 7 are the first matrix.
fn matrices(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let load = op.base == "ldmatrix";
    let count = match op.one_of(&["x1", "x2", "x4"]) {
        Some("x1") => 1,
        Some("x2") => 2,
        Some(_) => 4,
        None => return Err(l.unknown(i)),
    };
    let transposed = op.flag("trans");
    if !op.flag("m8n8")
        || !(op.flag("shared") || op.flag("shared::cta"))
        || op.only() != Some(Type::B16)
    {
        return Err(l.unknown(i));
    }
    let (registers, at) = match l.operands(i)? {
        [registers, at] if load => (registers, at),
        [at, registers] => (registers, at),
    };
    let at = address(l, at, Space::Shared)?;
    let registers: Vec<Operand> = l.elements(registers).into_iter().cloned().collect();
    if registers.len() != count {
        return Err(l.error(format!(
            "{} takes {count} registers, here are {}",
            i.opcode,
            registers.len()
        )));
    }
    let mut slots = vec![u(at.arg)];
    for operand in &registers {
        slots.push(if load {
            d(l.dest(operand, Type::B32)?)
        } else {
            u(l.source(operand, Type::B32)?)
        });
    }
    let exec: Exec = match (load, transposed) {
        (true, false) => load_matrices::<false>,
        (true, true) => load_matrices::<true>,
        (false, false) => store_matrices::<false>,
        (false, true) => store_matrices::<true>,
    };
    let proto = l.emit(
        exec,
        if load {
            Class::SharedLoad
        } else {
            Class::SharedStore
        },
        &slots,
    );
    proto.inline = 1;
    proto.imm = at.offset;
    proto.bytes = count as u8 | if at.short { SHORT } else { 0 };
    Ok(())
}

/// Lanes whose addresses count.
fn addressing(count: usize) -> u32 {
    if count == 4 {
        u32::MAX
    } else {
        (1 << (8 * count)) - 1
    }
}

unsafe fn load_matrices<const TRANSPOSED: bool>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    if let Some(flow) = whole(w, mask) {
        return flow;
    }
    let count = (i.bytes & !SHORT) as usize;
    // SAFETY: the rows are the instruction's own, pointers come from `resolve`.
    unsafe {
        let at = addresses(w, i);
        let Ok(pointers) = SharedMemory::resolve(w, &at, addressing(count), 16, Access::Read)
        else {
            return Flow::Fault;
        };
        for matrix in 0..count {
            let row = w.code().wide[i.more as usize + matrix];
            if row == NO_ROW {
                continue;
            }
            let rows: [*const u16; 8] =
                std::array::from_fn(|r| pointers[8 * matrix + r].cast_const().cast());
            let mut values = [0u32; LANES];
            if TRANSPOSED {
                for lane in 0..LANES {
                    let (r, c) = (lane % 4 * 2, lane / 4);
                    let (low, high) = (
                        rows[r].add(c).read_unaligned(),
                        rows[r + 1].add(c).read_unaligned(),
                    );
                    values[lane] = low as u32 | (high as u32) << 16;
                }
            } else {
                for lane in 0..LANES {
                    values[lane] = rows[lane / 4].cast::<u32>().add(lane % 4).read_unaligned();
                }
            }
            w.store(row, &values, mask);
        }
    }
    Flow::Next
}

unsafe fn store_matrices<const TRANSPOSED: bool>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    if let Some(flow) = whole(w, mask) {
        return flow;
    }
    let count = (i.bytes & !SHORT) as usize;
    // SAFETY: the rows are the instruction's own, pointers come from `resolve`.
    unsafe {
        let at = addresses(w, i);
        let Ok(pointers) = SharedMemory::resolve(w, &at, addressing(count), 16, Access::Write)
        else {
            return Flow::Fault;
        };
        for matrix in 0..count {
            let values: [u32; LANES] = w.load(w.code().wide[i.more as usize + matrix]);
            let rows: [*mut u16; 8] = std::array::from_fn(|r| pointers[8 * matrix + r].cast());
            for lane in lanes(mask) {
                let value = values[lane];
                if TRANSPOSED {
                    let (r, c) = (lane % 4 * 2, lane / 4);
                    rows[r].add(c).write_unaligned(value as u16);
                    rows[r + 1].add(c).write_unaligned((value >> 16) as u16);
                } else {
                    rows[lane / 4]
                        .cast::<u32>()
                        .add(lane % 4)
                        .write_unaligned(value);
                }
            }
        }
    }
    Flow::Next
}

/// movmatrix: the transpose of one 8 x 8 matrix across the warp's registers.
unsafe fn transpose(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    if let Some(flow) = whole(w, mask) {
        return flow;
    }
    // SAFETY: the rows are the instruction's own.
    unsafe {
        let from: [u32; LANES] = w.load(i.args[1]);
        let element = |r: usize, c: usize| from[r * 4 + c / 2] >> (16 * (c % 2)) & 0xFFFF;
        let to: [u32; LANES] = std::array::from_fn(|lane| {
            let (r, c) = (lane / 4, lane % 4 * 2);
            element(c, r) | element(c + 1, r) << 16
        });
        w.store(i.args[0], &to, mask);
    }
    Flow::Next
}
