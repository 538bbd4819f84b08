//! Floating-point arithmetic: which function of [`num`](crate::num) a form is, wrapped in what its modifiers add.

use crate::code::opcode::Opcode;
use crate::machine::rows::{Exec, binary, ternary, unary};
use crate::num::approx;
use crate::num::bits::{copysign_f32, copysign_f64};
use crate::num::float::*;
use crate::num::half::*;
use crate::num::minmax::*;
use crate::num::{Rounding, canonical_f32, flush_f32, pair1, pair2, pair3, saturate_f32};
use crate::ptx::ast::Type;

/// Takes the rounding mode `.rn`, `.rz`, `.rm` or `.rp`, if one is given.
pub fn rounding(op: &mut Opcode) -> Option<Rounding> {
    Some(match op.one_of(&["rn", "rz", "rm", "rp"])? {
        "rn" => Rounding::Nearest,
        "rz" => Rounding::Zero,
        "rm" => Rounding::Down,
        _ => Rounding::Up,
    })
}

/// Gives `$exec` for the rounding mode at hand, `$r` a constant in it.
macro_rules! by_rounding {
    ($rounding:expr, $r:ident => $exec:expr) => {
        match $rounding {
            Rounding::Nearest => {
                const $r: Rounding = Rounding::Nearest;
                $exec
            }
            Rounding::Zero => {
                const $r: Rounding = Rounding::Zero;
                $exec
            }
            Rounding::Down => {
                const $r: Rounding = Rounding::Down;
                $exec
            }
            Rounding::Up => {
                const $r: Rounding = Rounding::Up;
                $exec
            }
        }
    };
}
pub(crate) use by_rounding;

#[inline(always)]
fn x(a: u32) -> f32 {
    f32::from_bits(a)
}

#[inline(always)]
fn z(a: u32) -> f32 {
    flush_f32(f32::from_bits(a))
}

/// `.ftz` around a function of one f32.
fn f32_1(ftz: bool, f: impl Fn(f32) -> f32 + Copy + 'static) -> Exec {
    match ftz {
        false => unary(move |a| f(x(a)).to_bits()),
        true => unary(move |a| flush_f32(f(z(a))).to_bits()),
    }
}

fn f32_2(ftz: bool, f: impl Fn(f32, f32) -> f32 + Copy + 'static) -> Exec {
    match ftz {
        false => binary(move |a, b| f(x(a), x(b)).to_bits()),
        true => binary(move |a, b| flush_f32(f(z(a), z(b))).to_bits()),
    }
}

fn f32_3(ftz: bool, f: impl Fn(f32, f32, f32) -> f32 + Copy + 'static) -> Exec {
    match ftz {
        false => ternary(move |a, b, c| f(x(a), x(b), x(c)).to_bits()),
        true => ternary(move |a, b, c| flush_f32(f(z(a), z(b), z(c))).to_bits()),
    }
}

/// `.sat`: a step of its own behind the operation, since so few instructions have it.
fn saturation(ty: Type) -> Exec {
    match ty {
        Type::F32 => unary(move |a| saturate_f32(x(a)).to_bits()),
        _ => unary(|a: u32| pair1(a, saturate_f16)),
    }
}

/// The operation of a form on floating-point numbers, and what is done with its result; none if there is no such form.
pub fn form(op: &mut Opcode, ty: Type) -> Option<(Exec, Option<Exec>)> {
    let sat = op.flag("sat");
    let arithmetic = matches!(op.base, "add" | "sub" | "mul" | "fma" | "mad");
    if sat && !(arithmetic && matches!(ty, Type::F32 | Type::F16 | Type::F16x2)) {
        return None;
    }
    let exec = match ty {
        Type::F32 => f32x(op),
        Type::F64 => f64x(op),
        Type::F16 | Type::F16x2 | Type::Bf16 | Type::Bf16x2 => f16x(op, ty, sat),
        _ => None,
    };
    Some((exec?, sat.then(|| saturation(ty))))
}

/// Forms on f32.
fn f32x(op: &mut Opcode) -> Option<Exec> {
    let ftz = op.flag("ftz");
    let approx = op.flag("approx");
    let full = op.flag("full");
    let rounding = rounding(op);
    let nan = op.flag("NaN");
    // One without the other remains, and is refused.
    let xorsign = op.flags(&["xorsign", "abs"]);
    let arithmetic = matches!(op.base, "add" | "sub" | "mul" | "fma" | "mad");
    let approximate = matches!(op.base, "rsqrt" | "sin" | "cos" | "lg2" | "ex2" | "tanh");
    let either = matches!(op.base, "div" | "rcp" | "sqrt");
    let extreme = matches!(op.base, "min" | "max");
    if approx && !(approximate || either)
        || full && (op.base != "div" || approx || rounding.is_some())
        || rounding.is_some() && !(arithmetic || either)
        || approx && rounding.is_some()
        || approximate && !approx
        || either && rounding.is_none() && !approx && !full
        || (nan || xorsign) && !extreme
        || ftz && matches!(op.base, "tanh" | "copysign")
    {
        return None;
    }
    let r = rounding.unwrap_or(Rounding::Nearest);
    Some(match op.base {
        "add" => by_rounding!(r, R => f32_2(ftz, |a, b| add_f32(R, a, b))),
        "sub" => by_rounding!(r, R => f32_2(ftz, |a, b| sub_f32(R, a, b))),
        "mul" => by_rounding!(r, R => f32_2(ftz, |a, b| mul_f32(R, a, b))),
        "fma" | "mad" => {
            by_rounding!(rounding?, R => f32_3(ftz, |a, b, c| fma_f32(R, a, b, c)))
        }
        "div" if full => f32_2(ftz, approx::div_full_f32),
        "div" if approx => f32_2(ftz, approx::div_f32),
        "div" => by_rounding!(r, R => f32_2(ftz, |a, b| div_f32(R, a, b))),
        "rcp" if approx => f32_1(ftz, approx::rcp_f32),
        "rcp" => by_rounding!(r, R => f32_1(ftz, |a| rcp_f32(R, a))),
        "sqrt" if approx => f32_1(ftz, approx::sqrt_f32),
        "sqrt" => by_rounding!(r, R => f32_1(ftz, |a| sqrt_f32(R, a))),
        "rsqrt" => f32_1(ftz, approx::rsqrt_f32),
        "sin" => f32_1(ftz, approx::sin_f32),
        "cos" => f32_1(ftz, approx::cos_f32),
        "lg2" => f32_1(ftz, approx::lg2_f32),
        "ex2" => f32_1(ftz, approx::ex2_f32),
        "tanh" => unary(move |a| approx::tanh_f32(x(a)).to_bits()),
        "abs" => f32_1(ftz, |a| canonical_f32(a.abs())),
        "neg" => f32_1(ftz, |a| canonical_f32(-a)),
        // The sign of the first, the magnitude of the second.
        "copysign" => binary(move |a, b| copysign_f32(x(a), x(b)).to_bits()),
        "min" => match (nan, xorsign) {
            (false, false) => f32_2(ftz, min_f32),
            (true, false) => f32_2(ftz, min_nan_f32),
            (false, true) => f32_2(ftz, |a, b| xorsign_f32(a, b, min_f32)),
            (true, true) => f32_2(ftz, |a, b| xorsign_f32(a, b, min_nan_f32)),
        },
        "max" => match (nan, xorsign) {
            (false, false) => f32_2(ftz, max_f32),
            (true, false) => f32_2(ftz, max_nan_f32),
            (false, true) => f32_2(ftz, |a, b| xorsign_f32(a, b, max_f32)),
            (true, true) => f32_2(ftz, |a, b| xorsign_f32(a, b, max_nan_f32)),
        },
        _ => return None,
    })
}

/// Forms on f64.
fn f64x(op: &mut Opcode) -> Option<Exec> {
    let g = |a: u64| f64::from_bits(a);
    let gross = op.flag("approx");
    let ftz = op.flag("ftz");
    let rounding = rounding(op);
    let arithmetic = matches!(
        op.base,
        "add" | "sub" | "mul" | "fma" | "mad" | "div" | "rcp" | "sqrt"
    );
    if gross && (rounding.is_some() || !matches!(op.base, "rcp" | "rsqrt"))
        || ftz && !gross
        || rounding.is_some() && !arithmetic
        // Only rsqrt has a form that keeps subnormals.
        || gross && !ftz && op.base == "rcp"
    {
        return None;
    }
    let r = rounding.unwrap_or(Rounding::Nearest);
    Some(match op.base {
        "add" => by_rounding!(r, R => binary(move |a, b| add_f64(R, g(a), g(b)).to_bits())),
        "sub" => by_rounding!(r, R => binary(move |a, b| sub_f64(R, g(a), g(b)).to_bits())),
        "mul" => by_rounding!(r, R => binary(move |a, b| mul_f64(R, g(a), g(b)).to_bits())),
        "fma" | "mad" => {
            by_rounding!(rounding?, R => ternary(move |a, b, c| fma_f64(R, g(a), g(b), g(c)).to_bits()))
        }
        "div" => by_rounding!(rounding?, R => binary(move |a, b| div_f64(R, g(a), g(b)).to_bits())),
        "rcp" if gross => unary(move |a| approx::rcp_gross_f64(g(a)).to_bits()),
        "rcp" => by_rounding!(rounding?, R => unary(move |a| rcp_f64(R, g(a)).to_bits())),
        "sqrt" => by_rounding!(rounding?, R => unary(move |a| sqrt_f64(R, g(a)).to_bits())),
        "rsqrt" if gross && ftz => unary(move |a| approx::rsqrt_gross_f64(g(a)).to_bits()),
        "rsqrt" if gross => unary(move |a| approx::rsqrt_f64(g(a)).to_bits()),
        "abs" => unary(move |a| g(a).abs().to_bits()),
        "neg" => unary(move |a| (-g(a)).to_bits()),
        "copysign" => binary(move |a, b| copysign_f64(g(a), g(b)).to_bits()),
        "min" => binary(move |a, b| min_f64(g(a), g(b)).to_bits()),
        "max" => binary(move |a, b| max_f64(g(a), g(b)).to_bits()),
        _ => return None,
    })
}

/// Forms on f16 and bf16, one or two in a register.
fn f16x(op: &mut Opcode, ty: Type, sat: bool) -> Option<Exec> {
    let brain = matches!(ty, Type::Bf16 | Type::Bf16x2);
    let two = matches!(ty, Type::F16x2 | Type::Bf16x2);
    let ftz = op.flag("ftz");
    let relu = op.flag("relu");
    let approx = op.flag("approx");
    let nan = op.flag("NaN");
    // One without the other remains, and is refused.
    let xorsign = op.flags(&["xorsign", "abs"]);
    let rounding = rounding(op);
    let arithmetic = matches!(op.base, "add" | "sub" | "mul" | "fma");
    let extreme = matches!(op.base, "min" | "max");
    if !matches!(rounding, None | Some(Rounding::Nearest))
        || rounding.is_some() && !arithmetic
        || op.base == "fma" && rounding.is_none()
        || approx != matches!(op.base, "ex2" | "tanh")
        || (nan || xorsign) && !extreme
        || relu && (op.base != "fma" || sat)
        // Every bf16 form keeps subnormals, but ex2 only flushes, and only that of bf16.
        || ftz && brain && op.base != "ex2"
        || op.base == "ex2" && ftz != brain
        || ftz && op.base == "tanh"
    {
        return None;
    }
    // Only f16 has forms that flush.
    macro_rules! wrapped {
        ($f:expr, $($a:ident),*) => {
            match ftz {
                false => lanes!($f, |r: u16| r, |a: u16| a, $($a),*),
                true => lanes!($f, flush_f16, flush_f16, $($a),*),
            }
        };
    }
    macro_rules! lanes {
        ($f:expr, $out:expr, $in:expr, a) => {
            if two {
                unary(move |a: u32| pair1(a, |a| $out($f($in(a)))))
            } else {
                unary(move |a: u32| $out($f($in(a as u16))) as u32)
            }
        };
        ($f:expr, $out:expr, $in:expr, a, b) => {
            if two {
                binary(move |a: u32, b: u32| pair2(a, b, |a, b| $out($f($in(a), $in(b)))))
            } else {
                binary(move |a: u32, b: u32| $out($f($in(a as u16), $in(b as u16))) as u32)
            }
        };
        ($f:expr, $out:expr, $in:expr, a, b, c) => {
            if two {
                ternary(move |a: u32, b: u32, c: u32| {
                    pair3(a, b, c, |a, b, c| $out($f($in(a), $in(b), $in(c))))
                })
            } else {
                ternary(move |a: u32, b: u32, c: u32| {
                    $out($f($in(a as u16), $in(b as u16), $in(c as u16))) as u32
                })
            }
        };
    }
    macro_rules! plain {
        ($f:expr, $($a:ident),*) => { lanes!($f, |r: u16| r, |a: u16| a, $($a),*) };
    }
    Some(match (op.base, brain) {
        ("add", false) => wrapped!(add_f16, a, b),
        ("sub", false) => wrapped!(sub_f16, a, b),
        ("mul", false) => wrapped!(mul_f16, a, b),
        ("fma", false) if relu && ftz => {
            lanes!(fma_f16, |r: u16| relu_f16(flush_f16(r)), flush_f16, a, b, c)
        }
        ("fma", false) if relu => lanes!(fma_f16, relu_f16, |a: u16| a, a, b, c),
        ("fma", false) => wrapped!(fma_f16, a, b, c),
        ("add", true) => plain!(add_bf16, a, b),
        ("sub", true) => plain!(sub_bf16, a, b),
        ("mul", true) => plain!(mul_bf16, a, b),
        ("fma", true) if relu => lanes!(fma_bf16, relu_bf16, |a: u16| a, a, b, c),
        ("fma", true) => plain!(fma_bf16, a, b, c),
        ("abs", false) => wrapped!(abs_half, a),
        ("neg", false) => wrapped!(neg_half, a),
        ("abs", true) => plain!(abs_half, a),
        ("neg", true) => plain!(neg_half, a),
        ("ex2", false) => wrapped!(approx::ex2_f16, a),
        ("ex2", true) => plain!(approx::ex2_bf16, a),
        ("tanh", false) => plain!(approx::tanh_f16, a),
        ("tanh", true) => plain!(approx::tanh_bf16, a),
        ("min", false) => match (nan, xorsign) {
            (false, false) => wrapped!(min_f16, a, b),
            (true, false) => wrapped!(|a, b| nan_f16(a, b, min_f16), a, b),
            (false, true) => wrapped!(|a, b| xorsign_half(a, b, min_f16), a, b),
            (true, true) => wrapped!(
                |a, b| xorsign_half(a, b, |a, b| nan_f16(a, b, min_f16)),
                a,
                b
            ),
        },
        ("max", false) => match (nan, xorsign) {
            (false, false) => wrapped!(max_f16, a, b),
            (true, false) => wrapped!(|a, b| nan_f16(a, b, max_f16), a, b),
            (false, true) => wrapped!(|a, b| xorsign_half(a, b, max_f16), a, b),
            (true, true) => wrapped!(
                |a, b| xorsign_half(a, b, |a, b| nan_f16(a, b, max_f16)),
                a,
                b
            ),
        },
        ("min", true) => match (nan, xorsign) {
            (false, false) => plain!(min_bf16, a, b),
            (true, false) => plain!(|a, b| nan_bf16(a, b, min_bf16), a, b),
            (false, true) => plain!(|a, b| xorsign_half(a, b, min_bf16), a, b),
            (true, true) => plain!(
                |a, b| xorsign_half(a, b, |a, b| nan_bf16(a, b, min_bf16)),
                a,
                b
            ),
        },
        ("max", true) => match (nan, xorsign) {
            (false, false) => plain!(max_bf16, a, b),
            (true, false) => plain!(|a, b| nan_bf16(a, b, max_bf16), a, b),
            (false, true) => plain!(|a, b| xorsign_half(a, b, max_bf16), a, b),
            (true, true) => plain!(
                |a, b| xorsign_half(a, b, |a, b| nan_bf16(a, b, max_bf16)),
                a,
                b
            ),
        },
        _ => return None,
    })
}
