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
    let Some((exec, imm)) = form(op, to, from) else {
        return Err(l.unknown(i));
    };
    let [result, source] = l.operands(i)?;
    // Both may be wider than the types say.
    let source = l.relaxed_source(source, from)?;
    let (result, wide) = l.relaxed_dest(result, to)?;
    l.emit(exec, Class::Convert, &[d(result), u(source)]).imm = imm;
    l.widen(result, wide, to);
    Ok(())
}

fn integer(ty: Type) -> Option<Int> {
    use Type::*;
    matches!(ty, U8 | S8 | U16 | S16 | U32 | S32 | U64 | S64).then_some(Int {
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

/// Gives `$exec` for the one of the two rounding modes at hand that forms with packed or short results have.
macro_rules! by_either {
    ($rounding:expr, $r:ident => $exec:expr) => {
        if $rounding == Rounding::Nearest {
            const $r: Rounding = Rounding::Nearest;
            $exec
        } else {
            const $r: Rounding = Rounding::Zero;
            $exec
        }
    };
}

/// A conversion that no loop is full of: there are many, and so they have one function for all instead of code for each.
#[derive(Clone, Copy)]
struct Rare {
    from: Type,
    to: Type,
    rounding: Rounding,
    integral: Integral,
    ftz: bool,
    sat: bool,
    relu: bool,
    finite: bool,
}

/// The types of [`Rare`].
const TYPES: [Type; 12] = {
    use Type::*;
    [U8, S8, U16, S16, U32, S32, U64, S64, F16, Bf16, F32, F64]
};
const ROUNDINGS: [Rounding; 4] = {
    use Rounding::*;
    [Nearest, Zero, Down, Up]
};
const INTEGRALS: [Integral; 4] = {
    use Integral::*;
    [Nearest, Zero, Down, Up]
};

impl Rare {
    fn new(to: Type, from: Type) -> Rare {
        Rare {
            from,
            to,
            rounding: Rounding::Nearest,
            integral: Integral::Nearest,
            ftz: false,
            sat: false,
            relu: false,
            finite: false,
        }
    }

    /// The operation with what it needs to know.
    fn form(self) -> Form {
        fn index<T: PartialEq>(all: &[T], one: T) -> i64 {
            let index = all.iter().position(|other| *other == one);
            index.expect("one of them") as i64
        }
        let flags = [self.ftz, self.sat, self.relu, self.finite];
        let flags = flags
            .iter()
            .rev()
            .fold(0, |bits, flag| bits << 1 | *flag as i64);
        let imm = index(&TYPES, self.from)
            | index(&TYPES, self.to) << 8
            | index(&ROUNDINGS, self.rounding) << 16
            | index(&INTEGRALS, self.integral) << 24
            | flags << 32;
        (rare, imm)
    }

    fn of(imm: i64) -> Rare {
        let byte = |n: u32| (imm >> (8 * n)) as u8 as usize;
        let flag = |n: u32| byte(4) >> n & 1 != 0;
        Rare {
            from: TYPES[byte(0)],
            to: TYPES[byte(1)],
            rounding: ROUNDINGS[byte(2)],
            integral: INTEGRALS[byte(3)],
            ftz: flag(0),
            sat: flag(1),
            relu: flag(2),
            finite: flag(3),
        }
    }

    fn convert(self, a: u64) -> u64 {
        let (r, how) = (self.rounding, self.integral);
        let flushed = |x: f32| if self.ftz { flush_f32(x) } else { x };
        match (integer(self.from), integer(self.to)) {
            (Some(from), Some(to)) => int_to_int(from, to, self.sat, from.extend(a)),
            (Some(from), None) => {
                let a = from.extend(a);
                match self.to {
                    Type::F32 => self.single(int_to_f32(r, from, a)),
                    Type::F64 if self.sat => saturate_f64(int_to_f64(r, from, a)).to_bits(),
                    Type::F64 => int_to_f64(r, from, a).to_bits(),
                    Type::F16 => self.half(int_to_f16(r, from, a)),
                    _ => self.half(int_to_bf16(r, from, a)),
                }
            }
            (None, Some(to)) => match self.from {
                Type::F64 => f64_to_int(how, to, f64::from_bits(a)),
                Type::F32 => f32_to_int(how, to, flushed(f32::from_bits(a as u32))),
                Type::F16 => f32_to_int(how, to, f16_to_f32(a as u16)),
                _ => f32_to_int(how, to, bf16_to_f32(a as u16)),
            },
            (None, None) => match (self.from, self.to) {
                (Type::F64, Type::F32) => self.single(f64_to_f32(r, f64::from_bits(a))),
                (Type::F64, Type::F16) => self.half(f64_to_f16(r, f64::from_bits(a))),
                (Type::F64, _) => self.half(f64_to_bf16(r, f64::from_bits(a))),
                (Type::F16, _) => self.half(f32_to_bf16(r, f16_to_f32(a as u16))),
                (Type::Bf16, _) => self.half(f32_to_f16(r, bf16_to_f32(a as u16))),
                (_, Type::F16) => self.half(f32_to_f16(r, flushed(f32::from_bits(a as u32)))),
                _ => self.half(f32_to_bf16(r, f32::from_bits(a as u32))),
            },
        }
    }

    /// An f32 result with its modifiers.
    fn single(self, x: f32) -> u64 {
        let x = if self.ftz { flush_f32(x) } else { x };
        let x = if self.sat { saturate_f32(x) } else { x };
        x.to_bits() as u64
    }

    /// A result of 16 bits with its modifiers.
    fn half(self, x: u16) -> u64 {
        let brain = self.to == Type::Bf16;
        let x = match (self.relu, brain) {
            (true, true) => relu_bf16(x),
            (true, false) => relu_f16(x),
            _ => x,
        };
        let x = match (self.finite, brain) {
            (true, true) => finite_bf16(x),
            (true, false) => finite_f16(x),
            _ => x,
        };
        (if self.sat { saturate_f16(x) } else { x }) as u64
    }
}

unsafe fn rare(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let rare = Rare::of(i.imm);
    let long = |ty: Type| Width::of(ty) == Width::Long;
    // SAFETY: the rows are the instruction's own, as wide as its types.
    unsafe {
        let a: [u64; LANES] = match long(rare.from) {
            true => w.load(i.args[1]),
            false => w.load::<u32>(i.args[1]).map(u64::from),
        };
        let d = a.map(|a| rare.convert(a));
        match long(rare.to) {
            true => w.store(i.args[0], &d, mask),
            false => w.store(i.args[0], &d.map(|d| d as u32), mask),
        }
    }
    Flow::Next
}

/// An operation, and what it finds in [`Instr::imm`].
type Form = (Exec, i64);

/// The operation of `cvt.to.from`; none if there is no such form.
fn form(op: &mut Opcode, to: Type, from: Type) -> Option<Form> {
    use Type::*;
    let ftz = op.flag("ftz");
    let sat = op.flag("sat");
    let rare = Rare {
        ftz,
        sat,
        ..Rare::new(to, from)
    };
    let exec = match (integer(from), integer(to)) {
        (Some(_), Some(_)) => {
            if ftz {
                return None;
            }
            match (from, to) {
                _ if sat => return Some(rare.form()),
                (U32 | S32, U32 | S32) => unary(|a: u32| a),
                (U32, U64 | S64) => unary(|a: u32| a as u64),
                (S32, U64 | S64) => unary(|a: u32| a as i32 as i64 as u64),
                (U64 | S64, U32 | S32) => unary(|a: u64| a as u32),
                (U8, U16 | S16 | U32 | S32) => unary(|a: u32| a & 0xFF),
                (S8, U32 | S32) => unary(|a: u32| a as i8 as u32),
                (U16, U32 | S32) => unary(|a: u32| a & 0xFFFF),
                (S16, U32 | S32) => unary(|a: u32| a as i16 as u32),
                (U16 | S16 | U32 | S32, U8) => unary(|a: u32| a & 0xFF),
                (U32 | S32, U16) => unary(|a: u32| a & 0xFFFF),
                (U32 | S32, S16) => unary(|a: u32| a as i16 as u32),
                _ => return Some(rare.form()),
            }
        }
        (Some(_), None) => {
            let rounding = rounding(op)?;
            if ftz && to != F32 || sat && !matches!(to, F16 | F32 | F64) {
                return None;
            }
            match (from, to) {
                (S32, F32) if !sat => {
                    by_rounding!(rounding, R => unary(|a: u32| s32_to_f32(R, a as i32).to_bits()))
                }
                (U32, F32) if !sat => {
                    by_rounding!(rounding, R => unary(|a: u32| u32_to_f32(R, a).to_bits()))
                }
                (S32, F64) if !sat => unary(|a: u32| (a as i32 as f64).to_bits()),
                (_, F16 | Bf16 | F32 | F64) => return Some(Rare { rounding, ..rare }.form()),
                _ => return None,
            }
        }
        (None, Some(_)) => {
            let integral = integral(op)?;
            if ftz && from != F32 {
                return None;
            }
            // Out of range is cut to the range with or without .sat.
            match (from, to) {
                (F32, S32) if !ftz => {
                    by_integral!(integral, R => unary(|a: u32| f32_to_s32(R, f32::from_bits(a)) as u32))
                }
                (F32, U32) if !ftz => {
                    by_integral!(integral, R => unary(|a: u32| f32_to_u32(R, f32::from_bits(a))))
                }
                (F16 | Bf16 | F32 | F64, _) => return Some(Rare { integral, ..rare }.form()),
                _ => return None,
            }
        }
        (None, None) => return floats(op, rare),
    };
    Some((exec, 0))
}

/// Between floating-point types.
fn floats(op: &mut Opcode, rare: Rare) -> Option<Form> {
    use Type::*;
    let Rare {
        from, to, ftz, sat, ..
    } = rare;
    let f = |a: u32| f32::from_bits(a);
    let g = |a: u64| f64::from_bits(a);
    if to == from {
        // To an integral value of the same type; with no mode it is a move that may flush or saturate.
        let exec = match (to, integral(op), ftz, sat) {
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
        };
        return Some((exec, 0));
    }
    let exec = match (from, to) {
        // Widening is exact; what .ftz flushes is the f32 side.
        (F16, F32) => match sat {
            false => unary(|a: u32| f16_to_f32(a as u16).to_bits()),
            true => unary(|a: u32| saturate_f32(f16_to_f32(a as u16)).to_bits()),
        },
        (Bf16, F32) if !sat => match ftz {
            false => unary(|a: u32| bf16_to_f32(a as u16).to_bits()),
            true => unary(|a: u32| flush_f32(bf16_to_f32(a as u16)).to_bits()),
        },
        (F16, F64) if !ftz => match sat {
            false => unary(|a: u32| f16_to_f64(a as u16).to_bits()),
            true => unary(|a: u32| saturate_f64(f16_to_f64(a as u16)).to_bits()),
        },
        (Bf16, F64) if !ftz && !sat => unary(|a: u32| bf16_to_f64(a as u16).to_bits()),
        (F32, F64) => match (ftz, sat) {
            (false, false) => unary(move |a: u32| (f(a) as f64).to_bits()),
            (true, false) => unary(move |a: u32| (flush_f32(f(a)) as f64).to_bits()),
            (false, true) => unary(move |a: u32| saturate_f64(f(a) as f64).to_bits()),
            (true, true) => unary(move |a: u32| saturate_f64(flush_f32(f(a)) as f64).to_bits()),
        },
        (F64, F32) => match rounding(op)? {
            Rounding::Nearest if !ftz && !sat => {
                unary(move |a: u64| f64_to_f32(Rounding::Nearest, g(a)).to_bits())
            }
            rounding => return Some(Rare { rounding, ..rare }.form()),
        },
        (F32, F16 | Bf16) => {
            let rounding = rounding(op)?;
            let (relu, finite) = (op.flag("relu"), op.flag("satfinite"));
            if (ftz || sat) && (relu || finite || to == Bf16) {
                return None;
            }
            const R: Rounding = Rounding::Nearest;
            let plain = rounding == R && !ftz && !sat && !finite;
            match (plain, to, relu) {
                (true, F16, false) => unary(move |a: u32| f32_to_f16(R, f(a)) as u32),
                (true, F16, true) => unary(move |a: u32| relu_f16(f32_to_f16(R, f(a))) as u32),
                (true, _, false) => unary(move |a: u32| f32_to_bf16(R, f(a)) as u32),
                (true, _, true) => unary(move |a: u32| relu_bf16(f32_to_bf16(R, f(a))) as u32),
                _ => {
                    return Some(
                        Rare {
                            rounding,
                            relu,
                            finite,
                            ..rare
                        }
                        .form(),
                    );
                }
            }
        }
        (F32, Tf32) if !ftz && !sat => {
            let relu = op.flag("relu");
            let finite = op.flag("satfinite");
            if op.flag("rna") {
                match (relu, finite) {
                    (false, false) => unary(move |a: u32| f32_to_tf32_away(f(a))),
                    (false, true) => unary(move |a: u32| finite_tf32(f32_to_tf32_away(f(a)))),
                    _ => return None,
                }
            } else {
                let r = rounding(op).filter(|r| matches!(r, Rounding::Nearest | Rounding::Zero))?;
                by_either!(r, R => match (relu, finite) {
                    (false, false) => unary(move |a: u32| f32_to_tf32(R, f(a))),
                    (true, false) => unary(move |a: u32| f32_to_tf32(R, relu_f32(f(a)))),
                    (false, true) => unary(move |a: u32| finite_tf32(f32_to_tf32(R, f(a)))),
                    (true, true) => unary(move |a: u32| finite_tf32(f32_to_tf32(R, relu_f32(f(a))))),
                })
            }
        }
        (F64, F16) if !ftz => {
            let rounding = rounding(op)?;
            return Some(Rare { rounding, ..rare }.form());
        }
        (F64, Bf16) | (F16, Bf16) | (Bf16, F16) if !ftz && !sat => {
            let rounding = rounding(op)?;
            return Some(Rare { rounding, ..rare }.form());
        }
        _ => return None,
    };
    Some((exec, 0))
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
    let exec = by_either!(r, R => match (brain, relu, finite) {
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
