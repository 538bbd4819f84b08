//! Asynchronous copies from global to shared memory. A copy lands as late as the rules allow, when it is waited for: what is read
//! before shows what was there.

use super::address::address;
use crate::code::lower::{Arg, Lower, d, u};
use crate::code::opcode::Opcode;
use crate::code::{Class, Instr, NO_ROW};
use crate::machine::access::{Global, Place, SharedMemory, check_shared, lanes};
use crate::machine::global::Access;
use crate::machine::rows::{Flow, LANES};
use crate::machine::shadow::{PENDING, WRITTEN};
use crate::machine::warp::{Copy, CopyGroup, Warp};
use crate::module::LoadError;
use crate::ptx::ast::{Instruction, Operand, Space, Type};

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    if !op.flag("async") {
        return Err(l.unknown(i));
    }
    if op.flag("commit_group") {
        let [] = l.operands(i)?;
        l.emit(commit, Class::Async, &[]);
        return Ok(());
    }
    if op.flag("wait_all") {
        let [] = l.operands(i)?;
        l.emit(wait_all, Class::Async, &[]);
        return Ok(());
    }
    if op.flag("wait_group") {
        let [Operand::Int(groups)] = l.operands(i)? else {
            return Err(l.unknown(i));
        };
        l.emit(wait_group, Class::Async, &[]).imm = *groups as i64;
        return Ok(());
    }
    let all_levels = match op.one_of(&["ca", "cg"]) {
        Some(level) => level == "ca",
        None => return Err(l.unknown(i)),
    };
    let shared = op.flag("shared") || op.flag("shared::cta");
    if !shared || !op.flag("global") {
        return Err(l.unknown(i));
    }
    let policy = op.flag("L2::cache_hint");
    while op.prefixed("L2::").is_some() {}
    let operands = &i.operands[..i.operands.len().saturating_sub(policy as usize)];
    let (to, from, size, source) = match operands {
        [to, from, Operand::Int(size)] => (to, from, *size, None),
        [to, from, Operand::Int(size), source] => (to, from, *size, Some(source)),
        _ => return Err(l.unknown(i)),
    };
    if !(size == 16 || all_levels && (size == 4 || size == 8)) {
        return Err(l.error(format!("{} copies {size} bytes", i.opcode)));
    }
    let to = address(l, to, Space::Shared)?;
    let from = address(l, from, Space::Global)?;
    // The number of bytes to copy, the rest zero; or a predicate that tells to copy nothing.
    let ignore = match source {
        Some(Operand::Name(name)) => l.register_named(name).is_some_and(|register| {
            l.registers[register as usize] == crate::code::lower::Width::Pred
        }),
        _ => false,
    };
    let source = match source {
        None => Arg::None,
        Some(operand) if ignore => l.source(operand, Type::Pred)?,
        Some(operand) => l.source(operand, Type::U32)?,
    };
    // Both addresses with all their bytes added: one constant of the instruction is not enough for two.
    let to = full(l, to);
    let from = full(l, from);
    let proto = l.emit(copy, Class::Async, &[u(to), u(from), u(source)]);
    proto.imm = size as i64;
    proto.bytes = ignore as u8;
    Ok(())
}

/// An address as one 64-bit value.
fn full(l: &mut Lower, address: super::address::Address) -> Arg {
    use crate::code::lower::Width;
    use crate::machine::rows::binary;
    let mut arg = address.arg;
    if address.short {
        // The sum stays within 32 bits: a negative offset leads back.
        let by = l.literal(address.offset as u64, Type::B32);
        let to = l.temporary(Width::Long);
        l.emit(
            binary(|a: u32, b: u32| a.wrapping_add(b) as u64),
            Class::None,
            &[d(to), u(arg), u(by)],
        );
        return to;
    }
    if address.offset != 0 {
        let by = l.literal(address.offset as u64, Type::B64);
        let to = l.temporary(Width::Long);
        l.emit(
            binary(|a: u64, b: u64| a.wrapping_add(b)),
            Class::None,
            &[d(to), u(arg), u(by)],
        );
        arg = to;
    }
    arg
}

unsafe fn copy(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let size = i.imm as u32;
    // SAFETY: the rows are the instruction's own, pointers come from `resolve`.
    unsafe {
        let to: [u64; LANES] = w.load(i.args[0]);
        let from: [u64; LANES] = w.load(i.args[1]);
        let count: [u32; LANES] = match (i.args[2], i.bytes) {
            (NO_ROW, _) => [size; LANES],
            (row, 0) => w.load::<u32>(row).map(|count| count.min(size)),
            (row, _) => {
                let ignore = w.load_pred(row);
                std::array::from_fn(|l| if ignore >> l & 1 != 0 { 0 } else { size })
            }
        };
        // Where the bytes go is checked now and written when they land.
        if SharedMemory::resolve(w, &to, mask, size, Access::Write).is_err() {
            return Flow::Fault;
        }
        let reading = lanes(mask)
            .filter(|&l| count[l] > 0)
            .fold(0, |bits, l| bits | 1 << l);
        let mut data = vec![0u8; size as usize * LANES];
        // Lanes that copy all are one access; the others read less, each its own number.
        let whole = lanes(reading)
            .filter(|&l| count[l] == size)
            .fold(0u32, |bits, l| bits | 1 << l);
        let part = reading & !whole;
        let before = (part != 0).then(|| w.block().counts().clone());
        if whole != 0 {
            let Ok(pointers) = Global::resolve(w, &from, whole, size, Access::Read) else {
                return Flow::Fault;
            };
            for l in lanes(whole) {
                std::ptr::copy_nonoverlapping(
                    pointers[l],
                    data.as_mut_ptr().add(l * size as usize),
                    size as usize,
                );
            }
        }
        for l in lanes(part) {
            for byte in 0..count[l] as usize {
                let at: [u64; LANES] = std::array::from_fn(|lane| from[lane] + byte as u64);
                let Ok(pointers) = Global::resolve(w, &at, 1 << l, 1, Access::Read) else {
                    return Flow::Fault;
                };
                data[l * size as usize + byte] = pointers[l].read();
            }
        }
        let to = to.map(|to| to as u32);
        let block = w.block();
        if let Some(before) = before
            && block.launch().options.count
        {
            // These were counted byte by byte: now as the one access that they are.
            *block.counts() = before;
            let mut own: Vec<(u64, u32)> = lanes(reading).map(|l| (from[l], count[l])).collect();
            let touched = block.launch().touched;
            block.counts().global(&mut own, Access::Read, touched);
        }
        if block.launch().options.checks.initialised {
            for l in lanes(mask) {
                block.written[to[l] as usize..][..size as usize].fill(PENDING);
            }
        }
        let pc = w.pc;
        w.open_copies.push(Copy {
            mask,
            bytes: size,
            to,
            data,
            pc,
        });
    }
    Flow::Next
}

unsafe fn commit(w: &mut Warp, _: &Instr, mask: u32) -> Flow {
    let copies = take(&mut w.open_copies, mask);
    w.copy_groups.push_back(CopyGroup { mask, copies });
    Flow::Next
}

/// Takes what the lanes of `mask` have of these copies.
fn take(copies: &mut Vec<Copy>, mask: u32) -> Vec<Copy> {
    let mut taken = Vec::new();
    for copy in copies.iter_mut() {
        let theirs = copy.mask & mask;
        if theirs == copy.mask {
            let data = std::mem::take(&mut copy.data);
            taken.push(Copy { data, ..*copy });
        } else if theirs != 0 {
            taken.push(Copy {
                mask: theirs,
                data: copy.data.clone(),
                ..*copy
            });
        }
        copy.mask &= !theirs;
    }
    copies.retain(|copy| copy.mask != 0);
    taken
}

unsafe fn wait_group(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let mut keep = i.imm as usize;
    let mut landing = Vec::new();
    for group in w.copy_groups.iter_mut().rev() {
        if group.mask & mask == 0 {
            continue;
        }
        if keep > 0 {
            keep -= 1;
            continue;
        }
        landing.push(take(&mut group.copies, mask));
        group.mask &= !mask;
    }
    w.copy_groups.retain(|group| group.mask != 0);
    for copy in landing.into_iter().rev().flatten() {
        land(w, copy);
    }
    Flow::Next
}

unsafe fn wait_all(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: passed on.
    unsafe {
        commit(w, i, mask);
        wait_group(w, &Instr { imm: 0, ..*i }, mask)
    }
}

fn land(w: &mut Warp, copy: Copy) {
    // SAFETY: no other reference to the block is in use.
    let block = unsafe { w.block() };
    let checks = block.launch().options.checks;
    let size = copy.bytes as usize;
    let base = block.base();
    for l in lanes(copy.mask) {
        let at = copy.to[l] as usize;
        if checks.initialised {
            block.written[at..at + size].fill(WRITTEN);
        }
        // SAFETY: the place was checked when the copy was issued.
        unsafe {
            std::ptr::copy_nonoverlapping(copy.data.as_ptr().add(l * size), base.add(at), size)
        };
    }
    // The lanes write now, for those that read without a barrier after the wait.
    let pc = std::mem::replace(&mut w.pc, copy.pc);
    check_shared(w, &copy.to, copy.mask, copy.bytes, Access::Write);
    w.pc = pc;
}
