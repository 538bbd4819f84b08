//! The instructions, one family a file: how each form is read, and what it does to a warp.
//!
//! A form that no family knows is refused at load: a silent guess would be the worst fault.

pub mod address;
pub mod arithmetic;
pub mod asynchronous;
pub mod atomic;
pub mod barrier;
pub mod compare;
pub mod control;
pub mod convert;
pub mod float;
pub mod logic;
pub mod memory;
pub mod movement;
pub mod print;
pub mod special;
pub mod tensor;
pub mod warp;

use crate::code::lower::Lower;
use crate::code::opcode::Opcode;
use crate::module::LoadError;
use crate::ptx::ast::Instruction;

/// Lowers one instruction. What remains of `op` afterwards is a modifier that the family does not know.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<(), LoadError> {
    match op.base {
        "add" | "sub" | "mul" | "mad" | "fma" | "div" | "rem" | "abs" | "neg" | "min" | "max"
        | "sqrt" | "rcp" | "rsqrt" | "sin" | "cos" | "lg2" | "ex2" | "tanh" | "copysign"
        | "testp" | "sad" | "mul24" | "mad24" | "dp4a" | "dp2a" | "addc" | "subc" | "madc" => {
            arithmetic::lower(l, op, i)
        }
        "and" | "or" | "xor" | "not" | "cnot" | "shl" | "shr" | "shf" | "lop3" | "bfe" | "bfi"
        | "brev" | "clz" | "popc" | "bfind" | "prmt" | "fns" | "szext" | "bmsk" => {
            logic::lower(l, op, i)
        }
        "setp" | "set" | "selp" | "slct" => compare::lower(l, op, i),
        "cvt" => convert::lower(l, op, i),
        "mov" => movement::lower(l, op, i),
        "ld" | "ldu" | "st" | "prefetch" | "prefetchu" | "discard" | "applypriority"
        | "createpolicy" => memory::lower(l, op, i),
        "cvta" | "isspacep" => address::lower(l, op, i),
        "atom" | "red" => atomic::lower(l, op, i),
        "shfl" | "vote" | "match" | "redux" | "activemask" | "elect" => warp::lower(l, op, i),
        "bar" | "barrier" | "membar" | "fence" => barrier::lower(l, op, i),
        "bra" | "brx" | "call" | "ret" | "exit" | "trap" | "nanosleep" | "pmevent"
        | "griddepcontrol" | "setmaxnreg" => control::lower(l, op, i),
        "mma" | "ldmatrix" | "stmatrix" | "movmatrix" => tensor::lower(l, op, i),
        "cp" => asynchronous::lower(l, op, i),
        _ => Err(l.unknown(i)),
    }
}
