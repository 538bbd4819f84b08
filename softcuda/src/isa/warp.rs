//! Exchanges within a warp: shuffles, votes, matches, reductions. The operations wait for all lanes that their mask names.

use crate::code::lower::{Lower, Width, d, u};
use crate::code::opcode::Opcode;
use crate::code::{Class, Instr, NO_ROW};
use crate::machine::access::lanes;
use crate::machine::rows::{Exec, Flow, LANES};
use crate::machine::warp::Warp;
use crate::module::LoadError;
use crate::ptx::ast::{Instruction, Type};
use crate::report::{FaultKind, FindingKind};

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let sync = op.flag("sync");
    match op.base {
        "activemask" => {
            let [to] = l.operands(i)?;
            let to = l.dest(to, Type::B32)?;
            if op.only() != Some(Type::B32) {
                return Err(l.unknown(i));
            }
            l.emit(activemask, Class::Shuffle, &[d(to)]);
            return Ok(());
        }
        _ if !sync => return Err(l.error(format!("{} without .sync ended with sm_70", i.opcode))),
        _ => {}
    }
    match op.base {
        "shfl" => shuffle(l, op, i),
        "vote" => vote(l, op, i),
        "match" => matching(l, op, i),
        "redux" => redux(l, op, i),
        "elect" => elect(l, i),
        _ => Err(l.unknown(i)),
    }
}

/// The lanes that an operation names and that it runs with, or what to return instead. Operands: the row of the mask.
///
/// # Safety
/// The row is a word of the warp's.
#[inline(always)]
pub(super) unsafe fn meet(w: &mut Warp, row: u32, mask: u32) -> std::result::Result<u32, Flow> {
    // SAFETY: the caller's promise.
    let masks: [u32; LANES] = unsafe { w.load(row) };
    let first = mask.trailing_zeros() as usize;
    let named = masks[first];
    let mut same = true;
    for l in 0..LANES {
        same &= mask >> l & 1 == 0 || masks[l] == named;
    }
    if !same {
        return Err(groups(w, &masks, mask));
    }
    if mask & !named != 0 {
        return Err(not_named(w, mask, named));
    }
    if !w.all_here(mask, named) {
        return Err(Flow::WaitLanes);
    }
    Ok(named)
}

#[cold]
fn not_named(w: &mut Warp, mask: u32, named: u32) -> Flow {
    let lane = (mask & !named).trailing_zeros();
    let text = format!("lane {lane} runs an operation whose mask {named:#010x} does not name it");
    w.finding(FindingKind::Divergence, lane, &text);
    w.fail(FaultKind::LaunchFailed, lane, &text)
}

/// Lanes of one instruction name different masks (or functions): each group is an operation of its own, run one after the other.
#[cold]
pub(super) fn groups<T: PartialEq + Copy>(w: &mut Warp, masks: &[T; LANES], mask: u32) -> Flow {
    let mut ways = Vec::new();
    let mut rest = mask;
    while rest != 0 {
        let named = masks[rest.trailing_zeros() as usize];
        let group = lanes(rest)
            .filter(|&l| masks[l] == named)
            .fold(0, |group, l| group | 1 << l);
        ways.push((w.pc, group));
        rest &= !group;
    }
    // Lanes under a guard that does not hold go on behind the instruction.
    if w.mask & !mask != 0 {
        ways.push((w.pc + 1, w.mask & !mask));
    }
    // They meet again behind it: the instruction after an operation of a warp's groups is always a join.
    let join = w.pc + 1;
    w.diverge(&ways, join)
}

fn shuffle(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let mode = op.one_of(&["up", "down", "bfly", "idx"]);
    let exec: Exec = match mode {
        Some("up") => shfl::<UP>,
        Some("down") => shfl::<DOWN>,
        Some("bfly") => shfl::<BUTTERFLY>,
        Some(_) => shfl::<INDEX>,
        None => return Err(l.unknown(i)),
    };
    if op.only() != Some(Type::B32) {
        return Err(l.unknown(i));
    }
    let [to, a, b, c, mask] = l.operands(i)?;
    let ty = Type::B32;
    let (to, p) = match to {
        crate::ptx::ast::Operand::Pair(to, p) => (l.dest(to, ty)?, Some(l.dest(p, Type::Pred)?)),
        to => (l.dest(to, ty)?, None),
    };
    let sources = [
        l.source(a, ty)?,
        l.source(b, ty)?,
        l.source(c, ty)?,
        l.source(mask, ty)?,
    ];
    let mut slots = vec![d(to)];
    slots.extend(sources.map(u));
    slots.push(match p {
        Some(p) => d(p),
        None => d(crate::code::lower::Arg::None),
    });
    l.emit(exec, Class::Shuffle, &slots).inline = 0;
    l.needs_join();
    Ok(())
}

const UP: u8 = 0;
const DOWN: u8 = 1;
const BUTTERFLY: u8 = 2;
const INDEX: u8 = 3;

/// d|p = a of another lane, as b and c say. The ISA's algorithm for shfl.sync.
unsafe fn shfl<const MODE: u8>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let [to, a, b, c, names, p] = w.code().wide[i.more as usize..][..6] else {
        unreachable!("six operands")
    };
    // SAFETY: the rows are the instruction's own.
    unsafe {
        let named = match meet(w, names, mask) {
            Ok(named) => named,
            Err(flow) => return flow,
        };
        let a: [u32; LANES] = w.load(a);
        let b: [u32; LANES] = w.load(b);
        let c: [u32; LANES] = w.load(c);
        let mut result = [0u32; LANES];
        let mut valid = 0u32;
        let mut sources = 0u32;
        for lane in 0..LANES {
            let bval = b[lane] & 31;
            let cval = c[lane] & 31;
            let segment = c[lane] >> 8 & 31;
            let own = lane as u32;
            let max = own & segment | cval & !segment;
            let min = own & segment;
            let (j, p) = match MODE {
                UP => (
                    own.wrapping_sub(bval),
                    own as i32 - bval as i32 >= max as i32,
                ),
                DOWN => (own + bval, own + bval <= max),
                BUTTERFLY => (own ^ bval, own ^ bval <= max),
                _ => {
                    let j = min | bval & !segment;
                    (j, j <= max)
                }
            };
            let j = if p { j & 31 } else { own };
            valid |= (p as u32) << lane;
            sources |= if mask >> lane & 1 != 0 { 1 << j } else { 0 };
            result[lane] = a[j as usize];
        }
        if sources & !(named & w.alive) != 0 && sources & !mask != 0 {
            absent(w, mask, sources & !mask);
        }
        w.store(to, &result, mask);
        if p != NO_ROW {
            w.store_pred(p, valid, mask);
        }
    }
    Flow::Next
}

#[cold]
fn absent(w: &mut Warp, mask: u32, absent: u32) {
    let lane = absent.trailing_zeros();
    let text = format!(
        "a shuffle reads from lane {lane}, which does not take part (lanes {mask:#010x} do)"
    );
    w.finding(FindingKind::Divergence, mask.trailing_zeros(), &text);
}

fn vote(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let exec: Exec = match (op.one_of(&["all", "any", "uni", "ballot"]), op.only()) {
        (Some("all"), Some(Type::Pred)) => vote_pred::<0>,
        (Some("any"), Some(Type::Pred)) => vote_pred::<1>,
        (Some("uni"), Some(Type::Pred)) => vote_pred::<2>,
        (Some("ballot"), Some(Type::B32)) => ballot,
        _ => return Err(l.unknown(i)),
    };
    let [to, p, mask] = l.operands(i)?;
    let ty = op.only().unwrap_or(Type::Pred);
    let slots = [
        d(l.dest(to, ty)?),
        u(l.source(p, Type::Pred)?),
        u(l.source(mask, Type::B32)?),
    ];
    l.emit(exec, Class::Shuffle, &slots);
    l.needs_join();
    Ok(())
}

unsafe fn vote_pred<const KIND: u8>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: the rows are the instruction's own.
    unsafe {
        if let Err(flow) = meet(w, i.args[2], mask) {
            return flow;
        }
        let bits = w.load_pred(i.args[1]) & mask;
        let holds = match KIND {
            0 => bits == mask,
            1 => bits != 0,
            _ => bits == mask || bits == 0,
        };
        w.store_pred(i.args[0], if holds { u32::MAX } else { 0 }, mask);
    }
    Flow::Next
}

unsafe fn ballot(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: the rows are the instruction's own.
    unsafe {
        if let Err(flow) = meet(w, i.args[2], mask) {
            return flow;
        }
        let bits = w.load_pred(i.args[1]) & mask;
        w.store(i.args[0], &[bits; LANES], mask);
    }
    Flow::Next
}

fn matching(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let all = match op.one_of(&["any", "all"]) {
        Some(kind) => kind == "all",
        None => return Err(l.unknown(i)),
    };
    let long = match op.only() {
        Some(Type::B32) => false,
        Some(Type::B64) => true,
        _ => return Err(l.unknown(i)),
    };
    let exec: Exec = match (all, long) {
        (false, false) => match_any::<u32>,
        (false, true) => match_any::<u64>,
        (true, false) => match_all::<u32>,
        (true, true) => match_all::<u64>,
    };
    let [to, a, mask] = l.operands(i)?;
    let (to, p) = match to {
        crate::ptx::ast::Operand::Pair(to, p) if all => {
            (l.dest(to, Type::B32)?, Some(l.dest(p, Type::Pred)?))
        }
        to => (l.dest(to, Type::B32)?, None),
    };
    let ty = if long { Type::B64 } else { Type::B32 };
    let mut slots = vec![d(to), u(l.source(a, ty)?), u(l.source(mask, Type::B32)?)];
    if let Some(p) = p {
        slots.push(d(p));
    }
    l.emit(exec, Class::Shuffle, &slots);
    l.needs_join();
    Ok(())
}

unsafe fn match_any<T: crate::machine::rows::Slot + PartialEq>(
    w: &mut Warp,
    i: &Instr,
    mask: u32,
) -> Flow {
    // SAFETY: the rows are the instruction's own.
    unsafe {
        if let Err(flow) = meet(w, i.args[2], mask) {
            return flow;
        }
        let a: [T; LANES] = w.load(i.args[1]);
        let mut result = [0u32; LANES];
        for l in lanes(mask) {
            result[l] = lanes(mask)
                .filter(|&other| a[other] == a[l])
                .fold(0, |bits, other| bits | 1 << other);
        }
        w.store(i.args[0], &result, mask);
    }
    Flow::Next
}

unsafe fn match_all<T: crate::machine::rows::Slot + PartialEq>(
    w: &mut Warp,
    i: &Instr,
    mask: u32,
) -> Flow {
    // SAFETY: the rows are the instruction's own.
    unsafe {
        if let Err(flow) = meet(w, i.args[2], mask) {
            return flow;
        }
        let a: [T; LANES] = w.load(i.args[1]);
        let first = a[mask.trailing_zeros() as usize];
        let same = lanes(mask).all(|l| a[l] == first);
        w.store(i.args[0], &[if same { mask } else { 0 }; LANES], mask);
        if i.args[3] != NO_ROW {
            w.store_pred(i.args[3], if same { u32::MAX } else { 0 }, mask);
        }
    }
    Flow::Next
}

fn redux(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    use Type::*;
    let exec: Exec = match (
        op.one_of(&["add", "min", "max", "and", "or", "xor"]),
        op.only(),
    ) {
        (Some("add"), Some(U32 | S32)) => reduce::<0>,
        (Some("min"), Some(U32)) => reduce::<1>,
        (Some("max"), Some(U32)) => reduce::<2>,
        (Some("min"), Some(S32)) => reduce::<3>,
        (Some("max"), Some(S32)) => reduce::<4>,
        (Some("and"), Some(B32)) => reduce::<5>,
        (Some("or"), Some(B32)) => reduce::<6>,
        (Some("xor"), Some(B32)) => reduce::<7>,
        _ => return Err(l.unknown(i)),
    };
    let [to, a, mask] = l.operands(i)?;
    let slots = [
        d(l.dest(to, B32)?),
        u(l.source(a, B32)?),
        u(l.source(mask, B32)?),
    ];
    l.emit(exec, Class::Shuffle, &slots);
    l.needs_join();
    Ok(())
}

unsafe fn reduce<const KIND: u8>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: the rows are the instruction's own.
    unsafe {
        if let Err(flow) = meet(w, i.args[2], mask) {
            return flow;
        }
        let a: [u32; LANES] = w.load(i.args[1]);
        let values = lanes(mask).map(|l| a[l]);
        let result = match KIND {
            0 => values.fold(0u32, |x, y| x.wrapping_add(y)),
            1 => values.fold(u32::MAX, |x, y| x.min(y)),
            2 => values.fold(0, |x, y| x.max(y)),
            3 => values.fold(i32::MAX as u32, |x, y| (x as i32).min(y as i32) as u32),
            4 => values.fold(i32::MIN as u32, |x, y| (x as i32).max(y as i32) as u32),
            5 => values.fold(u32::MAX, |x, y| x & y),
            6 => values.fold(0, |x, y| x | y),
            _ => values.fold(0, |x, y| x ^ y),
        };
        w.store(i.args[0], &[result; LANES], mask);
    }
    Flow::Next
}

fn elect(l: &mut Lower, i: &Instruction) -> Result<()> {
    let [to, mask] = l.operands(i)?;
    let (to, p) = match to {
        crate::ptx::ast::Operand::Pair(to, p) => (l.dest(to, Type::B32)?, l.dest(p, Type::Pred)?),
        p => (l.temporary(Width::Word), l.dest(p, Type::Pred)?),
    };
    let slots = [d(to), d(p), u(l.source(mask, Type::B32)?)];
    l.emit(elect_exec, Class::Shuffle, &slots);
    l.needs_join();
    Ok(())
}

unsafe fn elect_exec(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: the rows are the instruction's own.
    unsafe {
        if let Err(flow) = meet(w, i.args[2], mask) {
            return flow;
        }
        let leader = mask.trailing_zeros();
        w.store(i.args[0], &[leader; LANES], mask);
        w.store_pred(i.args[1], 1 << leader, mask);
    }
    Flow::Next
}

unsafe fn activemask(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: the row is the instruction's own.
    unsafe { w.store(i.args[0], &[w.mask; LANES], mask) };
    Flow::Next
}
