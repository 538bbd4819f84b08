//! Integer arithmetic.

use crate::harness::*;

const MIN: u64 = 0x8000_0000;
const TOP: u64 = 0x7FFF_FFFF;
const ONES: u64 = 0xFFFF_FFFF;
const MIN64: u64 = 1 << 63;
const ALL: u64 = u64::MAX;

pub fn family() -> Family {
    let mut tables = sums();
    tables.extend(products());
    tables.extend(quotients());
    tables.extend(extremes());
    tables.extend(carries());
    tables.extend(dots());
    Family {
        tables,
        programs: vec![],
    }
}

/// add, sub, abs, neg: they wrap around, .sat does not.
fn sums() -> Vec<Table> {
    let mut all = Vec::new();
    for ty in ["u32", "s32"] {
        all.push(table(
            &format!("add.{ty} %d, %a, %b;"),
            "rr>r",
            &[[1, 2, 3], [ONES, 1, 0], [TOP, 1, MIN], [MIN, MIN, 0]],
        ));
        all.push(table(
            &format!("sub.{ty} %d, %a, %b;"),
            "rr>r",
            &[[1, 2, ONES], [0, MIN, MIN], [MIN, 1, TOP]],
        ));
    }
    for ty in ["u64", "s64"] {
        all.push(table(
            &format!("add.{ty} %d, %a, %b;"),
            "dd>d",
            &[[ONES, 1, 1 << 32], [ALL, 1, 0], [MIN64 - 1, 1, MIN64]],
        ));
        all.push(table(
            &format!("sub.{ty} %d, %a, %b;"),
            "dd>d",
            &[[1 << 32, 1, ONES], [0, 1, ALL], [0, MIN64, MIN64]],
        ));
    }
    for ty in ["u16", "s16"] {
        all.push(table(
            &format!("add.{ty} %d, %a, %b;"),
            "hh>h",
            &[[0xFFFF, 1, 0], [0x7FFF, 1, 0x8000]],
        ));
        all.push(table(
            &format!("sub.{ty} %d, %a, %b;"),
            "hh>h",
            &[[0, 1, 0xFFFF], [0x8000, 1, 0x7FFF]],
        ));
    }
    all.extend([
        table(
            "add.sat.s32 %d, %a, %b;",
            "rr>r",
            &[[TOP, 1, TOP], [MIN, s(-1), MIN], [5, s(-7), s(-2)]],
        ),
        table(
            "sub.sat.s32 %d, %a, %b;",
            "rr>r",
            &[[MIN, 1, MIN], [0, MIN, TOP], [5, 7, s(-2)]],
        ),
        table("abs.s32 %d, %a;", "r>r", &[[s(-5), 5], [MIN, MIN], [0, 0]]),
        table("abs.s64 %d, %a;", "d>d", &[[l(-5), 5], [MIN64, MIN64]]),
        table("abs.s16 %d, %a;", "h>h", &[[0xFFFB, 5], [0x8000, 0x8000]]),
        table("neg.s32 %d, %a;", "r>r", &[[5, s(-5)], [MIN, MIN], [0, 0]]),
        table(
            "neg.s64 %d, %a;",
            "d>d",
            &[[5, l(-5)], [MIN64, MIN64], [0, 0]],
        ),
        table("neg.s16 %d, %a;", "h>h", &[[5, 0xFFFB], [0x8000, 0x8000]]),
        // Constants stand where a register may, in every base.
        table("add.s32 %d, %a, -1;", "r>r", &[[0, ONES], [5, 4]]),
        table("add.s32 %d, 0x10, %a;", "r>r", &[[1, 17]]),
        table(
            "add.s64 %d, %a, -9223372036854775808;",
            "d>d",
            &[[1, MIN64 + 1]],
        ),
        table("add.u32 %d, %a, 0xFFFFFFFFU;", "r>r", &[[1, 0]]),
        // The result may be a source.
        table("mov.b32 %d, %a; add.s32 %d, %d, %d;", "r>r", &[[21, 42]]),
    ]);
    all
}

fn products() -> Vec<Table> {
    let mut all = Vec::new();
    for ty in ["u32", "s32"] {
        all.push(table(
            &format!("mul.lo.{ty} %d, %a, %b;"),
            "rr>r",
            &[
                [0x10000, 0x10001, 0x10000],
                [ONES, ONES, 1],
                [MIN, ONES, MIN],
            ],
        ));
        all.push(table(
            &format!("mad.lo.{ty} %d, %a, %b, %c;"),
            "rrr>r",
            &[[ONES, 3, 5, 2], [0x10000, 0x10000, 7, 7]],
        ));
    }
    for ty in ["u64", "s64"] {
        all.push(table(
            &format!("mul.lo.{ty} %d, %a, %b;"),
            "dd>d",
            &[[1 << 32, (1 << 32) + 3, 3 << 32], [ALL, ALL, 1]],
        ));
        all.push(table(
            &format!("mad.lo.{ty} %d, %a, %b, %c;"),
            "ddd>d",
            &[[ALL, 3, 5, 2]],
        ));
    }
    for ty in ["u16", "s16"] {
        all.push(table(
            &format!("mul.lo.{ty} %d, %a, %b;"),
            "hh>h",
            &[[0x101, 0x100, 0x100], [0xFFFF, 0xFFFF, 1]],
        ));
        all.push(table(
            &format!("mad.lo.{ty} %d, %a, %b, %c;"),
            "hhh>h",
            &[[0xFFFF, 3, 5, 2]],
        ));
    }
    all.extend([
        table(
            "mul.hi.u32 %d, %a, %b;",
            "rr>r",
            &[[ONES, ONES, 0xFFFF_FFFE], [0x10000, 0x10000, 1], [3, 5, 0]],
        ),
        table(
            "mul.hi.s32 %d, %a, %b;",
            "rr>r",
            &[[ONES, ONES, 0], [MIN, MIN, 0x4000_0000], [s(-1), 1, ONES]],
        ),
        table(
            "mul.hi.u64 %d, %a, %b;",
            "dd>d",
            &[[ALL, ALL, ALL - 1], [1 << 32, 1 << 32, 1]],
        ),
        table(
            "mul.hi.s64 %d, %a, %b;",
            "dd>d",
            &[[ALL, ALL, 0], [MIN64, MIN64, 1 << 62], [ALL, 1, ALL]],
        ),
        table(
            "mul.hi.u16 %d, %a, %b;",
            "hh>h",
            &[[0xFFFF, 0xFFFF, 0xFFFE], [0x100, 0x100, 1]],
        ),
        table(
            "mul.hi.s16 %d, %a, %b;",
            "hh>h",
            &[
                [0xFFFF, 0xFFFF, 0],
                [0x8000, 0x8000, 0x4000],
                [0xFFFF, 1, 0xFFFF],
            ],
        ),
        table(
            "mul.wide.u32 %d, %a, %b;",
            "rr>d",
            &[[ONES, ONES, 0xFFFF_FFFE_0000_0001], [ONES, 1, ONES]],
        ),
        table(
            "mul.wide.s32 %d, %a, %b;",
            "rr>d",
            &[
                [ONES, ONES, 1],
                [MIN, 1, 0xFFFF_FFFF_8000_0000],
                [MIN, MIN, 1 << 62],
            ],
        ),
        table(
            "mul.wide.s32 %d, %a, 4;",
            "r>d",
            &[[s(-3), l(-12)], [MIN, l(-(1 << 33))]],
        ),
        table(
            "mul.wide.u16 %d, %a, %b;",
            "hh>r",
            &[[0xFFFF, 0xFFFF, 0xFFFE_0001]],
        ),
        table(
            "mul.wide.s16 %d, %a, %b;",
            "hh>r",
            &[[0xFFFF, 2, s(-2)], [0x8000, 0x8000, 0x4000_0000]],
        ),
        table("mad.hi.u32 %d, %a, %b, %c;", "rrr>r", &[[ONES, ONES, 3, 1]]),
        table(
            "mad.hi.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[MIN, MIN, 1, 0x4000_0001], [s(-1), 1, 1, 0]],
        ),
        // The sum is cut to the range, after the product's upper half.
        table(
            "mad.hi.sat.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [MIN, MIN, TOP, TOP],
                [MIN, TOP, MIN, MIN],
                [MIN, MIN, 1, 0x4000_0001],
            ],
        ),
        table("mad.hi.u64 %d, %a, %b, %c;", "ddd>d", &[[ALL, ALL, 3, 1]]),
        table(
            "mad.hi.s64 %d, %a, %b, %c;",
            "ddd>d",
            &[[ALL, 1, 1, 0], [MIN64, MIN64, 1, (1 << 62) + 1]],
        ),
        table(
            "mad.hi.u16 %d, %a, %b, %c;",
            "hhh>h",
            &[[0xFFFF, 0xFFFF, 3, 1]],
        ),
        table(
            "mad.hi.s16 %d, %a, %b, %c;",
            "hhh>h",
            &[[0x8000, 0x8000, 1, 0x4001], [0xFFFF, 1, 1, 0]],
        ),
        table(
            "mad.wide.u32 %d, %a, %b, %c;",
            "rrd>d",
            &[[ONES, ONES, 0xFFFF_FFFF, 0xFFFF_FFFF_0000_0000]],
        ),
        table(
            "mad.wide.s32 %d, %a, %b, %c;",
            "rrd>d",
            &[[s(-1), 1, 5, 4], [MIN, 2, ALL, 0xFFFF_FFFE_FFFF_FFFF]],
        ),
        table(
            "mad.wide.u16 %d, %a, %b, %c;",
            "hhr>r",
            &[[0xFFFF, 0xFFFF, 0x1FFFF, 0]],
        ),
        table(
            "mad.wide.s16 %d, %a, %b, %c;",
            "hhr>r",
            &[[0xFFFF, 1, 5, 4]],
        ),
        // 24 bits of each source, a product of 48.
        table(
            "mul24.lo.u32 %d, %a, %b;",
            "rr>r",
            &[[0xFF00_0003, 5, 15], [0xFF_FFFF, 0xFF_FFFF, 0xFE00_0001]],
        ),
        table(
            "mul24.hi.u32 %d, %a, %b;",
            "rr>r",
            &[[0xFF_FFFF, 0xFF_FFFF, 0xFFFF_FE00], [3, 5, 0]],
        ),
        table(
            "mul24.lo.s32 %d, %a, %b;",
            "rr>r",
            &[[0xFF_FFFF, 5, s(-5)], [0x80_0000, 2, s(-(1 << 24))]],
        ),
        // -2^23 squared is 2^46, whose upper 32 of 48 bits are 2^30.
        table(
            "mul24.hi.s32 %d, %a, %b;",
            "rr>r",
            &[[0x80_0000, 0x80_0000, 1 << 30], [0xFF_FFFF, 1, ONES]],
        ),
        table(
            "mad24.lo.u32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFF00_0003, 5, 6, 21]],
        ),
        table(
            "mad24.hi.u32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFF_FFFF, 0xFF_FFFF, 0x201, 1]],
        ),
        table(
            "mad24.lo.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFF_FFFF, 5, 6, 1]],
        ),
        table(
            "mad24.hi.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFF_FFFF, 1, 3, 2]],
        ),
        table(
            "mad24.hi.sat.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0x80_0000, 0x80_0000, TOP, TOP], [0xFF_FFFF, 1, MIN, MIN]],
        ),
    ]);
    all
}

/// Division by zero gives a value that the ISA does not say: only that it goes on is checked.
fn quotients() -> Vec<Table> {
    vec![
        table(
            "div.u32 %d, %a, %b;",
            "rr>r",
            &[[7, 2, 3], [ONES, 1, ONES], [MIN, ONES, 0]],
        ),
        table(
            "div.s32 %d, %a, %b;",
            "rr>r",
            &[
                [s(-7), 2, s(-3)],
                [7, s(-2), s(-3)],
                [MIN, ONES, MIN],
                [TOP, ONES, s(-i32::MAX)],
            ],
        ),
        table(
            "div.u64 %d, %a, %b;",
            "dd>d",
            &[[7, 2, 3], [ALL, 1 << 32, ONES]],
        ),
        table(
            "div.s64 %d, %a, %b;",
            "dd>d",
            &[[l(-7), 2, l(-3)], [MIN64, ALL, MIN64]],
        ),
        table("div.u16 %d, %a, %b;", "hh>h", &[[0xFFFF, 2, 0x7FFF]]),
        table(
            "div.s16 %d, %a, %b;",
            "hh>h",
            &[[0xFFF9, 2, 0xFFFD], [0x8000, 0xFFFF, 0x8000]],
        ),
        table("rem.u32 %d, %a, %b;", "rr>r", &[[7, 2, 1], [ONES, 16, 15]]),
        // The sign is that of the first operand.
        table(
            "rem.s32 %d, %a, %b;",
            "rr>r",
            &[[s(-7), 2, s(-1)], [7, s(-2), 1], [MIN, ONES, 0]],
        ),
        table("rem.u64 %d, %a, %b;", "dd>d", &[[ALL, 1 << 32, ONES]]),
        table(
            "rem.s64 %d, %a, %b;",
            "dd>d",
            &[[l(-7), 2, l(-1)], [MIN64, ALL, 0]],
        ),
        table("rem.u16 %d, %a, %b;", "hh>h", &[[0xFFFF, 16, 15]]),
        table(
            "rem.s16 %d, %a, %b;",
            "hh>h",
            &[[0xFFF9, 2, 0xFFFF], [0x8000, 0xFFFF, 0]],
        ),
        table(
            "mov.b32 %f, 0; div.s32 %d, %a, %f; rem.s32 %d, %a, %f; div.u32 %d, %a, %f; rem.u32 %d, %a, %f; mov.b32 %d, 7;",
            "r>rr",
            &[[5, 7, 0], [MIN, 7, 0]],
        ),
        table(
            "mov.b64 %f, 0; div.s64 %d, %a, %f; rem.s64 %d, %a, %f; div.u64 %d, %a, %f; rem.u64 %d, %a, %f; mov.b64 %d, 7;",
            "d>dd",
            &[[5, 7, 0], [MIN64, 7, 0]],
        ),
        table(
            "mov.b16 %f, 0; div.s16 %d, %a, %f; rem.s16 %d, %a, %f; div.u16 %d, %a, %f; rem.u16 %d, %a, %f; mov.b16 %d, 7;",
            "h>hh",
            &[[5, 7, 0]],
        ),
    ]
}

fn extremes() -> Vec<Table> {
    vec![
        table(
            "min.u32 %d, %a, %b;",
            "rr>r",
            &[[ONES, 1, 1], [MIN, TOP, TOP]],
        ),
        table(
            "min.s32 %d, %a, %b;",
            "rr>r",
            &[[ONES, 1, ONES], [MIN, TOP, MIN]],
        ),
        table(
            "max.u32 %d, %a, %b;",
            "rr>r",
            &[[ONES, 1, ONES], [MIN, TOP, MIN]],
        ),
        table(
            "max.s32 %d, %a, %b;",
            "rr>r",
            &[[ONES, 1, 1], [MIN, TOP, TOP]],
        ),
        table(
            "min.relu.s32 %d, %a, %b;",
            "rr>r",
            &[[ONES, 1, 0], [5, 3, 3]],
        ),
        table(
            "max.relu.s32 %d, %a, %b;",
            "rr>r",
            &[[ONES, MIN, 0], [5, 3, 5]],
        ),
        table("min.u64 %d, %a, %b;", "dd>d", &[[ALL, 1, 1]]),
        table("min.s64 %d, %a, %b;", "dd>d", &[[ALL, 1, ALL]]),
        table("max.u64 %d, %a, %b;", "dd>d", &[[ALL, 1, ALL]]),
        table("max.s64 %d, %a, %b;", "dd>d", &[[ALL, 1, 1]]),
        table("min.u16 %d, %a, %b;", "hh>h", &[[0xFFFF, 1, 1]]),
        table("min.s16 %d, %a, %b;", "hh>h", &[[0xFFFF, 1, 0xFFFF]]),
        table("max.u16 %d, %a, %b;", "hh>h", &[[0xFFFF, 1, 0xFFFF]]),
        table("max.s16 %d, %a, %b;", "hh>h", &[[0xFFFF, 1, 1]]),
        // What 16-bit arithmetic leaves above bit 15 of a register must not be seen.
        table(
            "sub.s16 %f, %a, %b; max.u16 %d, %f, 5; min.s16 %f, %f, 5;",
            "hh>hh",
            &[[0, 1, 0xFFFF, 0xFFFF]],
        ),
        table(
            "sad.u32 %d, %a, %b, %c;",
            "rrr>r",
            &[[1, ONES, 3, 1], [5, 3, 1, 3]],
        ),
        table(
            "sad.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[1, ONES, 3, 5], [MIN, TOP, 0, ONES]],
        ),
        table("sad.u64 %d, %a, %b, %c;", "ddd>d", &[[1, ALL, 3, 1]]),
        table("sad.s64 %d, %a, %b, %c;", "ddd>d", &[[1, ALL, 3, 5]]),
        table("sad.u16 %d, %a, %b, %c;", "hhh>h", &[[1, 0xFFFF, 3, 1]]),
        table("sad.s16 %d, %a, %b, %c;", "hhh>h", &[[1, 0xFFFF, 3, 5]]),
    ]
}

/// The condition code: a carry after a sum, a borrow after a difference.
fn carries() -> Vec<Table> {
    let mut all = Vec::new();
    for ty in ["u32", "s32"] {
        all.push(table(
            &format!("add.cc.{ty} %d, %a, %b; addc.{ty} %f, 0, 0;"),
            "rr>rr",
            &[
                [ONES, 1, 0, 1],
                [TOP, 1, MIN, 0],
                [MIN, MIN, 0, 1],
                [1, 2, 3, 0],
            ],
        ));
        all.push(table(
            &format!("sub.cc.{ty} %d, %a, %b; subc.{ty} %f, 10, 0;"),
            "rr>rr",
            &[
                [0, 1, ONES, 9],
                [1, 0, 1, 10],
                [5, 5, 0, 10],
                [0, ONES, 1, 9],
            ],
        ));
        all.push(table(
            &format!("mad.lo.cc.{ty} %d, %a, %b, %c; madc.hi.{ty} %f, 0, 0, 0;"),
            "rrr>rr",
            &[
                [0x10000, 0xFFFF, 0xFFFF, ONES, 0],
                [0x10000, 0xFFFF, 0x10000, 0, 1],
            ],
        ));
    }
    for ty in ["u64", "s64"] {
        all.push(table(
            &format!("add.cc.{ty} %d, %a, %b; addc.{ty} %f, 0, 0;"),
            "dd>dd",
            &[[ALL, 1, 0, 1], [1, 2, 3, 0]],
        ));
        all.push(table(
            &format!("sub.cc.{ty} %d, %a, %b; subc.{ty} %f, 10, 0;"),
            "dd>dd",
            &[[0, 1, ALL, 9], [1, 1, 0, 10]],
        ));
    }
    all.extend([
        // The carry goes through a middle word of all ones: a + b + 1 = a is a carry too.
        table(
            "add.cc.u32 %d, %a, 1; addc.cc.u32 %f, %b, %c; addc.u32 %g, 0, 0;",
            "rrr>rrr",
            &[
                [ONES, 5, ONES, 0, 5, 1],
                [0, 5, ONES, 1, 4, 1],
                [ONES, ONES, 0, 0, 0, 1],
                [0, ONES, 0, 1, ONES, 0],
            ],
        ),
        table(
            "sub.cc.u32 %d, %a, 1; subc.cc.u32 %f, %b, %c; subc.u32 %g, 10, 0;",
            "rrr>rrr",
            &[
                [0, 5, ONES, ONES, 5, 9],
                [1, 5, 5, 0, 0, 10],
                [0, 0, 0, ONES, ONES, 9],
            ],
        ),
        table(
            "add.cc.u64 %d, %a, 1; addc.cc.u64 %f, %b, %c; addc.u64 %g, 0, 0;",
            "ddd>ddd",
            &[[ALL, 5, ALL, 0, 5, 1]],
        ),
        // 64 x 64 bits from words: (2^32 + 3) * 5 in two steps of mad.
        table(
            "mad.lo.cc.u32 %d, %a, %b, 0; madc.hi.u32 %f, %a, %b, %c;",
            "rrr>rr",
            &[[ONES, ONES, 7, 1, 5], [3, 5, 5, 15, 5]],
        ),
        table(
            "add.cc.u32 %d, %a, %b; madc.lo.cc.u32 %f, %c, 1, 0; addc.u32 %g, 0, 0;",
            "rrr>rrr",
            &[[ONES, 1, ONES, 0, 0, 1], [1, 1, ONES, 2, ONES, 0]],
        ),
        // The result may be a source, and the guard's code stays with the lane.
        table(
            "mov.b32 %d, %a; add.cc.u32 %d, %d, %d; addc.u32 %f, 0, 0;",
            "r>rr",
            &[[MIN, 0, 1], [1, 2, 0]],
        ),
    ]);
    all
}

fn dots() -> Vec<Table> {
    // 0x80 is 128 or -128, 0xFF 255 or -1.
    let (a, b) = (0x80FF_0102, 0x0203_04FF);
    vec![
        table(
            "dp4a.u32.u32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [a, b, 10, 128 * 2 + 255 * 3 + 4 + 2 * 255 + 10],
                [ONES, ONES, ONES, 4 * 255 * 255 - 1],
            ],
        ),
        table(
            "dp4a.s32.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[a, b, 10, s(-128 * 2 - 3 + 4 - 2 + 10)]],
        ),
        table(
            "dp4a.u32.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[a, b, 0, s(128 * 2 + 255 * 3 + 4 - 2)]],
        ),
        table(
            "dp4a.s32.u32 %d, %a, %b, %c;",
            "rrr>r",
            &[[a, b, 0, s(-128 * 2 - 3 + 4 + 2 * 255)]],
        ),
        // The 16-bit halves of a with the lower or upper bytes of b.
        table(
            "dp2a.lo.u32.u32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFFFF_0002, 0x0304_FF05, 1, 65535 * 255 + 2 * 5 + 1]],
        ),
        table(
            "dp2a.hi.u32.u32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFFFF_0002, 0x0304_FF05, 1, 65535 * 3 + 2 * 4 + 1]],
        ),
        table(
            "dp2a.lo.s32.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFFFF_0002, 0x0304_FF05, 1, 1 + 10 + 1]],
        ),
        table(
            "dp2a.hi.s32.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFFFF_0002, 0x0304_FF05, 1, s(-3 + 8 + 1)]],
        ),
        table(
            "dp2a.lo.u32.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFFFF_0002, 0x0304_FF05, 0, s(-65535 + 10)]],
        ),
        table(
            "dp2a.lo.s32.u32 %d, %a, %b, %c;",
            "rrr>r",
            &[[0xFFFF_0002, 0x0304_FF05, 0, s(-255 + 10)]],
        ),
    ]
}
