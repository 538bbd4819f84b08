//! Volatile loads that fetch data. A volatile load may meet the store of another thread: that is how a thread learns of a flag. But
//! one whose value is never compared with anything is no flag, and what it fetches must be there by other means: by a barrier, or by
//! fences. The checks of races take it for a plain load.

use super::Class;
use super::lower::{Arg, Lower, Width};

/// Makes plain loads of the volatile ones that fetch data.
pub fn settle(lowered: &mut Lower) {
    for (load, plain) in std::mem::take(&mut lowered.volatile_loads) {
        if !compared(lowered, load) {
            lowered.protos[load].exec = plain;
        }
    }
}

/// Whether what instruction `load` defines may reach a comparison, a branch or another function.
fn compared(lowered: &Lower, load: usize) -> bool {
    let mut reached = vec![false; lowered.registers.len()];
    let take = |index: usize, reached: &mut Vec<bool>| -> Option<bool> {
        let mut more = false;
        for slot in lowered.protos[index].slots.iter().filter(|slot| slot.def) {
            let Arg::Reg(register) = slot.arg else {
                continue;
            };
            if lowered.registers[register as usize] == Width::Pred {
                return None;
            }
            more |= !std::mem::replace(&mut reached[register as usize], true);
        }
        Some(more)
    };
    if take(load, &mut reached).is_none() {
        return true;
    }
    loop {
        let mut more = false;
        for (index, proto) in lowered.protos.iter().enumerate() {
            let uses = proto.slots.iter().any(
                |slot| matches!(slot.arg, Arg::Reg(register) if slot.used && reached[register as usize]),
            );
            if !uses {
                continue;
            }
            if matches!(
                proto.class,
                Class::Control | Class::Branch | Class::Local | Class::Atomic
            ) {
                return true;
            }
            match take(index, &mut reached) {
                None => return true,
                Some(new) => more |= new,
            }
        }
        if !more {
            return false;
        }
    }
}
