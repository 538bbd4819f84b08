//! Conversions between types.

use super::float::{by_rounding, rounding};
use crate::code::lower::{Lower, Width, d, u};
use crate::code::opcode::Opcode;
use crate::code::{Class, Instr};
use crate::machine::rows::{Exec, Flow, LANES, binary, ternary, unary};
use crate::machine::warp::Warp;
use crate::module::LoadError;
use crate::num::convert::*;
use crate::num::float::f64_to_f32;
use crate::num::half::*;
use crate::num::{Rounding, canonical_f32, flush_f32, relu_f32, saturate_f32, saturate_f64};
use crate::ptx::ast::{Instruction, Type};

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers `cvt`.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    if op.flag("pack") {
        return packed(l, op, i);
    }
    match op.types[..] {
        [to @ (Type::F16x2 | Type::Bf16x2), Type::F32] => two(l, op, i, to),
        [to, from] => one(l, op, i, to, from),
        _ => Err(l.unknown(i)),
    }
}

fn one(l: &mut Lower, op: &mut Opcode, i: &Instruction, to: Type, from: Type) -> Result<()> {
    let Some(form) = form(op, to, from) else {
        return Err(l.unknown(i));
    };
    let [result, source] = l.operands(i)?;
    // Both may be wider than the types say.
    let source = l.relaxed_source(source, from)?;
    let (result, wide) = l.relaxed_dest(result, to)?;
    let slots = [d(result), u(source)];
    match form {
        Form::Common(exec) => {
            l.emit(exec, Class::Convert, &slots);
        }
        Form::Rare(rare) => l.emit(RARE, Class::Convert, &slots).imm = rare.packed(),
    }
    l.widen(result, wide, to);
    Ok(())
}

fn integer(ty: Type) -> Option<Int> {
    let float = ty.float()
        || matches!(
            ty,
            Type::Pred | Type::B8 | Type::B16 | Type::B32 | Type::B64 | Type::B128
        );
    (!float).then_some(Int {
        bits: ty.bytes() as u32 * 8,
        signed: ty.signed(),
    })
}

fn integral(op: &mut Opcode) -> Option<Integral> {
    Some(match op.one_of(&["rni", "rzi", "rmi", "rpi"])? {
        "rni" => Integral::Nearest,
        "rzi" => Integral::Zero,
        "rmi" => Integral::Down,
        _ => Integral::Up,
    })
}

/// Gives `$exec` for the integral rounding at hand, `$r` a constant in it.
macro_rules! by_integral {
    ($how:expr, $r:ident => $exec:expr) => {
        match $how {
            Integral::Nearest => {
                const $r: Integral = Integral::Nearest;
                $exec
            }
            Integral::Zero => {
                const $r: Integral = Integral::Zero;
                $exec
            }
            Integral::Down => {
                const $r: Integral = Integral::Down;
                $exec
            }
            Integral::Up => {
                const $r: Integral = Integral::Up;
                $exec
            }
        }
    };
}

/// How a conversion is carried out.
enum Form {
    /// By an operation of its own.
    Common(Exec),
    /// By the one operation for all that kernels seldom use.
    Rare(Rare),
}

/// A conversion from or to an integer, as its instruction carries it.
#[derive(Clone, Copy)]
struct Rare {
    from: Type,
    to: Type,
    rounding: Rounding,
    integral: Integral,
    sat: bool,
    ftz: bool,
}

const TYPES: [Type; 12] = [
    Type::U8,
    Type::S8,
    Type::U16,
    Type::S16,
    Type::U32,
    Type::S32,
    Type::U64,
    Type::S64,
    Type::F16,
    Type::Bf16,
    Type::F32,
    Type::F64,
];
const ROUNDINGS: [Rounding; 4] = [
    Rounding::Nearest,
    Rounding::Zero,
    Rounding::Down,
    Rounding::Up,
];
const INTEGRALS: [Integral; 4] = [
    Integral::Nearest,
    Integral::Zero,
    Integral::Down,
    Integral::Up,
];

impl Rare {
    /// Four bits for each type, two for each rounding, one for each flag.
    fn packed(self) -> i64 {
        let place = |ty| TYPES.iter().position(|known| *known == ty).unwrap_or(0) as i64;
        place(self.from)
            | place(self.to) << 4
            | (self.rounding as i64) << 8
            | (self.integral as i64) << 10
            | (self.sat as i64) << 12
            | (self.ftz as i64) << 13
    }

    fn unpacked(bits: i64) -> Rare {
        Rare {
            from: TYPES[(bits & 15) as usize],
            to: TYPES[(bits >> 4 & 15) as usize],
            rounding: ROUNDINGS[(bits >> 8 & 3) as usize],
            integral: INTEGRALS[(bits >> 10 & 3) as usize],
            sat: bits >> 12 & 1 != 0,
            ftz: bits >> 13 & 1 != 0,
        }
    }

    /// One value's bits.
    fn apply(self, a: u64) -> u64 {
        let r = self.rounding;
        match (integer(self.from), integer(self.to)) {
            (Some(from), Some(to)) => int_to_int(from, to, self.sat, from.extend(a)),
            (Some(from), None) => {
                let a = from.extend(a);
                match (self.to, self.sat) {
                    (Type::F32, false) => int_to_f32(r, from, a).to_bits() as u64,
                    (Type::F32, true) => saturate_f32(int_to_f32(r, from, a)).to_bits() as u64,
                    (Type::F64, false) => int_to_f64(r, from, a).to_bits(),
                    (Type::F64, true) => saturate_f64(int_to_f64(r, from, a)).to_bits(),
                    (Type::F16, false) => int_to_f16(r, from, a) as u64,
                    (Type::F16, true) => saturate_f16(int_to_f16(r, from, a)) as u64,
                    _ => int_to_bf16(r, from, a) as u64,
                }
            }
            // Out of range is cut to the range with or without .sat.
            (None, Some(to)) => {
                let single = |a: f32| f32_to_int(self.integral, to, a);
                match (self.from, self.ftz) {
                    (Type::F64, _) => f64_to_int(self.integral, to, f64::from_bits(a)),
                    (Type::F16, _) => single(f16_to_f32(a as u16)),
                    (Type::Bf16, _) => single(bf16_to_f32(a as u16)),
                    (_, false) => single(f32::from_bits(a as u32)),
                    (_, true) => single(flush_f32(f32::from_bits(a as u32))),
                }
            }
            (None, None) => a,
        }
    }
}

const RARE: Exec = rare;

unsafe fn rare(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let rare = Rare::unpacked(i.imm);
    // SAFETY: the rows are the instruction's own, as wide as its types.
    unsafe {
        let from: [u64; LANES] = match Width::of(rare.from) {
            Width::Long => w.load(i.args[1]),
            _ => w.load::<u32>(i.args[1]).map(u64::from),
        };
        let to = from.map(|a| rare.apply(a));
        match Width::of(rare.to) {
            Width::Long => w.store(i.args[0], &to, mask),
            _ => w.store(i.args[0], &to.map(|bits| bits as u32), mask),
        }
    }
    Flow::Next
}

/// The operation of `cvt.to.from`; none if there is no such form.
fn form(op: &mut Opcode, to: Type, from: Type) -> Option<Form> {
    use Type::*;
    let ftz = op.flag("ftz");
    let sat = op.flag("sat");
    let mut rare = Rare {
        from,
        to,
        rounding: Rounding::Nearest,
        integral: Integral::Zero,
        sat,
        ftz,
    };
    let common = match (integer(from).is_some(), integer(to).is_some()) {
        (false, false) => floats(op, to, from, ftz, sat)?,
        (true, true) if ftz => return None,
        // What loops are full of has an operation of its own.
        (true, true) => match (sat, from, to) {
            (false, U32 | S32, U32 | S32) => unary(|a: u32| a),
            (false, U32, U64 | S64) => unary(|a: u32| a as u64),
            (false, S32, U64 | S64) => unary(|a: u32| a as i32 as i64 as u64),
            (false, U64 | S64, U32 | S32) => unary(|a: u64| a as u32),
            (false, U16, U32 | S32) => unary(|a: u32| a & 0xFFFF),
            (false, U8, U32 | S32) => unary(|a: u32| a & 0xFF),
            _ => return Some(Form::Rare(rare)),
        },
        (true, false) => {
            rare.rounding = rounding(op)?;
            if ftz && to != F32 || sat && !matches!(to, F16 | F32 | F64) {
                return None;
            }
            const R: Rounding = Rounding::Nearest;
            match (from, to, rare.rounding, sat) {
                (S32, F32, R, false) => unary(|a: u32| s32_to_f32(R, a as i32).to_bits()),
                (U32, F32, R, false) => unary(|a: u32| u32_to_f32(R, a).to_bits()),
                (U16, F32, _, false) => unary(|a: u32| u32_to_f32(R, a & 0xFFFF).to_bits()),
                (S32, F64, _, false) => unary(|a: u32| (a as i32 as f64).to_bits()),
                _ => return Some(Form::Rare(rare)),
            }
        }
        (false, true) => {
            rare.integral = integral(op)?;
            if ftz && from != F32 {
                return None;
            }
            match (from, to) {
                (F32, S32) if !ftz => {
                    by_integral!(rare.integral, R => unary(|a: u32| f32_to_s32(R, f32::from_bits(a)) as u32))
                }
                (F32, U32) if !ftz => {
                    by_integral!(rare.integral, R => unary(|a: u32| f32_to_u32(R, f32::from_bits(a))))
                }
                _ => return Some(Form::Rare(rare)),
            }
        }
    };
    Some(Form::Common(common))
}

/// Between floating-point types.
fn floats(op: &mut Opcode, to: Type, from: Type, ftz: bool, sat: bool) -> Option<Exec> {
    use Type::*;
    let f = |a: u32| f32::from_bits(a);
    let g = |a: u64| f64::from_bits(a);
    if to == from {
        // To an integral value of the same type; with no mode it is a move that may flush or saturate.
        return Some(match (to, integral(op), ftz, sat) {
            (F32, Some(how), false, false) => {
                by_integral!(how, R => unary(move |a| round_f32(R, f(a)).to_bits()))
            }
            (F32, Some(how), true, false) => {
                by_integral!(how, R => unary(move |a| round_f32(R, flush_f32(f(a))).to_bits()))
            }
            (F32, Some(how), false, true) => {
                by_integral!(how, R => unary(move |a| saturate_f32(round_f32(R, f(a))).to_bits()))
            }
            (F32, Some(how), true, true) => {
                by_integral!(how, R => unary(move |a| saturate_f32(round_f32(R, flush_f32(f(a)))).to_bits()))
            }
            (F32, None, false, false) => unary(move |a| canonical_f32(f(a)).to_bits()),
            (F32, None, true, false) => unary(move |a| flush_f32(canonical_f32(f(a))).to_bits()),
            (F32, None, false, true) => unary(move |a| saturate_f32(f(a)).to_bits()),
            (F32, None, true, true) => unary(move |a| saturate_f32(flush_f32(f(a))).to_bits()),
            (F64, Some(how), false, false) => {
                by_integral!(how, R => unary(move |a| round_f64(R, g(a)).to_bits()))
            }
            (F64, Some(how), false, true) => {
                by_integral!(how, R => unary(move |a| saturate_f64(round_f64(R, g(a))).to_bits()))
            }
            (F64, None, false, true) => unary(move |a| saturate_f64(g(a)).to_bits()),
            (F64, None, false, false) => unary(|a: u64| a),
            (F16, Some(how), false, false) => {
                by_integral!(how, R => unary(|a: u32| round_f16(R, a as u16) as u32))
            }
            (F16, None, false, false) => unary(|a: u32| a & 0xFFFF),
            (F16, None, false, true) => unary(|a: u32| saturate_f16(a as u16) as u32),
            (Bf16, Some(how), false, false) => {
                by_integral!(how, R => unary(|a: u32| round_bf16(R, a as u16) as u32))
            }
            _ => return None,
        });
    }
    match (from, to) {
        // Widening is exact; what .ftz flushes is the f32 side.
        (F16, F32) => Some(match (ftz, sat) {
            (_, false) => unary(|a: u32| f16_to_f32(a as u16).to_bits()),
            (_, true) => unary(|a: u32| saturate_f32(f16_to_f32(a as u16)).to_bits()),
        }),
        (Bf16, F32) if !sat => Some(match ftz {
            false => unary(|a: u32| bf16_to_f32(a as u16).to_bits()),
            true => unary(|a: u32| flush_f32(bf16_to_f32(a as u16)).to_bits()),
        }),
        (F16, F64) if !ftz => Some(match sat {
            false => unary(|a: u32| f16_to_f64(a as u16).to_bits()),
            true => unary(|a: u32| saturate_f64(f16_to_f64(a as u16)).to_bits()),
        }),
        (Bf16, F64) if !ftz && !sat => Some(unary(|a: u32| bf16_to_f64(a as u16).to_bits())),
        (F32, F64) => Some(match (ftz, sat) {
            (false, false) => unary(move |a: u32| (f(a) as f64).to_bits()),
            (true, false) => unary(move |a: u32| (flush_f32(f(a)) as f64).to_bits()),
            (false, true) => unary(move |a: u32| saturate_f64(f(a) as f64).to_bits()),
            (true, true) => unary(move |a: u32| saturate_f64(flush_f32(f(a)) as f64).to_bits()),
        }),
        (F64, F32) => {
            let r = rounding(op)?;
            Some(match (ftz, sat) {
                (false, false) => {
                    by_rounding!(r, R => unary(move |a: u64| f64_to_f32(R, g(a)).to_bits()))
                }
                (true, false) => {
                    by_rounding!(r, R => unary(move |a: u64| flush_f32(f64_to_f32(R, g(a))).to_bits()))
                }
                (false, true) => {
                    by_rounding!(r, R => unary(move |a: u64| saturate_f32(f64_to_f32(R, g(a))).to_bits()))
                }
                (true, true) => {
                    by_rounding!(r, R => unary(move |a: u64| saturate_f32(flush_f32(f64_to_f32(R, g(a)))).to_bits()))
                }
            })
        }
        (F64, F16) if !ftz => {
            let r = rounding(op)?;
            Some(match sat {
                false => by_rounding!(r, R => unary(move |a: u64| f64_to_f16(R, g(a)) as u32)),
                true => {
                    by_rounding!(r, R => unary(move |a: u64| saturate_f16(f64_to_f16(R, g(a))) as u32))
                }
            })
        }
        (F64, Bf16) if !ftz && !sat => {
            let r = rounding(op)?;
            Some(by_rounding!(r, R => unary(move |a: u64| f64_to_bf16(R, g(a)) as u32)))
        }
        (F32, F16) => {
            let r = rounding(op)?;
            let (relu, finite) = (op.flag("relu"), op.flag("satfinite"));
            Some(match (ftz, sat, relu, finite) {
                (false, false, false, false) => {
                    by_rounding!(r, R => unary(move |a: u32| f32_to_f16(R, f(a)) as u32))
                }
                (true, false, false, false) => {
                    by_rounding!(r, R => unary(move |a: u32| f32_to_f16(R, flush_f32(f(a))) as u32))
                }
                (false, true, false, false) => {
                    by_rounding!(r, R => unary(move |a: u32| saturate_f16(f32_to_f16(R, f(a))) as u32))
                }
                (true, true, false, false) => {
                    by_rounding!(r, R => unary(move |a: u32| saturate_f16(f32_to_f16(R, flush_f32(f(a)))) as u32))
                }
                (false, false, true, false) => {
                    by_rounding!(r, R => unary(move |a: u32| relu_f16(f32_to_f16(R, f(a))) as u32))
                }
                (false, false, false, true) => {
                    by_rounding!(r, R => unary(move |a: u32| finite_f16(f32_to_f16(R, f(a))) as u32))
                }
                (false, false, true, true) => {
                    by_rounding!(r, R => unary(move |a: u32| finite_f16(relu_f16(f32_to_f16(R, f(a)))) as u32))
                }
                _ => return None,
            })
        }
        (F32, Bf16) if !ftz && !sat => {
            let r = rounding(op)?;
            let (relu, finite) = (op.flag("relu"), op.flag("satfinite"));
            Some(match (relu, finite) {
                (false, false) => {
                    by_rounding!(r, R => unary(move |a: u32| f32_to_bf16(R, f(a)) as u32))
                }
                (true, false) => {
                    by_rounding!(r, R => unary(move |a: u32| relu_bf16(f32_to_bf16(R, f(a))) as u32))
                }
                (false, true) => {
                    by_rounding!(r, R => unary(move |a: u32| finite_bf16(f32_to_bf16(R, f(a))) as u32))
                }
                (true, true) => {
                    by_rounding!(r, R => unary(move |a: u32| finite_bf16(relu_bf16(f32_to_bf16(R, f(a)))) as u32))
                }
            })
        }
        (F32, Tf32) if !ftz && !sat => {
            let relu = op.flag("relu");
            let finite = op.flag("satfinite");
            if op.flag("rna") {
                return Some(match (relu, finite) {
                    (false, false) => unary(move |a: u32| f32_to_tf32_away(f(a))),
                    (false, true) => unary(move |a: u32| finite_tf32(f32_to_tf32_away(f(a)))),
                    _ => return None,
                });
            }
            let r = rounding(op)?;
            if !matches!(r, Rounding::Nearest | Rounding::Zero) {
                return None;
            }
            Some(match (relu, finite) {
                (false, false) => by_rounding!(r, R => unary(move |a: u32| f32_to_tf32(R, f(a)))),
                (true, false) => {
                    by_rounding!(r, R => unary(move |a: u32| f32_to_tf32(R, relu_f32(f(a)))))
                }
                (false, true) => {
                    by_rounding!(r, R => unary(move |a: u32| finite_tf32(f32_to_tf32(R, f(a)))))
                }
                (true, true) => {
                    by_rounding!(r, R => unary(move |a: u32| finite_tf32(f32_to_tf32(R, relu_f32(f(a))))))
                }
            })
        }
        (F16, Bf16) if !ftz && !sat => {
            let r = rounding(op)?;
            Some(
                by_rounding!(r, R => unary(move |a: u32| f32_to_bf16(R, f16_to_f32(a as u16)) as u32)),
            )
        }
        (Bf16, F16) if !ftz && !sat => {
            let r = rounding(op)?;
            Some(
                by_rounding!(r, R => unary(move |a: u32| f32_to_f16(R, bf16_to_f32(a as u16)) as u32)),
            )
        }
        _ => None,
    }
}

/// Two f32 to two halves in one register: the first source is the upper half.
fn two(l: &mut Lower, op: &mut Opcode, i: &Instruction, to: Type) -> Result<()> {
    let f = |a: u32| f32::from_bits(a);
    let brain = to == Type::Bf16x2;
    let relu = op.flag("relu");
    let finite = op.flag("satfinite");
    let Some(r) = rounding(op).filter(|r| matches!(r, Rounding::Nearest | Rounding::Zero)) else {
        return Err(l.unknown(i));
    };
    macro_rules! each {
        ($f:expr) => {{
            let g = $f;
            binary(move |a: u32, b: u32| (g(f(a)) as u32) << 16 | g(f(b)) as u32)
        }};
    }
    let exec = by_rounding!(r, R => match (brain, relu, finite) {
        (false, false, false) => binary(move |a: u32, b: u32| f32_to_f16x2(R, f(a), f(b))),
        (true, false, false) => binary(move |a: u32, b: u32| f32_to_bf16x2(R, f(a), f(b))),
        (false, true, false) => each!(|x| relu_f16(f32_to_f16(R, x))),
        (true, true, false) => each!(|x| relu_bf16(f32_to_bf16(R, x))),
        (false, false, true) => each!(|x| finite_f16(f32_to_f16(R, x))),
        (true, false, true) => each!(|x| finite_bf16(f32_to_bf16(R, x))),
        (false, true, true) => each!(|x| finite_f16(relu_f16(f32_to_f16(R, x)))),
        (true, true, true) => each!(|x| finite_bf16(relu_bf16(f32_to_bf16(R, x)))),
    });
    let [result, a, b] = l.operands(i)?;
    let slots = [
        d(l.dest(result, Type::B32)?),
        u(l.source(a, Type::F32)?),
        u(l.source(b, Type::F32)?),
    ];
    l.emit(exec, Class::Convert, &slots);
    Ok(())
}

/// cvt.pack.sat: two integers cut to a narrower type, side by side.
fn packed(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    if !op.flag("sat") {
        return Err(l.unknown(i));
    }
    // The 2- and 4-bit types are no types elsewhere.
    let small = op.one_of(&["u4", "s4", "u2", "s2"]);
    let word = Type::B32;
    let exec = match (small, &op.types[..]) {
        (None, [Type::U16, Type::S32]) => binary(|a: u32, b: u32| {
            pack(
                Int {
                    bits: 16,
                    signed: false,
                },
                a as i32,
                b as i32,
                0,
            )
        }),
        (None, [Type::S16, Type::S32]) => binary(|a: u32, b: u32| {
            pack(
                Int {
                    bits: 16,
                    signed: true,
                },
                a as i32,
                b as i32,
                0,
            )
        }),
        (None, [Type::U8, Type::S32, Type::B32]) => ternary(|a: u32, b: u32, c| {
            pack(
                Int {
                    bits: 8,
                    signed: false,
                },
                a as i32,
                b as i32,
                c,
            )
        }),
        (None, [Type::S8, Type::S32, Type::B32]) => ternary(|a: u32, b: u32, c| {
            pack(
                Int {
                    bits: 8,
                    signed: true,
                },
                a as i32,
                b as i32,
                c,
            )
        }),
        (Some("u4"), [Type::S32, Type::B32]) => ternary(|a: u32, b: u32, c| {
            pack(
                Int {
                    bits: 4,
                    signed: false,
                },
                a as i32,
                b as i32,
                c,
            )
        }),
        (Some("s4"), [Type::S32, Type::B32]) => ternary(|a: u32, b: u32, c| {
            pack(
                Int {
                    bits: 4,
                    signed: true,
                },
                a as i32,
                b as i32,
                c,
            )
        }),
        (Some("u2"), [Type::S32, Type::B32]) => ternary(|a: u32, b: u32, c| {
            pack(
                Int {
                    bits: 2,
                    signed: false,
                },
                a as i32,
                b as i32,
                c,
            )
        }),
        (Some("s2"), [Type::S32, Type::B32]) => ternary(|a: u32, b: u32, c| {
            pack(
                Int {
                    bits: 2,
                    signed: true,
                },
                a as i32,
                b as i32,
                c,
            )
        }),
        _ => return Err(l.unknown(i)),
    };
    let slots = if op.types.contains(&word) {
        let [to, a, b, c] = l.operands(i)?;
        vec![
            d(l.dest(to, word)?),
            u(l.source(a, word)?),
            u(l.source(b, word)?),
            u(l.source(c, word)?),
        ]
    } else {
        let [to, a, b] = l.operands(i)?;
        vec![
            d(l.dest(to, word)?),
            u(l.source(a, word)?),
            u(l.source(b, word)?),
        ]
    };
    l.emit(exec, Class::Convert, &slots);
    Ok(())
}
