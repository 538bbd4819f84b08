//! Instructions on bits: fields, permutations, shifts, counts.

/// `shl.b16`: by 16 or more gives 0.
#[inline(always)]
pub fn shl_b16(a: u16, n: u32) -> u16 {
    a.checked_shl(n).unwrap_or(0)
}

/// `shl.b32`: by 32 or more gives 0.
#[inline(always)]
pub fn shl_b32(a: u32, n: u32) -> u32 {
    a.checked_shl(n).unwrap_or(0)
}

/// `shl.b64`: by 64 or more gives 0.
#[inline(always)]
pub fn shl_b64(a: u64, n: u32) -> u64 {
    a.checked_shl(n).unwrap_or(0)
}

/// `shr.u16`, `shr.b16`
#[inline(always)]
pub fn shr_u16(a: u16, n: u32) -> u16 {
    a.checked_shr(n).unwrap_or(0)
}

/// `shr.u32`, `shr.b32`
#[inline(always)]
pub fn shr_u32(a: u32, n: u32) -> u32 {
    a.checked_shr(n).unwrap_or(0)
}

/// `shr.u64`, `shr.b64`
#[inline(always)]
pub fn shr_u64(a: u64, n: u32) -> u64 {
    a.checked_shr(n).unwrap_or(0)
}

/// `shr.s16`: by 16 or more gives the sign in every bit.
#[inline(always)]
pub fn shr_s16(a: i16, n: u32) -> i16 {
    a >> n.min(15)
}

/// `shr.s32`
#[inline(always)]
pub fn shr_s32(a: i32, n: u32) -> i32 {
    a >> n.min(31)
}

/// `shr.s64`
#[inline(always)]
pub fn shr_s64(a: i64, n: u32) -> i64 {
    a >> n.min(63)
}

/// `shf.l.b32` of the 64 bits `high:low`: the upper word after shifting left, by `n` modulo 32 with `wrap`, else by at most 32.
#[inline(always)]
pub fn shf_l(low: u32, high: u32, n: u32, wrap: bool) -> u32 {
    let n = if wrap { n & 31 } else { n.min(32) };
    (((u64::from(high) << 32 | u64::from(low)) << n) >> 32) as u32
}

/// `shf.r.b32` of the 64 bits `high:low`: the lower word after shifting right.
#[inline(always)]
pub fn shf_r(low: u32, high: u32, n: u32, wrap: bool) -> u32 {
    let n = if wrap { n & 31 } else { n.min(32) };
    ((u64::from(high) << 32 | u64::from(low)) >> n) as u32
}

/// A field of `bits` bits and more: `bfe` for the width `msb + 1`, in 64 bits.
#[inline(always)]
fn field(a: u64, position: u32, length: u32, msb: u32, signed: bool) -> u64 {
    let (position, length) = (position & 0xff, length & 0xff);
    let mask = 1u64.checked_shl(length).map_or(u64::MAX, |bit| bit - 1);
    let value = a.checked_shr(position).unwrap_or(0) & mask;
    // Bits beyond the field, and those of it beyond the source, repeat the field's last bit that the source has.
    let last = (position + length).wrapping_sub(1).min(msb);
    let fill = signed && length != 0 && a >> last & 1 != 0;
    let present = (msb + 1).saturating_sub(position).min(length);
    let ones = u64::MAX.checked_shl(present).unwrap_or(0);
    if fill { value | ones } else { value }
}

/// `bfe.u32`: only the low 8 bits of position and length count.
#[inline(always)]
pub fn bfe_u32(a: u32, position: u32, length: u32) -> u32 {
    field(a.into(), position, length, 31, false) as u32
}

/// `bfe.s32`
#[inline(always)]
pub fn bfe_s32(a: u32, position: u32, length: u32) -> u32 {
    field(a.into(), position, length, 31, true) as u32
}

/// `bfe.u64`
#[inline(always)]
pub fn bfe_u64(a: u64, position: u32, length: u32) -> u64 {
    field(a, position, length, 63, false)
}

/// `bfe.s64`
#[inline(always)]
pub fn bfe_s64(a: u64, position: u32, length: u32) -> u64 {
    field(a, position, length, 63, true)
}

/// `bfi.b32 d, a, b, position, length`: the low bits of `a` put into `b`.
#[inline(always)]
pub fn bfi_b32(a: u32, b: u32, position: u32, length: u32) -> u32 {
    let (position, length) = (position & 0xff, length & 0xff);
    let mask = shl_b32(
        1u32.checked_shl(length).map_or(u32::MAX, |bit| bit - 1),
        position,
    );
    b & !mask | shl_b32(a, position) & mask
}

/// `bfi.b64`
#[inline(always)]
pub fn bfi_b64(a: u64, b: u64, position: u32, length: u32) -> u64 {
    let (position, length) = (position & 0xff, length & 0xff);
    let mask = shl_b64(
        1u64.checked_shl(length).map_or(u64::MAX, |bit| bit - 1),
        position,
    );
    b & !mask | shl_b64(a, position) & mask
}

/// `bfind.u32`: the place of the highest set bit, all ones if there is none. With `amount`, how far left it would have to go.
#[inline(always)]
pub fn bfind_u32(a: u32, amount: bool) -> u32 {
    let zeros = a.leading_zeros();
    match (a, amount) {
        (0, _) => u32::MAX,
        (_, true) => zeros,
        (_, false) => 31 - zeros,
    }
}

/// `bfind.s32`: the highest bit that differs from the sign.
#[inline(always)]
pub fn bfind_s32(a: i32, amount: bool) -> u32 {
    bfind_u32((a ^ a >> 31) as u32, amount)
}

/// `bfind.u64`
#[inline(always)]
pub fn bfind_u64(a: u64, amount: bool) -> u32 {
    let zeros = a.leading_zeros();
    match (a, amount) {
        (0, _) => u32::MAX,
        (_, true) => zeros,
        (_, false) => 63 - zeros,
    }
}

/// `bfind.s64`
#[inline(always)]
pub fn bfind_s64(a: i64, amount: bool) -> u32 {
    bfind_u64((a ^ a >> 63) as u64, amount)
}

/// `fns.b32`: the place of the n-th set bit of `mask`, from `base` upwards for a positive `n`, downwards for a negative one, at
/// `base` itself for 0; all ones if there is none. Below bit 0 and above bit 31 there is nothing.
pub fn fns(mask: u32, base: u32, n: i32) -> u32 {
    let set = |place: i64| (0..32).contains(&place) && mask >> place & 1 != 0;
    if n == 0 {
        return if set(base.into()) { base } else { u32::MAX };
    }
    let step = i64::from(n.signum());
    let mut place = i64::from(base);
    let mut left = n.unsigned_abs();
    while (0..32).contains(&place) {
        if set(place) {
            left -= 1;
            if left == 0 {
                return place as u32;
            }
        }
        place += step;
    }
    u32::MAX
}

/// The modes of `prmt.b32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permute {
    /// No mode: four selectors of four bits.
    Index,
    /// `.f4e`: four bytes forward from the selected one.
    Forward,
    /// `.b4e`: four bytes backward from the selected one.
    Backward,
    /// `.rc8`: the selected byte four times.
    Byte,
    /// `.ecl`: bytes of `a`, none below the selected place.
    Left,
    /// `.ecr`: bytes of `a`, none above the selected place.
    Right,
    /// `.rc16`: the selected half twice.
    Half,
}

/// `prmt.b32`: four bytes out of the eight of `b:a`. A selector's fourth bit asks for the byte's sign in all eight bits.
#[inline(always)]
pub fn prmt(mode: Permute, a: u32, b: u32, selector: u32) -> u32 {
    let bytes = u64::from(b) << 32 | u64::from(a);
    let s = selector & 3;
    // The selectors that a mode amounts to, the first byte's lowest.
    let selectors = match mode {
        Permute::Index => selector,
        Permute::Forward => [0x3210, 0x4321, 0x5432, 0x6543][s as usize],
        Permute::Backward => [0x5670, 0x6701, 0x7012, 0x0123][s as usize],
        Permute::Byte => s * 0x1111,
        Permute::Left => [0x3210, 0x3211, 0x3222, 0x3333][s as usize],
        Permute::Right => [0x0000, 0x1110, 0x2210, 0x3210][s as usize],
        Permute::Half => [0x1010, 0x3232, 0x1010, 0x3232][s as usize],
    };
    let mut result = 0;
    for place in 0..4 {
        let pick = selectors >> (4 * place);
        let byte = (bytes >> (8 * (pick & 7))) as u8;
        let signs = if byte >= 0x80 { 0xff } else { 0 };
        let byte = if pick & 8 != 0 { signs } else { byte };
        result |= u32::from(byte) << (8 * place);
    }
    result
}

/// `lop3.b32`: bit by bit, what `table` has at the place that the bits of a, b and c make, a the highest.
#[inline(always)]
pub fn lop3(a: u32, b: u32, c: u32, table: u8) -> u32 {
    let mut result = 0;
    for place in 0..8u32 {
        let term = |bit: u32, x: u32| if place & bit != 0 { x } else { !x };
        let chosen = if table >> place & 1 != 0 { u32::MAX } else { 0 };
        result |= chosen & term(4, a) & term(2, b) & term(1, c);
    }
    result
}

/// `szext.u32` and `szext.s32`: the low `n` bits, extended with zeros or the sign. `n` is taken modulo 32 with `wrap`, else 32 or
/// more leaves all.
#[inline(always)]
pub fn szext(a: u32, n: u32, wrap: bool, signed: bool) -> u32 {
    let n = if wrap { n & 31 } else { n.min(32) };
    if n == 0 {
        return 0;
    }
    let shift = 32 - n;
    if signed {
        ((a << shift) as i32 >> shift) as u32
    } else {
        a << shift >> shift
    }
}

/// `bmsk.b32`: `width` ones from `place` up; both modulo 32 with `wrap`, else at most 32.
#[inline(always)]
pub fn bmsk(place: u32, width: u32, wrap: bool) -> u32 {
    let (place, width) = if wrap {
        (place & 31, width & 31)
    } else {
        (place.min(32), width.min(32))
    };
    shl_b32(
        1u32.checked_shl(width).map_or(u32::MAX, |bit| bit - 1),
        place,
    )
}

/// `copysign.f32 d, a, b`: `b` with the sign of `a`.
#[inline(always)]
pub fn copysign_f32(a: f32, b: f32) -> f32 {
    f32::from_bits(a.to_bits() & 0x8000_0000 | b.to_bits() & 0x7fff_ffff)
}

/// `copysign.f64 d, a, b`: `b` with the sign of `a`.
#[inline(always)]
pub fn copysign_f64(a: f64, b: f64) -> f64 {
    f64::from_bits(a.to_bits() & 1 << 63 | b.to_bits() & !(1 << 63))
}

/// What `testp` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Neither infinite nor NaN.
    Finite,
    /// Infinite.
    Infinite,
    /// Not NaN.
    Number,
    /// NaN.
    NotANumber,
    /// Neither infinite, NaN nor subnormal; zeros count as normal.
    Normal,
    /// Subnormal.
    Subnormal,
}

/// `testp.f32`
#[inline(always)]
pub fn testp_f32(class: Class, a: f32) -> bool {
    match class {
        Class::Finite => a.is_finite(),
        Class::Infinite => a.is_infinite(),
        Class::Number => !a.is_nan(),
        Class::NotANumber => a.is_nan(),
        Class::Normal => a.is_finite() && !a.is_subnormal(),
        Class::Subnormal => a.is_subnormal(),
    }
}

/// `testp.f64`
#[inline(always)]
pub fn testp_f64(class: Class, a: f64) -> bool {
    match class {
        Class::Finite => a.is_finite(),
        Class::Infinite => a.is_infinite(),
        Class::Number => !a.is_nan(),
        Class::NotANumber => a.is_nan(),
        Class::Normal => a.is_finite() && !a.is_subnormal(),
        Class::Subnormal => a.is_subnormal(),
    }
}
