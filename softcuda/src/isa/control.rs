//! Branches, calls, returns.

use super::print::{self, local_bytes, read_string};
use crate::code::Class;
use crate::code::Instr;
use crate::code::lower::{Arg, Control, Lower, signature, u};
use crate::code::opcode::Opcode;
use crate::machine::access::lanes;
use crate::machine::rows::{Exec, Flow, LANES};
use crate::machine::warp::Warp;
use crate::module::LoadError;
use crate::ptx::ast::{Instruction, Operand, Space, Type};
use crate::report::FaultKind;

type Result<T> = std::result::Result<T, LoadError>;

/// To the instruction in `more`; lanes that part here meet at the one in `imm`.
pub const BRANCH: Exec = branch;

/// The instruction that stands where lanes meet.
pub const JOIN: Exec = join;

/// The last instruction of a kernel, or of a function.
pub fn end_of(entry: bool) -> Exec {
    if entry {
        end_of_kernel
    } else {
        end_of_function
    }
}

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let indexed = op.flag("idx");
    match op.base {
        "bra" => {
            op.flag("uni");
            let [Operand::Name(label)] = l.operands(i)? else {
                return Err(l.unknown(i));
            };
            l.emit(BRANCH, Class::Branch, &[]).control = Control::Branch(vec![label.clone()]);
            Ok(())
        }
        "brx" if indexed => {
            op.flag("uni");
            let [index, Operand::Name(list)] = l.operands(i)? else {
                return Err(l.unknown(i));
            };
            let Some(labels) = l.branch_list(list).cloned() else {
                return Err(l.error(format!("{list} is not a list of branch targets")));
            };
            l.guarded_by_branch(|l| {
                let index = l.source(index, Type::U32)?;
                let proto = l.emit(branch_indexed, Class::Branch, &[u(index)]);
                proto.imm = labels.len() as i64;
                proto.control = Control::Branch(labels.clone());
                Ok(())
            })
        }
        "call" => {
            op.flag("uni");
            l.guarded_by_branch(|l| call(l, i))
        }
        "ret" => {
            let [] = l.operands(i)?;
            op.flag("uni");
            if l.entry {
                let proto = l.emit(exit, Class::Control, &[]);
                proto.control = Control::Return;
            } else {
                l.emit(BRANCH, Class::Control, &[]).control = Control::Return;
            }
            Ok(())
        }
        "exit" => {
            let [] = l.operands(i)?;
            l.emit(exit, Class::Control, &[]).control = Control::Return;
            Ok(())
        }
        "trap" => {
            let [] = l.operands(i)?;
            l.emit(trap, Class::Control, &[]).control = Control::Return;
            Ok(())
        }
        "nanosleep" => {
            let [time] = l.operands(i)?;
            if op.only() != Some(Type::U32) {
                return Err(l.unknown(i));
            }
            let time = l.source(time, Type::U32)?;
            l.emit(sleep, Class::Control, &[u(time)]);
            Ok(())
        }
        // Hints to the scheduler: a profiler's event, the wait for an earlier grid (complete before this one begins here), and the
        // share of registers.
        "pmevent" | "griddepcontrol" | "setmaxnreg" => {
            for flag in [
                "mask",
                "wait",
                "launch_dependents",
                "inc",
                "dec",
                "sync",
                "aligned",
            ] {
                op.flag(flag);
            }
            l.emit(nothing, Class::Control, &[]);
            Ok(())
        }
        _ => Err(l.unknown(i)),
    }
}

fn call(l: &mut Lower, i: &Instruction) -> Result<()> {
    let (results, name, arguments): (Vec<&Operand>, _, Vec<&Operand>) = match &i.operands[..] {
        [name] => (vec![], name, vec![]),
        [Operand::Group(results), name] => (results.iter().collect(), name, vec![]),
        [Operand::Group(results), name, Operand::Group(arguments)] => {
            (results.iter().collect(), name, arguments.iter().collect())
        }
        [name, Operand::Group(arguments)] => (vec![], name, arguments.iter().collect()),
        // Through a pointer: the last operand names a prototype, which the arguments repeat.
        [name, Operand::Name(_)] => (vec![], name, vec![]),
        [Operand::Group(results), name, Operand::Name(_)] => {
            (results.iter().collect(), name, vec![])
        }
        [
            Operand::Group(results),
            name,
            Operand::Group(arguments),
            Operand::Name(_),
        ] => (results.iter().collect(), name, arguments.iter().collect()),
        [name, Operand::Group(arguments), Operand::Name(_)] => {
            (vec![], name, arguments.iter().collect())
        }
        _ => return Err(l.unknown(i)),
    };
    let Operand::Name(name) = name else {
        return Err(l.unknown(i));
    };
    // Where each is in local memory, and its size.
    let mut places = |list: &[&Operand]| -> Result<Vec<(u32, u32)>> {
        list.iter()
            .map(|operand| match operand {
                Operand::Name(name) => match l.place(name) {
                    Some(place) if place.space == Space::Local => {
                        Ok((place.address as u32, place.bytes as u32))
                    }
                    _ => Err(l.error(format!("{name} is not a parameter"))),
                },
                _ => {
                    Err(l.error("arguments that are not parameters are not supported".to_string()))
                }
            })
            .collect()
    };
    let (arguments, results) = (places(&arguments)?, places(&results)?);
    // Numbers of arguments and results, then where the caller has them; where the callee has them is the callee's to say. Then
    // their sizes, which a call through a pointer compares when it knows its callee.
    let mut extra = vec![arguments.len() as u32, results.len() as u32];
    let all = || arguments.iter().chain(&results);
    extra.extend(all().map(|place| place.0));
    extra.extend(all().map(|place| place.1));
    // The callee of a function that is built in reads so many bytes of each argument.
    let built_in = |l: &Lower, sizes: &[u32]| -> Result<Vec<u32>> {
        match all().zip(sizes).find(|(place, bytes)| place.1 < **bytes) {
            None => Ok(all().map(|place| place.0).collect()),
            Some((place, bytes)) => Err(l.error(format!(
                "{name} takes {bytes} bytes where {} are given",
                place.1
            ))),
        }
    };
    if let Some(pointer) = l.register_named(name) {
        l.call_anything();
        let pointer = Arg::Reg(pointer);
        l.emit(call_pointer, Class::Control, &[u(pointer)]).extra = extra;
        l.needs_join();
        return Ok(());
    }
    match (name.as_str(), arguments.len(), results.len()) {
        ("vprintf", 2, 1) => {
            let places = built_in(l, &[8, 8, 4])?;
            l.emit(print_exec, Class::Control, &[]).extra = places;
            return Ok(());
        }
        ("__assertfail", 5, 0) => {
            let places = built_in(l, &[8, 8, 4, 8])?;
            l.emit(assert_exec, Class::Control, &[]).extra = places;
            return Ok(());
        }
        _ => {}
    }
    let Some((index, function)) = l.callee(name) else {
        return Err(l.error(format!(
            "{name} is called, but no function of this module has that name and a body"
        )));
    };
    let (params, returns, _) = signature(function);
    if params.len() != arguments.len() || returns.len() != results.len() {
        return Err(l.error(format!(
            "{name} takes {} arguments and returns {} values, here are {} and {}",
            params.len(),
            returns.len(),
            arguments.len(),
            results.len()
        )));
    }
    for ((_, given), (_, taken)) in all().zip(params.iter().chain(&returns)) {
        if given != taken {
            return Err(l.error(format!(
                "{name} has a parameter or result of {taken} bytes where {given} are given"
            )));
        }
    }
    let proto = l.emit(call_exec, Class::Control, &[]);
    proto.extra = extra;
    proto.imm = index as i64;
    Ok(())
}

unsafe fn branch(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let (target, join) = (i.more, i.imm as u32);
    // SAFETY: no reference to the block is held here.
    let block = unsafe { w.block() };
    let uniform = mask == w.mask;
    if block.launch().options.count {
        // A return that some lanes take is none: they just leave.
        block.counts().divergent_branches += (!uniform && i.class == Class::Branch) as u64;
    }
    let back = target <= w.pc;
    let flow = if uniform {
        w.pc = target;
        Flow::Jump
    } else {
        w.diverge(&[(w.pc + 1, w.mask & !mask), (target, mask)], join)
    };
    if back && flow == Flow::Jump && w.back_branch() {
        Flow::Yield
    } else {
        flow
    }
}

unsafe fn branch_indexed(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let (count, join) = ((i.imm >> 32) as usize, i.imm as u32);
    let targets = &w.code().wide[i.more as usize..][..count];
    // SAFETY: the row is the instruction's own.
    let index: [u32; LANES] = unsafe { w.load(i.args[0]) };
    let mut ways: Vec<(u32, u32)> = Vec::new();
    for lane in lanes(mask) {
        let Some(&target) = targets.get(index[lane] as usize) else {
            let text = format!("branches to entry {} of a list of {count}", index[lane]);
            return w.fail(FaultKind::LaunchFailed, lane as u32, &text);
        };
        match ways.iter_mut().find(|way| way.0 == target) {
            Some(way) => way.1 |= 1 << lane,
            None => ways.push((target, 1 << lane)),
        }
    }
    // SAFETY: no reference to the block is held here.
    let block = unsafe { w.block() };
    if block.launch().options.count {
        block.counts().divergent_branches += (ways.len() > 1) as u64;
    }
    let back = ways.iter().any(|way| way.0 <= w.pc);
    let flow = if let [(target, _)] = ways[..] {
        w.pc = target;
        Flow::Jump
    } else {
        w.diverge(&ways, join)
    };
    if back && flow == Flow::Jump && w.back_branch() {
        Flow::Yield
    } else {
        flow
    }
}

unsafe fn join(w: &mut Warp, _: &Instr, _: u32) -> Flow {
    w.join()
}

unsafe fn end_of_kernel(w: &mut Warp, _: &Instr, mask: u32) -> Flow {
    w.exit(mask)
}

unsafe fn end_of_function(w: &mut Warp, _: &Instr, _: u32) -> Flow {
    match w.join() {
        Flow::Next => w.return_from(),
        other => other,
    }
}

unsafe fn exit(w: &mut Warp, _: &Instr, mask: u32) -> Flow {
    w.exit(mask)
}

unsafe fn trap(w: &mut Warp, _: &Instr, mask: u32) -> Flow {
    w.fail(FaultKind::LaunchFailed, mask.trailing_zeros(), "trap")
}

unsafe fn nothing(_: &mut Warp, _: &Instr, _: u32) -> Flow {
    Flow::Next
}

/// A thread that sleeps lets others run.
unsafe fn sleep(w: &mut Warp, _: &Instr, _: u32) -> Flow {
    w.pc += 1;
    Flow::Yield
}

unsafe fn call_exec(w: &mut Warp, i: &Instr, _: u32) -> Flow {
    w.call(i.imm as u32, i.more)
}

unsafe fn call_pointer(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: the row is the instruction's own.
    let pointers: [u64; LANES] = unsafe { w.load(i.args[0]) };
    let first = mask.trailing_zeros() as usize;
    if lanes(mask).any(|l| pointers[l] != pointers[first]) {
        // Lanes that call different functions do so one function after the other.
        return super::warp::groups(w, &pointers, mask);
    }
    let code = w.code();
    let Some(function) = code
        .functions
        .iter()
        .position(|function| function.address != 0 && function.address == pointers[first])
    else {
        let text = format!("calls {:#x}, which is not a function", pointers[first]);
        return w.fail(FaultKind::LaunchFailed, first as u32, &text);
    };
    let callee = &code.functions[function];
    let (arguments, results) = (code.wide[i.more as usize], code.wide[i.more as usize + 1]);
    if (callee.params.len() as u32, callee.results.len() as u32) != (arguments, results) {
        let text = format!(
            "calls {} with {arguments} arguments and {results} results",
            callee.name
        );
        return w.fail(FaultKind::LaunchFailed, first as u32, &text);
    }
    let sizes = &code.wide[i.more as usize + 2 + (arguments + results) as usize..];
    let taken = callee.params.iter().chain(&callee.results);
    if let Some((given, (_, taken))) = sizes
        .iter()
        .zip(taken)
        .find(|(given, taken)| **given != taken.1)
    {
        let text = format!(
            "calls {}, which has a parameter or result of {taken} bytes, with {given} bytes",
            callee.name
        );
        return w.fail(FaultKind::LaunchFailed, first as u32, &text);
    }
    w.call(function as u32, i.more)
}

unsafe fn print_exec(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let [format, arguments, result] = w.code().wide[i.more as usize..][..3] else {
        unreachable!("three offsets")
    };
    for lane in lanes(mask) {
        let format = u64::from_le_bytes(local_bytes(w, lane, format));
        let arguments = u64::from_le_bytes(local_bytes(w, lane, arguments));
        let text = read_string(w, lane, format)
            .and_then(|format| print::format(w, lane, &format, arguments));
        let Some((text, count)) = text else {
            let what = "printf is given a format or arguments that cannot be read";
            return w.fail(FaultKind::IllegalAddress, lane as u32, what);
        };
        // SAFETY: no reference to the block is held here.
        unsafe { w.block() }.print(&text);
        let at = (w.local_base + result) as usize + lane * w.local_stride as usize;
        // SAFETY: the result's place is within the lane's local memory.
        unsafe {
            w.local
                .as_mut_ptr()
                .cast::<u8>()
                .add(at)
                .cast::<u32>()
                .write_unaligned(count)
        };
    }
    Flow::Next
}

unsafe fn assert_exec(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let [message, file, line, function] = w.code().wide[i.more as usize..][..4] else {
        unreachable!("four offsets")
    };
    let lane = mask.trailing_zeros() as usize;
    let text = |w: &mut Warp, at: u32| {
        let address = u64::from_le_bytes(local_bytes(w, lane, at));
        read_string(w, lane, address).map_or("?".to_string(), |bytes| {
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let (message, file, function) = (text(w, message), text(w, file), text(w, function));
    let line = u32::from_le_bytes(local_bytes(w, lane, line));
    w.fail(
        FaultKind::Assert,
        lane as u32,
        &format!("{file}:{line}: {function}: assertion `{message}` failed"),
    )
}
