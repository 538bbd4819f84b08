//! Integer arithmetic at the edges.

use softcuda::num::int::*;

use super::Random;

#[test]
fn division() {
    assert_eq!(
        (div_u32(5, 0), rem_u32(5, 0), div_u32(7, 2), rem_u32(7, 2)),
        (u32::MAX, u32::MAX, 3, 1)
    );
    assert_eq!(
        (
            div_s32(-5, 0),
            rem_s32(-5, 0),
            div_s32(-7, 2),
            rem_s32(-7, 2)
        ),
        (-1, -1, -3, -1)
    );
    assert_eq!(
        (div_s32(i32::MIN, -1), rem_s32(i32::MIN, -1)),
        (i32::MIN, 0)
    );
    assert_eq!(
        (div_u64(5, 0), rem_u64(5, 0), div_u64(u64::MAX, 3)),
        (u64::MAX, u64::MAX, u64::MAX / 3)
    );
    assert_eq!(
        (
            div_s64(5, 0),
            rem_s64(5, 0),
            div_s64(i64::MIN, -1),
            rem_s64(i64::MIN, -1)
        ),
        (-1, -1, i64::MIN, 0)
    );
    assert_eq!(
        (div_u16(5, 0), rem_u16(5, 0), div_u16(9, 2), rem_u16(9, 2)),
        (u16::MAX, u16::MAX, 4, 1)
    );
    assert_eq!(
        (
            div_s16(5, 0),
            rem_s16(5, 0),
            div_s16(i16::MIN, -1),
            rem_s16(-9, 2)
        ),
        (-1, -1, i16::MIN, -1)
    );
}

#[test]
fn products() {
    let mut random = Random(13);
    for _ in 0..10_000 {
        let (a, b) = (random.bits(), random.bits());
        let (x, y) = (a as i64, b as i64);
        assert_eq!(
            mul_hi_u64(a, b),
            ((u128::from(a) * u128::from(b)) >> 64) as u64
        );
        assert_eq!(
            mul_hi_s64(x, y),
            ((i128::from(x) * i128::from(y)) >> 64) as i64
        );
        assert_eq!(
            mul_hi_u32(a as u32, b as u32),
            ((u64::from(a as u32) * u64::from(b as u32)) >> 32) as u32
        );
        assert_eq!(
            mul_hi_s32(x as i32, y as i32),
            ((i64::from(x as i32) * i64::from(y as i32)) >> 32) as i32
        );
        assert_eq!(
            mul_hi_u16(a as u16, b as u16),
            ((u32::from(a as u16) * u32::from(b as u16)) >> 16) as u16
        );
        assert_eq!(
            mul_hi_s16(x as i16, y as i16),
            ((i32::from(x as i16) * i32::from(y as i16)) >> 16) as i16
        );
    }
    assert_eq!(mul_hi_s32(i32::MIN, i32::MIN), 0x4000_0000);
    // The upper byte of each operand does not count.
    assert_eq!(
        (
            mul24_lo_u32(0xff00_0003, 0x0100_0005),
            mul24_hi_u32(0xffff_ffff, 0xffff_ffff)
        ),
        (15, 0xffff_fe00)
    );
    assert_eq!(
        (
            mul24_lo_s32(0x00ff_ffff, 5),
            mul24_hi_s32(0x0080_0000, 0x0080_0000)
        ),
        (-5, 0x4000_0000)
    );
    assert_eq!(mul24_hi_s32(-1, 1), -1);
    assert_eq!(mad_hi_sat_s32(i32::MAX, i32::MAX, i32::MAX), i32::MAX);
    assert_eq!(mad_hi_sat_s32(i32::MIN, i32::MAX, i32::MIN), i32::MIN);
    assert_eq!(
        mad24_hi_sat_s32(0x0080_0000, 0x0080_0000, i32::MAX),
        i32::MAX
    );
}

#[test]
fn distances() {
    assert_eq!((sad_u32(3, 10, 100), sad_u32(10, 3, u32::MAX)), (107, 6));
    assert_eq!(
        (sad_s32(-3, 10, 100), sad_s32(i32::MIN, i32::MAX, 1)),
        (113, 0)
    );
    assert_eq!(
        (
            sad_u16(1, 5, 2),
            sad_s16(-1, 5, 2),
            sad_u64(1, 5, 2),
            sad_s64(-1, 5, 2)
        ),
        (6, 8, 6, 8)
    );
}

#[test]
fn carries() {
    assert_eq!(add_carry_u32(u32::MAX, 0, true), (0, true));
    assert_eq!(add_carry_u32(u32::MAX, u32::MAX, true), (u32::MAX, true));
    assert_eq!(add_carry_u32(1, 2, false), (3, false));
    assert_eq!(sub_borrow_u32(0, 0, true), (u32::MAX, true));
    assert_eq!(sub_borrow_u32(0, u32::MAX, true), (0, true));
    assert_eq!(sub_borrow_u32(5, 3, true), (1, false));
    assert_eq!(add_carry_u64(u64::MAX, 1, false), (0, true));
    assert_eq!(sub_borrow_u64(0, 1, false), (u64::MAX, true));
    let mut random = Random(14);
    for _ in 0..10_000 {
        let (a, b) = (random.bits(), random.bits());
        let (low, carry) = add_carry_u32(a as u32, b as u32, false);
        let (high, _) = add_carry_u32((a >> 32) as u32, (b >> 32) as u32, carry);
        assert_eq!(u64::from(high) << 32 | u64::from(low), a.wrapping_add(b));
        let (low, borrow) = sub_borrow_u32(a as u32, b as u32, false);
        let (high, last) = sub_borrow_u32((a >> 32) as u32, (b >> 32) as u32, borrow);
        assert_eq!(
            (u64::from(high) << 32 | u64::from(low), last),
            a.overflowing_sub(b)
        );
    }
}

#[test]
fn dot_products() {
    // Bytes 255 (or -1), 2, 3, 4 times 1, 1, 1, 2.
    let (a, b) = (0x0403_02ff, 0x0201_0101);
    assert_eq!(dp4a(a, false, b, false, 10), 10 + 255 + 2 + 3 + 8);
    assert_eq!(dp4a(a, true, b, true, 10), 10 - 1 + 2 + 3 + 8);
    assert_eq!(dp4a(a, true, 0xff, false, 0), 0u32.wrapping_sub(255));
    assert_eq!(dp4a(0x8080_8080, true, 0x8080_8080, true, u32::MAX), 65_535);
    // Halves 0xffff (or -1) and 2 times bytes.
    let (a, b) = (0x0002_ffff, 0x0403_0201);
    assert_eq!(dp2a(a, true, b, true, false, 5), 5 - 1 + 4);
    assert_eq!(dp2a(a, true, b, true, true, 5), 5 - 3 + 8);
    assert_eq!(dp2a(a, false, b, false, false, 5), 5 + 65_535 + 4);
    assert_eq!(dp2a(a, true, 0xff, false, false, 0), 0u32.wrapping_sub(255));
}
