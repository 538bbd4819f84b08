//! Integer arithmetic. What Rust has as it is (wrapping sums and products, minimum, counting bits) is not repeated here.
//!
//! Division by zero: the ISA says only that the result depends on the machine. The code that ptxas emits gives all ones, for the
//! quotient and the remainder, signed or not, and so do these functions. The least number divided by -1 wraps to itself.

/// `div.u16`
#[inline(always)]
pub fn div_u16(a: u16, b: u16) -> u16 {
    a.checked_div(b).unwrap_or(u16::MAX)
}

/// `div.u32`
#[inline(always)]
pub fn div_u32(a: u32, b: u32) -> u32 {
    a.checked_div(b).unwrap_or(u32::MAX)
}

/// `div.u64`
#[inline(always)]
pub fn div_u64(a: u64, b: u64) -> u64 {
    a.checked_div(b).unwrap_or(u64::MAX)
}

/// `div.s16`
#[inline(always)]
pub fn div_s16(a: i16, b: i16) -> i16 {
    if b == 0 { -1 } else { a.wrapping_div(b) }
}

/// `div.s32`
#[inline(always)]
pub fn div_s32(a: i32, b: i32) -> i32 {
    if b == 0 { -1 } else { a.wrapping_div(b) }
}

/// `div.s64`
#[inline(always)]
pub fn div_s64(a: i64, b: i64) -> i64 {
    if b == 0 { -1 } else { a.wrapping_div(b) }
}

/// `rem.u16`
#[inline(always)]
pub fn rem_u16(a: u16, b: u16) -> u16 {
    a.checked_rem(b).unwrap_or(u16::MAX)
}

/// `rem.u32`
#[inline(always)]
pub fn rem_u32(a: u32, b: u32) -> u32 {
    a.checked_rem(b).unwrap_or(u32::MAX)
}

/// `rem.u64`
#[inline(always)]
pub fn rem_u64(a: u64, b: u64) -> u64 {
    a.checked_rem(b).unwrap_or(u64::MAX)
}

/// `rem.s16`: the dividend's sign.
#[inline(always)]
pub fn rem_s16(a: i16, b: i16) -> i16 {
    if b == 0 { -1 } else { a.wrapping_rem(b) }
}

/// `rem.s32`: the dividend's sign.
#[inline(always)]
pub fn rem_s32(a: i32, b: i32) -> i32 {
    if b == 0 { -1 } else { a.wrapping_rem(b) }
}

/// `rem.s64`: the dividend's sign.
#[inline(always)]
pub fn rem_s64(a: i64, b: i64) -> i64 {
    if b == 0 { -1 } else { a.wrapping_rem(b) }
}

/// `mul.hi.u16`
#[inline(always)]
pub fn mul_hi_u16(a: u16, b: u16) -> u16 {
    ((u32::from(a) * u32::from(b)) >> 16) as u16
}

/// `mul.hi.s16`
#[inline(always)]
pub fn mul_hi_s16(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// `mul.hi.u32`
#[inline(always)]
pub fn mul_hi_u32(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// `mul.hi.s32`
#[inline(always)]
pub fn mul_hi_s32(a: i32, b: i32) -> i32 {
    ((i64::from(a) * i64::from(b)) >> 32) as i32
}

/// `mul.hi.u64`
#[inline(always)]
pub fn mul_hi_u64(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

/// `mul.hi.s64`
#[inline(always)]
pub fn mul_hi_s64(a: i64, b: i64) -> i64 {
    ((i128::from(a) * i128::from(b)) >> 64) as i64
}

/// The 48 bits of `mul24.u32`.
#[inline(always)]
fn product24_u32(a: u32, b: u32) -> u64 {
    u64::from(a & 0xff_ffff) * u64::from(b & 0xff_ffff)
}

/// The 48 bits of `mul24.s32`, sign-extended.
#[inline(always)]
fn product24_s32(a: i32, b: i32) -> i64 {
    i64::from(a << 8 >> 8) * i64::from(b << 8 >> 8)
}

/// `mul24.lo.u32`: the low 32 of 48 bits.
#[inline(always)]
pub fn mul24_lo_u32(a: u32, b: u32) -> u32 {
    product24_u32(a, b) as u32
}

/// `mul24.hi.u32`: the high 32 of 48 bits.
#[inline(always)]
pub fn mul24_hi_u32(a: u32, b: u32) -> u32 {
    (product24_u32(a, b) >> 16) as u32
}

/// `mul24.lo.s32`
#[inline(always)]
pub fn mul24_lo_s32(a: i32, b: i32) -> i32 {
    product24_s32(a, b) as i32
}

/// `mul24.hi.s32`
#[inline(always)]
pub fn mul24_hi_s32(a: i32, b: i32) -> i32 {
    (product24_s32(a, b) >> 16) as i32
}

/// `mad.hi.sat.s32`
#[inline(always)]
pub fn mad_hi_sat_s32(a: i32, b: i32, c: i32) -> i32 {
    mul_hi_s32(a, b).saturating_add(c)
}

/// `mad24.hi.sat.s32`
#[inline(always)]
pub fn mad24_hi_sat_s32(a: i32, b: i32, c: i32) -> i32 {
    mul24_hi_s32(a, b).saturating_add(c)
}

/// `sad.u16`: `c` plus the distance of `a` and `b`.
#[inline(always)]
pub fn sad_u16(a: u16, b: u16, c: u16) -> u16 {
    c.wrapping_add(a.abs_diff(b))
}

/// `sad.u32`
#[inline(always)]
pub fn sad_u32(a: u32, b: u32, c: u32) -> u32 {
    c.wrapping_add(a.abs_diff(b))
}

/// `sad.u64`
#[inline(always)]
pub fn sad_u64(a: u64, b: u64, c: u64) -> u64 {
    c.wrapping_add(a.abs_diff(b))
}

/// `sad.s16`
#[inline(always)]
pub fn sad_s16(a: i16, b: i16, c: i16) -> i16 {
    c.wrapping_add(a.abs_diff(b) as i16)
}

/// `sad.s32`
#[inline(always)]
pub fn sad_s32(a: i32, b: i32, c: i32) -> i32 {
    c.wrapping_add(a.abs_diff(b) as i32)
}

/// `sad.s64`
#[inline(always)]
pub fn sad_s64(a: i64, b: i64, c: i64) -> i64 {
    c.wrapping_add(a.abs_diff(b) as i64)
}

/// `add.cc.u32`, `addc.u32`: the sum with a carry in, and the carry out.
#[inline(always)]
pub fn add_carry_u32(a: u32, b: u32, carry: bool) -> (u32, bool) {
    let sum = u64::from(a) + u64::from(b) + u64::from(carry);
    (sum as u32, sum >> 32 != 0)
}

/// `add.cc.u64`, `addc.u64`
#[inline(always)]
pub fn add_carry_u64(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let sum = u128::from(a) + u128::from(b) + u128::from(carry);
    (sum as u64, sum >> 64 != 0)
}

/// `sub.cc.u32`, `subc.u32`: the difference with a borrow in, and the borrow out, which is what the carry flag holds.
#[inline(always)]
pub fn sub_borrow_u32(a: u32, b: u32, borrow: bool) -> (u32, bool) {
    let difference = u64::from(a).wrapping_sub(u64::from(b) + u64::from(borrow));
    (difference as u32, difference >> 63 != 0)
}

/// `sub.cc.u64`, `subc.u64`
#[inline(always)]
pub fn sub_borrow_u64(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let difference = u128::from(a).wrapping_sub(u128::from(b) + u128::from(borrow));
    (difference as u64, difference >> 127 != 0)
}

/// Byte `place` of `a`, extended.
#[inline(always)]
fn byte(a: u32, place: u32, signed: bool) -> i64 {
    let byte = (a >> (8 * place)) as u8;
    if signed {
        i64::from(byte as i8)
    } else {
        i64::from(byte)
    }
}

/// `dp4a`: `c` plus the products of four bytes each; which are signed is said for `a` and `b`.
#[inline(always)]
pub fn dp4a(a: u32, a_signed: bool, b: u32, b_signed: bool, c: u32) -> u32 {
    let mut sum = 0;
    for place in 0..4 {
        sum += byte(a, place, a_signed) * byte(b, place, b_signed);
    }
    c.wrapping_add(sum as u32)
}

/// `dp2a`: `c` plus the products of `a`'s halves with two bytes of `b`, the upper two with `high`.
#[inline(always)]
pub fn dp2a(a: u32, a_signed: bool, b: u32, b_signed: bool, high: bool, c: u32) -> u32 {
    let mut sum = 0;
    for place in 0..2 {
        let half = (a >> (16 * place)) as u16;
        let half = if a_signed {
            i64::from(half as i16)
        } else {
            i64::from(half)
        };
        sum += half * byte(b, place + 2 * u32::from(high), b_signed);
    }
    c.wrapping_add(sum as u32)
}
