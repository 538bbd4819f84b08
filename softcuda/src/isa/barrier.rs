//! Barriers and fences.

use crate::code::lower::{Arg, Lower, d, u};
use crate::code::opcode::Opcode;
use crate::code::{Class, Instr, NO_ROW};
use crate::machine::access::lanes;
use crate::machine::global::Accessor;
use crate::machine::rows::{Exec, Flow, LANES};
use crate::machine::warp::{BarrierWait, Reduction, ReductionKind, Warp};
use crate::module::LoadError;
use crate::ptx::ast::{Instruction, Operand, Type};
use crate::report::FaultKind;

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let warp = op.flag("warp");
    match op.base {
        "membar" => {
            let [] = l.operands(i)?;
            let device = match op.one_of(&["cta", "gl", "sys"]) {
                Some(scope) => scope != "cta",
                None => return Err(l.unknown(i)),
            };
            l.kernel.fences = true;
            l.emit(fence, Class::Barrier, &[]).imm = device as i64;
            Ok(())
        }
        "fence" => {
            for flag in [
                "sc",
                "acq_rel",
                "acquire",
                "release",
                "mbarrier_init",
                "proxy",
                "async",
                "alias",
                "async::generic",
            ] {
                op.flag(flag);
            }
            for flag in [
                "shared::cta",
                "shared::cluster",
                "global",
                "sync_restrict::shared::cta",
            ] {
                op.flag(flag);
            }
            let device = matches!(
                op.one_of(&["cta", "cluster", "gpu", "sys"]),
                Some("gpu" | "sys" | "cluster")
            );
            l.kernel.fences = true;
            l.emit(fence, Class::Barrier, &[]).imm = device as i64;
            Ok(())
        }
        _ if warp => {
            let [mask] = l.operands(i)?;
            if !op.flag("sync") {
                return Err(l.unknown(i));
            }
            let mask = l.source(mask, Type::B32)?;
            l.emit(warp_sync, Class::Barrier, &[u(mask)]);
            l.needs_join();
            Ok(())
        }
        _ => barrier(l, op, i),
    }
}

/// Adds the fence that is part of an access which releases (before it) or acquires (after it).
pub fn emit_fence(l: &mut Lower) {
    l.kernel.fences = true;
    l.emit(fence, Class::None, &[]).imm = 1;
}

fn barrier(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    op.flag("cta");
    op.flag("aligned");
    let word = Type::B32;
    let kind = op.one_of(&["sync", "arrive", "red"]);
    let (to, rest): (Option<&Operand>, &[Operand]) = match kind {
        Some("red") => match i.operands.split_first() {
            Some((to, rest)) => (Some(to), rest),
            None => return Err(l.unknown(i)),
        },
        Some(_) => (None, &i.operands),
        None => return Err(l.unknown(i)),
    };
    if kind != Some("red") {
        let (id, threads) = match rest {
            [id] => (id, None),
            [id, threads] => (id, Some(threads)),
            _ => return Err(l.unknown(i)),
        };
        l.kernel.named_barriers |= threads.is_some();
        let id = l.source(id, word)?;
        let threads = threads
            .map(|threads| l.source(threads, word))
            .transpose()?
            .unwrap_or(Arg::None);
        let exec: Exec = match (kind, threads) {
            (Some("arrive"), Arg::None) => {
                return Err(l.error("bar.arrive needs a number of threads".to_string()));
            }
            (Some("arrive"), _) => arrive,
            _ => sync,
        };
        l.emit(exec, Class::Barrier, &[u(id), u(threads)]);
        return Ok(());
    }
    let (kind, result) = match (op.one_of(&["popc", "and", "or"]), op.only()) {
        (Some("popc"), Some(Type::U32)) => (0, Type::U32),
        (Some("and"), Some(Type::Pred)) => (1, Type::Pred),
        (Some("or"), Some(Type::Pred)) => (2, Type::Pred),
        _ => return Err(l.unknown(i)),
    };
    let (id, threads, p) = match rest {
        [id, p] => (id, None, p),
        [id, threads, p] => (id, Some(threads), p),
        _ => return Err(l.unknown(i)),
    };
    l.kernel.named_barriers |= threads.is_some();
    let to = to.expect("a reduction has a result");
    let slots = [
        d(l.dest(to, result)?),
        u(l.source(id, word)?),
        u(threads
            .map(|threads| l.source(threads, word))
            .transpose()?
            .unwrap_or(Arg::None)),
        u(l.source(p, Type::Pred)?),
    ];
    l.emit(reduce, Class::Barrier, &slots).imm = kind;
    Ok(())
}

/// Barrier and threads that the rows say, for the first lane of the mask; all lanes must agree.
unsafe fn which(
    w: &mut Warp,
    id: u32,
    threads: u32,
    mask: u32,
) -> std::result::Result<(u32, u32), Flow> {
    let first = mask.trailing_zeros() as usize;
    // SAFETY: the rows are the instruction's own.
    let (ids, threads): ([u32; LANES], [u32; LANES]) = unsafe {
        (
            w.load(id),
            if threads == NO_ROW {
                [0; LANES]
            } else {
                w.load(threads)
            },
        )
    };
    if lanes(mask).any(|l| ids[l] != ids[first] || threads[l] != threads[first]) {
        return Err(w.fail(
            FaultKind::LaunchFailed,
            first as u32,
            "lanes of a warp name different barriers",
        ));
    }
    if ids[first] > 15 {
        let text = format!("barrier {} is not one of 0 to 15", ids[first]);
        return Err(w.fail(FaultKind::LaunchFailed, first as u32, &text));
    }
    if threads[first] % LANES as u32 != 0 {
        let text = format!(
            "a barrier of {} threads, which is not a multiple of 32",
            threads[first]
        );
        return Err(w.fail(FaultKind::LaunchFailed, first as u32, &text));
    }
    Ok((ids[first], threads[first]))
}

fn count(w: &mut Warp) {
    // SAFETY: no reference to the block is held here.
    let block = unsafe { w.block() };
    if block.launch().options.count {
        block.counts().barriers += 1;
    }
}

unsafe fn sync(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    if !w.all_here(mask, u32::MAX) {
        return Flow::WaitLanes;
    }
    // SAFETY: the rows are the instruction's own.
    match unsafe { which(w, i.args[0], i.args[1], mask) } {
        Ok((barrier, threads)) => {
            count(w);
            w.waiting = Some(BarrierWait {
                barrier,
                threads,
                reduction: None,
                pc: w.pc,
            });
            w.pc += 1;
            Flow::WaitBarrier
        }
        Err(flow) => flow,
    }
}

unsafe fn arrive(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    if !w.all_here(mask, u32::MAX) {
        return Flow::WaitLanes;
    }
    // SAFETY: the rows are the instruction's own.
    match unsafe { which(w, i.args[0], i.args[1], mask) } {
        Ok((barrier, threads)) => {
            count(w);
            let index = w.index;
            // SAFETY: no other reference to the block is in use.
            unsafe { w.block() }.arrive(index, barrier, threads);
            Flow::Next
        }
        Err(flow) => flow,
    }
}

unsafe fn reduce(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    if !w.all_here(mask, u32::MAX) {
        return Flow::WaitLanes;
    }
    // SAFETY: the rows are the instruction's own.
    match unsafe { which(w, i.args[1], i.args[2], mask) } {
        Ok((barrier, threads)) => {
            count(w);
            // SAFETY: as above.
            let bits = unsafe { w.load_pred(i.args[3]) };
            let kind = [ReductionKind::Popc, ReductionKind::And, ReductionKind::Or][i.imm as usize];
            let reduction = Some(Reduction {
                kind,
                bits,
                mask,
                to: i.args[0],
            });
            w.waiting = Some(BarrierWait {
                barrier,
                threads,
                reduction,
                pc: w.pc,
            });
            w.pc += 1;
            Flow::WaitBarrier
        }
        Err(flow) => flow,
    }
}

unsafe fn warp_sync(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: the row is the instruction's own.
    let named = match unsafe { super::warp::meet(w, i.args[0], mask) } {
        Ok(named) => named,
        Err(flow) => {
            // Lanes of different ways of a branch meet if each way has such a barrier: the mask says who, not the place.
            w.may_meet_anywhere();
            return flow;
        }
    };
    let (index, all) = (w.index, w.alive & !named == 0);
    // SAFETY: no other reference to the block is in use.
    unsafe { w.block() }.races.warp_sync(index, named, all);
    Flow::Next
}

/// Memory is always seen in program order here: a fence matters only to the checks of races.
unsafe fn fence(w: &mut Warp, i: &Instr, _: u32) -> Flow {
    let warp = w.index;
    // SAFETY: no other reference to the block is in use.
    let block = unsafe { w.block() };
    if let Some(races) = block.launch().global
        && i.imm != 0
    {
        let who = Accessor {
            block: block.linear,
            warp,
            races: &block.races,
        };
        races.fence(who, &mut block.order);
    }
    block.races.fence(warp);
    Flow::Next
}
