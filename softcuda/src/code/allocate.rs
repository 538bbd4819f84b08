//! Rows for registers: those alive at the same time get different ones. PTX has registers without number; packed into few rows
//! they stay in the host's cache. The same count, of most bits alive at once, stands for what ptxas would need.

use super::flow::Flow;
use super::lower::{Arg, Proto, Width};

/// Where each register of a function lies in its frame.
pub struct Rows {
    /// Byte offset by register.
    pub offsets: Vec<u32>,
    /// Bytes of the frame, a multiple of 64.
    pub bytes: u32,
    /// 32-bit registers alive at once, at most.
    pub pressure: u32,
}

struct Bits(Vec<u64>);

impl Bits {
    fn new(count: usize) -> Bits {
        Bits(vec![0; count.div_ceil(64)])
    }
    fn has(&self, n: u32) -> bool {
        self.0[n as usize / 64] >> (n % 64) & 1 != 0
    }
    fn set(&mut self, n: u32) {
        self.0[n as usize / 64] |= 1 << (n % 64);
    }
    fn clear(&mut self, n: u32) {
        self.0[n as usize / 64] &= !(1 << (n % 64));
    }
    fn each(&self) -> impl Iterator<Item = u32> {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            let bits = *bits;
            (0..64)
                .filter(move |bit| bits >> bit & 1 != 0)
                .map(move |bit| word as u32 * 64 + bit)
        })
    }
}

/// Registers that an instruction reads, its guard included. A guarded write keeps the old value in some lanes: it reads too.
fn uses(proto: &Proto) -> impl Iterator<Item = u32> {
    let guarded = proto.guard.is_some();
    let slots = proto
        .slots
        .iter()
        .filter(move |slot| slot.used || slot.def && guarded);
    let registers = slots.filter_map(|slot| match slot.arg {
        Arg::Reg(register) => Some(register),
        _ => None,
    });
    registers.chain(proto.guard.map(|(register, _)| register))
}

fn defs(proto: &Proto) -> impl Iterator<Item = u32> {
    proto
        .slots
        .iter()
        .filter(|slot| slot.def)
        .filter_map(|slot| match slot.arg {
            Arg::Reg(register) => Some(register),
            _ => None,
        })
}

/// Assigns rows.
pub fn allocate(protos: &[Proto], flow: &Flow, registers: &[Width]) -> Rows {
    let blocks = flow.starts.len();
    let range = |block: usize| flow.starts[block]..flow.end(block, protos.len());
    let mut live_in: Vec<Bits> = Vec::with_capacity(blocks);
    let mut killed: Vec<Bits> = Vec::with_capacity(blocks);
    for block in 0..blocks {
        let (mut exposed, mut kill) = (Bits::new(registers.len()), Bits::new(registers.len()));
        for proto in &protos[range(block)] {
            for register in uses(proto) {
                if !kill.has(register) {
                    exposed.set(register);
                }
            }
            if proto.guard.is_none() {
                defs(proto).for_each(|register| kill.set(register));
            }
        }
        live_in.push(exposed);
        killed.push(kill);
    }
    let mut live_out: Vec<Bits> = (0..blocks).map(|_| Bits::new(registers.len())).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for block in (0..blocks).rev() {
            for &next in &flow.successors[block] {
                for word in 0..live_out[block].0.len() {
                    let more = live_in[next].0[word] & !live_out[block].0[word];
                    if more != 0 {
                        live_out[block].0[word] |= more;
                        live_in[block].0[word] |= more & !killed[block].0[word];
                        changed = true;
                    }
                }
            }
        }
    }
    // An interval from the first to the last place where a register is alive; reads come before writes of the same instruction.
    let mut first = vec![u32::MAX; registers.len()];
    let mut last = vec![0u32; registers.len()];
    let mut pressure = 0;
    let weight = |register: u32| match registers[register as usize] {
        Width::Pred => 0,
        Width::Word => 1,
        Width::Long => 2,
    };
    for block in 0..blocks {
        let range = range(block);
        let mut touch = |register: u32, at: u32| {
            first[register as usize] = first[register as usize].min(at);
            last[register as usize] = last[register as usize].max(at);
        };
        live_in[block]
            .each()
            .for_each(|register| touch(register, range.start as u32 * 2));
        live_out[block]
            .each()
            .for_each(|register| touch(register, range.end as u32 * 2));
        for index in range.clone() {
            uses(&protos[index]).for_each(|register| touch(register, index as u32 * 2));
            defs(&protos[index]).for_each(|register| touch(register, index as u32 * 2 + 1));
        }
        let mut alive = Bits(live_out[block].0.clone());
        let mut now: u32 = alive.each().map(weight).sum();
        for index in range.rev() {
            pressure = pressure.max(now);
            if protos[index].guard.is_none() {
                for register in defs(&protos[index]) {
                    if alive.has(register) {
                        alive.clear(register);
                        now -= weight(register);
                    }
                }
            }
            for register in uses(&protos[index]) {
                if !alive.has(register) {
                    alive.set(register);
                    now += weight(register);
                }
            }
        }
        pressure = pressure.max(now);
    }
    let mut order: Vec<u32> = (0..registers.len() as u32)
        .filter(|r| first[*r as usize] != u32::MAX)
        .collect();
    order.sort_by_key(|r| first[*r as usize]);
    let mut pools = [Pool::default(), Pool::default(), Pool::default()];
    let mut slots = vec![0; registers.len()];
    for register in order {
        let (from, to) = (first[register as usize], last[register as usize]);
        slots[register as usize] = pools[registers[register as usize] as usize].take(from, to);
    }
    let sizes = pools.each_ref().map(|pool| pool.count);
    let words = (sizes[0] * Width::Pred.bytes()).next_multiple_of(64);
    let longs = words + sizes[1] * Width::Word.bytes();
    let bytes = longs + sizes[2] * Width::Long.bytes();
    let offsets = (0..registers.len())
        .map(|register| match registers[register] {
            Width::Pred => slots[register] * Width::Pred.bytes(),
            Width::Word => words + slots[register] * Width::Word.bytes(),
            Width::Long => longs + slots[register] * Width::Long.bytes(),
        })
        .collect();
    Rows {
        offsets,
        bytes: bytes.max(64),
        pressure,
    }
}

/// Slots of one width, given out by start of interval.
#[derive(Default)]
struct Pool {
    count: u32,
    /// End of the interval in each slot, and the slot; the earliest end on top.
    busy: std::collections::BinaryHeap<std::cmp::Reverse<(u32, u32)>>,
}

impl Pool {
    fn take(&mut self, from: u32, to: u32) -> u32 {
        let slot = match self.busy.peek() {
            Some(std::cmp::Reverse((end, slot))) if *end < from => {
                let slot = *slot;
                self.busy.pop();
                slot
            }
            _ => {
                self.count += 1;
                self.count - 1
            }
        };
        self.busy.push(std::cmp::Reverse((to, slot)));
        slot
    }
}
