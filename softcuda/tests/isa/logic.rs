//! Bits: logic, shifts, fields, permutations.

use crate::harness::*;

const ONES: u64 = 0xFFFF_FFFF;
const MIN: u64 = 0x8000_0000;
const ALL: u64 = u64::MAX;
const MIN64: u64 = 1 << 63;

pub fn family() -> Family {
    let mut tables = words();
    tables.extend(shifts());
    tables.extend(fields());
    tables.extend(permutations());
    Family {
        tables,
        programs: vec![],
    }
}

fn words() -> Vec<Table> {
    let truth = |f: fn(u64, u64) -> u64| {
        [
            [0, 0, f(0, 0)],
            [0, 1, f(0, 1)],
            [1, 0, f(1, 0)],
            [1, 1, f(1, 1)],
        ]
    };
    vec![
        table(
            "and.b32 %d, %a, %b;",
            "rr>r",
            &[[0xF0F0_F0F0, 0xFF00_FF00, 0xF000_F000]],
        ),
        table(
            "or.b32 %d, %a, %b;",
            "rr>r",
            &[[0xF0F0_F0F0, 0xFF00_FF00, 0xFFF0_FFF0]],
        ),
        table(
            "xor.b32 %d, %a, %b;",
            "rr>r",
            &[[0xF0F0_F0F0, 0xFF00_FF00, 0x0FF0_0FF0]],
        ),
        table("not.b32 %d, %a;", "r>r", &[[0xF0F0_0000, 0x0F0F_FFFF]]),
        table(
            "and.b64 %d, %a, %b;",
            "dd>d",
            &[[0xF0 << 56 | 0xF0, 0xFF << 56 | 0x0F, 0xF0 << 56]],
        ),
        table("or.b64 %d, %a, %b;", "dd>d", &[[1 << 63, 1, 1 << 63 | 1]]),
        table("xor.b64 %d, %a, %b;", "dd>d", &[[ALL, 1 << 40, !(1 << 40)]]),
        table("not.b64 %d, %a;", "d>d", &[[1 << 40, !(1 << 40)]]),
        table("and.b16 %d, %a, %b;", "hh>h", &[[0xF0F0, 0xFF00, 0xF000]]),
        table("or.b16 %d, %a, %b;", "hh>h", &[[0xF0F0, 0xFF00, 0xFFF0]]),
        table("xor.b16 %d, %a, %b;", "hh>h", &[[0xF0F0, 0xFF00, 0x0FF0]]),
        table("not.b16 %d, %a;", "h>h", &[[0xF0F0, 0x0F0F]]),
        table("and.pred %d, %a, %b;", "pp>p", &truth(|a, b| a & b)),
        table("or.pred %d, %a, %b;", "pp>p", &truth(|a, b| a | b)),
        table("xor.pred %d, %a, %b;", "pp>p", &truth(|a, b| a ^ b)),
        table("not.pred %d, %a;", "p>p", &[[0, 1], [1, 0]]),
        // 1 where all bits are 0.
        table("cnot.b32 %d, %a;", "r>r", &[[0, 1], [MIN, 0], [1, 0]]),
        table("cnot.b64 %d, %a;", "d>d", &[[0, 1], [1 << 32, 0]]),
        table("cnot.b16 %d, %a;", "h>h", &[[0, 1], [0x8000, 0]]),
    ]
}

/// A shift of the width or more leaves nothing, or only the sign; amounts are unsigned and not cut to a few bits.
fn shifts() -> Vec<Table> {
    let far = [32, 33, 64, 256, 1 << 31, ONES];
    let mut all = vec![
        table(
            "shl.b32 %d, %a, %b;",
            "rr>r",
            &[[1, 0, 1], [1, 31, MIN], [3, 31, MIN]],
        ),
        table(
            "shr.u32 %d, %a, %b;",
            "rr>r",
            &[[MIN, 31, 1], [MIN, 0, MIN], [0xF0, 4, 0xF]],
        ),
        table("shr.b32 %d, %a, %b;", "rr>r", &[[MIN, 31, 1], [MIN, 32, 0]]),
        table(
            "shr.s32 %d, %a, %b;",
            "rr>r",
            &[[MIN, 31, ONES], [MIN, 1, 0xC000_0000], [0x7FFF_FFFF, 30, 1]],
        ),
        table(
            "shl.b64 %d, %a, %b;",
            "dr>d",
            &[
                [1, 63, MIN64],
                [1, 32, 1 << 32],
                [3, 0, 3],
                [1, 64, 0],
                [1, ONES, 0],
            ],
        ),
        table(
            "shr.u64 %d, %a, %b;",
            "dr>d",
            &[[MIN64, 63, 1], [MIN64, 64, 0], [MIN64, ONES, 0]],
        ),
        table(
            "shr.b64 %d, %a, %b;",
            "dr>d",
            &[[MIN64, 63, 1], [MIN64, 64, 0]],
        ),
        table(
            "shr.s64 %d, %a, %b;",
            "dr>d",
            &[
                [MIN64, 63, ALL],
                [MIN64, 64, ALL],
                [1 << 62, ONES, 0],
                [MIN64, 1, 3 << 62],
            ],
        ),
        table(
            "shl.b16 %d, %a, %b;",
            "hr>h",
            &[
                [1, 15, 0x8000],
                [1, 16, 0],
                [0xFFFF, 4, 0xFFF0],
                [1, ONES, 0],
            ],
        ),
        table(
            "shr.u16 %d, %a, %b;",
            "hr>h",
            &[[0x8000, 15, 1], [0x8000, 16, 0]],
        ),
        table(
            "shr.b16 %d, %a, %b;",
            "hr>h",
            &[[0x8000, 15, 1], [0x8000, 16, 0]],
        ),
        table(
            "shr.s16 %d, %a, %b;",
            "hr>h",
            &[[0x8000, 15, 0xFFFF], [0x8000, 100, 0xFFFF], [0x4000, 14, 1]],
        ),
        table("shl.b32 %d, %a, 33;", "r>r", &[[1, 0]]),
    ];
    all.push(table(
        "shl.b32 %d, %a, %b;",
        "rr>r",
        &far.map(|n| [ONES, n, 0]),
    ));
    all.push(table(
        "shr.u32 %d, %a, %b;",
        "rr>r",
        &far.map(|n| [ONES, n, 0]),
    ));
    all.push(table(
        "shr.s32 %d, %a, %b;",
        "rr>r",
        &far.map(|n| [MIN, n, ONES]),
    ));
    all.push(table(
        "shr.s32 %d, %a, %b;",
        "rr>r",
        &far.map(|n| [1, n, 0]),
    ));
    // The 64 bits b:a shifted; .wrap takes 5 bits of the amount, .clamp at most 32.
    let (a, b) = (0x1111_2222, 0x3333_4444);
    all.extend([
        table(
            "shf.l.wrap.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [a, b, 0, b],
                [a, b, 16, 0x4444_1111],
                [a, b, 32, b],
                [a, b, 48, 0x4444_1111],
            ],
        ),
        table(
            "shf.l.clamp.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [a, b, 0, b],
                [a, b, 16, 0x4444_1111],
                [a, b, 32, a],
                [a, b, 48, a],
            ],
        ),
        table(
            "shf.r.wrap.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [a, b, 0, a],
                [a, b, 16, 0x4444_1111],
                [a, b, 32, a],
                [a, b, 40, 0x4411_1122],
            ],
        ),
        table(
            "shf.r.clamp.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [a, b, 0, a],
                [a, b, 16, 0x4444_1111],
                [a, b, 32, b],
                [a, b, 48, b],
            ],
        ),
    ]);
    all
}

fn fields() -> Vec<Table> {
    vec![
        // Position and length are 8 bits each.
        table(
            "bfe.u32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [0xABCD_1234, 8, 8, 0x12],
                [ONES, 0, 32, ONES],
                [ONES, 28, 8, 0xF],
                [ONES, 32, 8, 0],
                [ONES, 4, 0, 0],
                [0xAB, 0x100, 0x104, 0xB],
            ],
        ),
        // Beyond the top the sign goes on; no bits are 0.
        table(
            "bfe.s32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [0x0000_0080, 4, 4, s(-8)],
                [0x0000_0070, 4, 4, 7],
                [MIN, 28, 8, s(-8)],
                [MIN, 40, 4, ONES],
                [1, 40, 4, 0],
                [ONES, 3, 0, 0],
                [ONES, 0, 255, ONES],
            ],
        ),
        table(
            "bfe.u64 %d, %a, %b, %c;",
            "drr>d",
            &[
                [0xABCD << 40, 40, 16, 0xABCD],
                [ALL, 60, 8, 0xF],
                [ALL, 64, 8, 0],
                [ALL, 0, 64, ALL],
            ],
        ),
        table(
            "bfe.s64 %d, %a, %b, %c;",
            "drr>d",
            &[
                [0x8 << 40, 40, 4, l(-8)],
                [MIN64, 60, 8, l(-8)],
                [MIN64, 100, 4, ALL],
            ],
        ),
        // a into b.
        table(
            "bfi.b32 %d, %a, %b, %c, %e;",
            "rrrr>r",
            &[
                [0xFF, 0, 8, 4, 0xF00],
                [0, ONES, 8, 8, 0xFFFF_00FF],
                [ONES, 0, 28, 8, 0xF000_0000],
                [ONES, 5, 32, 8, 5],
                [ONES, 5, 4, 0, 5],
                [ONES, 0, 0, 32, ONES],
                [7, 0, 0x101, 0x102, 6],
            ],
        ),
        table(
            "bfi.b64 %d, %a, %b, %c, %e;",
            "ddrr>d",
            &[
                [0xFF, 0, 40, 4, 0xF << 40],
                [ALL, 0, 0, 64, ALL],
                [ALL, 9, 64, 4, 9],
            ],
        ),
        table(
            "brev.b32 %d, %a;",
            "r>r",
            &[
                [1, MIN],
                [0x0000_000F, 0xF000_0000],
                [0x1234_5678, 0x1E6A_2C48],
            ],
        ),
        table("brev.b64 %d, %a;", "d>d", &[[1, MIN64], [0xF, 0xF << 60]]),
        table("clz.b32 %d, %a;", "r>r", &[[0, 32], [1, 31], [ONES, 0]]),
        table(
            "clz.b64 %d, %a;",
            "d>r",
            &[[0, 64], [1, 63], [ALL, 0], [1 << 32, 31]],
        ),
        table(
            "popc.b32 %d, %a;",
            "r>r",
            &[[0, 0], [ONES, 32], [0x8000_0001, 2]],
        ),
        table(
            "popc.b64 %d, %a;",
            "d>r",
            &[[0, 0], [ALL, 64], [MIN64 | 1, 2]],
        ),
        // The highest bit that matters: a one, or for a negative number a zero; all ones where there is none.
        table(
            "bfind.u32 %d, %a;",
            "r>r",
            &[[0, ONES], [1, 0], [MIN, 31], [0x100, 8]],
        ),
        table(
            "bfind.s32 %d, %a;",
            "r>r",
            &[[0, ONES], [ONES, ONES], [s(-2), 0], [MIN, 30], [0x100, 8]],
        ),
        table(
            "bfind.u64 %d, %a;",
            "d>r",
            &[[0, ONES], [MIN64, 63], [1 << 32, 32]],
        ),
        table("bfind.s64 %d, %a;", "d>r", &[[ALL, ONES], [MIN64, 62]]),
        // How far left the bit can go.
        table(
            "bfind.shiftamt.u32 %d, %a;",
            "r>r",
            &[[0, ONES], [1, 31], [MIN, 0]],
        ),
        table(
            "bfind.shiftamt.s32 %d, %a;",
            "r>r",
            &[[ONES, ONES], [s(-2), 31], [MIN, 1]],
        ),
        table("bfind.shiftamt.u64 %d, %a;", "d>r", &[[0, ONES], [1, 63]]),
        table("bfind.shiftamt.s64 %d, %a;", "d>r", &[[1, 63], [0, ONES]]),
        // The n-th set bit of a from position b on; a negative n counts down, and 0 asks whether bit b itself is set.
        table(
            "fns.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [0b1011_0010, 0, 1, 1],
                [0b1011_0010, 0, 2, 4],
                [0b1011_0010, 1, 1, 1],
                [0b1011_0010, 6, s(-1), 5],
                [0b1011_0010, 4, 0, 4],
                [0b1011_0010, 3, 0, ONES],
                [0b1011_0010, 0, 5, ONES],
            ],
        ),
        table(
            "szext.wrap.u32 %d, %a, %b;",
            "rr>r",
            &[[0xFFFF, 8, 0xFF], [0xFFFF, 0, 0], [ONES, 32, 0]],
        ),
        table(
            "szext.wrap.s32 %d, %a, %b;",
            "rr>r",
            &[[0x80, 8, s(-128)], [0x7F, 8, 0x7F], [0xFFFF, 0, 0]],
        ),
        table(
            "szext.clamp.u32 %d, %a, %b;",
            "rr>r",
            &[[0xFFFF, 8, 0xFF], [ONES, 32, ONES], [ONES, 100, ONES]],
        ),
        table(
            "szext.clamp.s32 %d, %a, %b;",
            "rr>r",
            &[[0x80, 8, s(-128)], [0x80, 32, 0x80], [0x80, 77, 0x80]],
        ),
        // b ones from position a on.
        table(
            "bmsk.clamp.b32 %d, %a, %b;",
            "rr>r",
            &[
                [4, 8, 0xFF0],
                [28, 8, 0xF000_0000],
                [0, 32, ONES],
                [32, 4, 0],
                [4, 0, 0],
            ],
        ),
        table(
            "bmsk.wrap.b32 %d, %a, %b;",
            "rr>r",
            &[[4, 8, 0xFF0], [36, 8, 0xFF0], [4, 32, 0]],
        ),
    ]
}

fn permutations() -> Vec<Table> {
    let mut all = Vec::new();
    // The table is the function of (a, b, c) = (0xF0, 0xCC, 0xAA).
    for (lut, f) in [
        (0x80, (|a, b, c| a & b & c) as fn(u64, u64, u64) -> u64),
        (0xFE, |a, b, c| a | b | c),
        (0x96, |a, b, c| a ^ b ^ c),
        (0xCA, |a, b, c| (a & b) | (!a & c)),
        (0x1A, |a, b, c| (a & b | c) ^ a),
        (0x00, |_, _, _| 0),
        (0xFF, |_, _, _| ONES),
    ] {
        let rows = [
            [0xF0F0_1234, 0xCCCC_5678, 0xAAAA_9ABC],
            [0, ONES, 0x0F0F_0F0F],
        ];
        let rows = rows.map(|[a, b, c]| [a, b, c, f(a, b, c) & ONES]);
        all.push(table(
            &format!("lop3.b32 %d, %a, %b, %c, {lut};"),
            "rrr>r",
            &rows,
        ));
    }
    let (a, b) = (0x8322_1100, 0x7766_5584);
    all.extend([
        // Bytes 0 to 3 are of a, 4 to 7 of b; bit 3 spreads a byte's sign.
        table(
            "prmt.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [a, b, 0x3210, a],
                [a, b, 0x7654, b],
                [a, b, 0x0123, 0x0011_2283],
                [a, b, 0x5410, 0x5584_1100],
                [a, b, 0xCFB0, 0xFF00_FF00],
                [a, b, 0xFFFF_0000, 0],
            ],
        ),
        table(
            "prmt.b32 %d, %a, %b, 0x5140;",
            "rr>r",
            &[[a, b, 0x5511_8400]],
        ),
        table(
            "prmt.b32.f4e %d, %a, %b, %c;",
            "rrr>r",
            &[
                [a, b, 0, a],
                [a, b, 1, 0x8483_2211],
                [a, b, 3, 0x6655_8483],
                [a, b, 5, 0x8483_2211],
            ],
        ),
        table(
            "prmt.b32.b4e %d, %a, %b, %c;",
            "rrr>r",
            &[
                [a, b, 0, 0x5566_7700],
                [a, b, 1, 0x6677_0011],
                [a, b, 3, 0x0011_2283],
            ],
        ),
        table(
            "prmt.b32.rc8 %d, %a, %b, %c;",
            "rrr>r",
            &[[a, b, 0, 0], [a, b, 3, 0x8383_8383]],
        ),
        table(
            "prmt.b32.ecl %d, %a, %b, %c;",
            "rrr>r",
            &[[a, b, 0, a], [a, b, 1, 0x8322_1111], [a, b, 3, 0x8383_8383]],
        ),
        table(
            "prmt.b32.ecr %d, %a, %b, %c;",
            "rrr>r",
            &[[a, b, 0, 0], [a, b, 1, 0x1111_1100], [a, b, 3, a]],
        ),
        table(
            "prmt.b32.rc16 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [a, b, 0, 0x1100_1100],
                [a, b, 1, 0x8322_8322],
                [a, b, 2, 0x1100_1100],
            ],
        ),
    ]);
    all
}
