//! Special registers.

use crate::code::lower::{Arg, Lower, Width, d, u};
use crate::code::{Class, Instr};
use crate::machine::rows::{Exec, Flow, LANES, unary};
use crate::machine::warp::Warp;
use crate::module::LoadError;
use crate::ptx::ast::Type;

/// What a special register gives, for the lanes of a warp.
fn value(w: &mut Warp, which: u32) -> Option<[u64; LANES]> {
    // SAFETY: only read here.
    let block = unsafe { w.block() };
    let launch = block.launch();
    let all = |value: u64| Some([value; LANES]);
    let by_lane = |f: fn(u32) -> u32| Some(std::array::from_fn(|lane| f(lane as u32) as u64));
    let dimension = (which & 3) as usize;
    match NAMES[(which >> 2) as usize].0 {
        "%tid" => Some(
            w.tid
                .get(dimension)
                .map_or([0; LANES], |row| row.map(u64::from)),
        ),
        "%ntid" => all(launch
            .grid
            .threads
            .get(dimension)
            .copied()
            .unwrap_or(0)
            .into()),
        "%ctaid" | "%clusterid" => all(block.index.get(dimension).copied().unwrap_or(0).into()),
        "%nctaid" | "%nclusterid" => all(launch
            .grid
            .blocks
            .get(dimension)
            .copied()
            .unwrap_or(0)
            .into()),
        // Without clusters every block is a cluster of its own.
        "%cluster_ctaid" | "%cluster_ctarank" | "%is_explicit_cluster" => all(0),
        "%cluster_nctaid" | "%cluster_nctarank" => all(if dimension < 3 { 1 } else { 0 }),
        "%laneid" => by_lane(|lane| lane),
        "%warpid" => all(w.index.into()),
        "%nwarpid" => all(64),
        "%gridid" => all(0),
        "%smid" => all(block.linear % 108),
        "%nsmid" => all(108),
        "%lanemask_eq" => by_lane(|lane| 1 << lane),
        "%lanemask_lt" => by_lane(|lane| (1 << lane) - 1),
        "%lanemask_le" => by_lane(|lane| u32::MAX >> (31 - lane)),
        "%lanemask_gt" => by_lane(|lane| !(u32::MAX >> (31 - lane))),
        "%lanemask_ge" => by_lane(|lane| u32::MAX << lane),
        // Time stands still between two reads only if nothing happened: a step a slice is enough to be monotonic.
        "%clock" | "%clock64" | "%globaltimer" | "%globaltimer_lo" => {
            w.steps += 1;
            all(w.steps)
        }
        "%clock_hi" | "%globaltimer_hi" => all(w.steps >> 32),
        "%dynamic_smem_size" => all(launch.grid.dynamic_shared.into()),
        "%total_smem_size" | "%aggr_smem_size" => all(launch.shared_bytes.into()),
        _ => None,
    }
}

/// Names, and whether they have 64 bits.
const NAMES: &[(&str, bool)] = &[
    ("%tid", false),
    ("%ntid", false),
    ("%ctaid", false),
    ("%nctaid", false),
    ("%clusterid", false),
    ("%nclusterid", false),
    ("%cluster_ctaid", false),
    ("%cluster_nctaid", false),
    ("%cluster_ctarank", false),
    ("%cluster_nctarank", false),
    ("%laneid", false),
    ("%warpid", false),
    ("%nwarpid", false),
    ("%gridid", true),
    ("%smid", false),
    ("%nsmid", false),
    ("%lanemask_eq", false),
    ("%lanemask_lt", false),
    ("%lanemask_le", false),
    ("%lanemask_gt", false),
    ("%lanemask_ge", false),
    ("%clock", false),
    ("%clock64", true),
    ("%clock_hi", false),
    ("%globaltimer", true),
    ("%globaltimer_lo", false),
    ("%globaltimer_hi", false),
    ("%dynamic_smem_size", false),
    ("%total_smem_size", false),
    ("%aggr_smem_size", false),
];

/// The value of the special register `name`, if there is one of that name; an instruction that reads it is added.
pub fn read(l: &mut Lower, name: &str, ty: Type) -> Result<Option<Arg>, LoadError> {
    if name == "WARP_SZ" {
        return Ok(Some(l.literal(LANES as u64, ty)));
    }
    if name == "%is_explicit_cluster" {
        return Ok(Some(l.literal(0, Type::Pred)));
    }
    let (base, dimension) = match name.rsplit_once('.') {
        Some((base, "x")) => (base, 0),
        Some((base, "y")) => (base, 1),
        Some((base, "z")) => (base, 2),
        Some((base, "w")) => (base, 3),
        Some(_) => return Ok(None),
        None => (name, 0),
    };
    let Some(index) = NAMES.iter().position(|(known, _)| *known == base) else {
        return Ok(None);
    };
    let long = NAMES[index].1;
    let to = l.temporary(if long { Width::Long } else { Width::Word });
    let exec: Exec = if long { read_long } else { read_word };
    l.emit(exec, Class::Move, &[d(to)]).imm = (index << 2 | dimension) as i64;
    let want = Width::of(ty);
    match (long, want) {
        (false, Width::Word) | (true, Width::Long) => Ok(Some(to)),
        (false, Width::Long) => {
            let wide = l.temporary(Width::Long);
            l.emit(unary(|a: u32| a as u64), Class::None, &[d(wide), u(to)]);
            Ok(Some(wide))
        }
        (true, Width::Word) => {
            let narrow = l.temporary(Width::Word);
            l.emit(unary(|a: u64| a as u32), Class::None, &[d(narrow), u(to)]);
            Ok(Some(narrow))
        }
        (_, Width::Pred) => Err(l.error(format!("{name} is not a predicate"))),
    }
}

unsafe fn read_word(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let values = value(w, i.imm as u32)
        .expect("every name has a value")
        .map(|value| value as u32);
    // SAFETY: the row is the instruction's own.
    unsafe { w.store(i.args[0], &values, mask) };
    Flow::Next
}

unsafe fn read_long(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let values = value(w, i.imm as u32).expect("every name has a value");
    // SAFETY: the row is the instruction's own.
    unsafe { w.store(i.args[0], &values, mask) };
    Flow::Next
}
