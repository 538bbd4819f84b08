//! Instructions on bits against the ISA's own loops over single bits.

use softcuda::num::bits::*;

use super::Random;

fn bit(a: u64, place: u32) -> u64 {
    a >> place & 1
}

/// `bfe` as the ISA writes it.
fn bfe(a: u64, b: u32, c: u32, msb: u32, signed: bool) -> u64 {
    let (position, length) = (b & 0xff, c & 0xff);
    let sign = if !signed || length == 0 {
        0
    } else {
        bit(a, (position + length - 1).min(msb))
    };
    (0..=msb).map(|i| if i < length && position + i <= msb { bit(a, position + i) } else { sign } << i).sum()
}

/// `bfi` as the ISA writes it.
fn bfi(a: u64, b: u64, c: u32, d: u32, msb: u32) -> u64 {
    let (position, length) = (c & 0xff, d & 0xff);
    let mut f = b;
    for i in 0..length.min(64) {
        if position + i <= msb {
            f = f & !(1 << (position + i)) | bit(a, i) << (position + i);
        }
    }
    f
}

#[test]
fn fields() {
    let mut random = Random(15);
    for _ in 0..50_000 {
        let (a, b) = (random.bits(), random.bits());
        let spread = [33, 70, 256, 1 << 32][random.below(4) as usize];
        let (c, d) = (random.below(spread) as u32, random.below(spread) as u32);
        let (x, y) = (a as u32, b as u32);
        assert_eq!(
            u64::from(bfe_u32(x, c, d)),
            bfe(x.into(), c, d, 31, false),
            "{x:#x} {c} {d}"
        );
        assert_eq!(
            u64::from(bfe_s32(x, c, d)),
            bfe(x.into(), c, d, 31, true),
            "{x:#x} {c} {d}"
        );
        assert_eq!(bfe_u64(a, c, d), bfe(a, c, d, 63, false), "{a:#x} {c} {d}");
        assert_eq!(bfe_s64(a, c, d), bfe(a, c, d, 63, true), "{a:#x} {c} {d}");
        assert_eq!(
            u64::from(bfi_b32(x, y, c, d)),
            bfi(x.into(), y.into(), c, d, 31),
            "{x:#x} {y:#x} {c} {d}"
        );
        assert_eq!(
            bfi_b64(a, b, c, d),
            bfi(a, b, c, d, 63),
            "{a:#x} {b:#x} {c} {d}"
        );
    }
    assert_eq!(
        (
            bfe_u32(0xabcd_1234, 8, 8),
            bfe_s32(0x0000_8000, 8, 8),
            bfe_u32(5, 0, 0)
        ),
        (0x12, 0xffff_ff80, 0)
    );
    assert_eq!(bfe_s32(0x8000_0000, 40, 4), u32::MAX);
}

#[test]
fn shifts() {
    for n in [0, 1, 15, 16, 31, 32, 33, 63, 64, 65, 255, 256, u32::MAX] {
        let wide = |x: u64, limit: u32| if n >= limit { 0 } else { x << n };
        assert_eq!(shl_b32(0x8000_0001, n), wide(0x8000_0001, 32) as u32);
        assert_eq!(shl_b64(3, n), wide(3, 64));
        assert_eq!(shl_b16(3, n), wide(3, 16) as u16);
        assert_eq!(
            shr_u32(0x8000_0001, n),
            if n >= 32 { 0 } else { 0x8000_0001 >> n }
        );
        assert_eq!(shr_u64(1 << 63, n), if n >= 64 { 0 } else { 1 << 63 >> n });
        assert_eq!(shr_u16(0x8001, n), if n >= 16 { 0 } else { 0x8001 >> n });
        assert_eq!(
            shr_s32(i32::MIN, n),
            if n >= 32 { -1 } else { i32::MIN >> n }
        );
        assert_eq!(
            shr_s64(i64::MIN, n),
            if n >= 64 { -1 } else { i64::MIN >> n }
        );
        assert_eq!(
            shr_s16(i16::MAX, n),
            if n >= 16 { 0 } else { i16::MAX >> n }
        );
    }
    let (low, high) = (0x89ab_cdef, 0x0123_4567);
    for (n, left, right) in [
        (0, high, low),
        (8, 0x2345_6789, 0x6789_abcd),
        (31, 0xc4d5_e6f7, 0x0246_8acf),
    ] {
        for wrap in [false, true] {
            assert_eq!(
                (shf_l(low, high, n, wrap), shf_r(low, high, n, wrap)),
                (left, right),
                "{n}"
            );
        }
    }
    assert_eq!(
        (shf_l(low, high, 40, true), shf_r(low, high, 40, true)),
        (0x2345_6789, 0x6789_abcd)
    );
    for n in [32, 40, u32::MAX] {
        assert_eq!(
            (shf_l(low, high, n, false), shf_r(low, high, n, false)),
            (low, high)
        );
    }
    assert_eq!(
        (shf_l(low, high, 32, true), shf_r(low, high, 32, true)),
        (high, low)
    );
}

#[test]
fn finding_bits() {
    for (a, place) in [
        (0, u32::MAX),
        (1, 0),
        (0x8000_0000, 31),
        (0x0001_0000, 16),
        (u32::MAX, 31),
    ] {
        let amount = if a == 0 { u32::MAX } else { 31 - place };
        assert_eq!((bfind_u32(a, false), bfind_u32(a, true)), (place, amount));
    }
    for (a, place) in [
        (0, u32::MAX),
        (-1, u32::MAX),
        (1, 0),
        (-2, 0),
        (i32::MIN, 30),
        (i32::MAX, 30),
        (-256, 7),
    ] {
        assert_eq!(bfind_s32(a, false), place, "{a}");
        assert_eq!(
            bfind_s32(a, true),
            if place == u32::MAX { place } else { 31 - place }
        );
        assert_eq!(bfind_s64(a.into(), false), place);
    }
    assert_eq!(
        (
            bfind_u64(1 << 40, false),
            bfind_u64(1 << 40, true),
            bfind_u64(0, true)
        ),
        (40, 23, u32::MAX)
    );
    assert_eq!(
        (bfind_s64(i64::MIN, false), bfind_s64(-1, false)),
        (62, u32::MAX)
    );
    // The ISA's loop.
    let slow = |mask: u32, base: u32, offset: i32| -> u32 {
        if offset == 0 {
            return if base < 32 && mask >> base & 1 == 1 {
                base
            } else {
                u32::MAX
            };
        }
        let (mut pos, mut count) = (i64::from(base), i64::from(offset).abs() - 1);
        while (0..32).contains(&pos) {
            if mask >> pos & 1 == 1 {
                if count == 0 {
                    return pos as u32;
                }
                count -= 1;
            }
            pos += if offset > 0 { 1 } else { -1 };
        }
        u32::MAX
    };
    let mut random = Random(16);
    for _ in 0..20_000 {
        let (mask, base, n) = (
            random.bits() as u32,
            random.below(34) as u32,
            random.below(40) as i32 - 20,
        );
        assert_eq!(
            fns(mask, base, n),
            slow(mask, base, n),
            "{mask:#x} {base} {n}"
        );
    }
    assert_eq!(fns(u32::MAX, 0, i32::MIN), u32::MAX);
    assert_eq!(fns(u32::MAX, u32::MAX, -1), u32::MAX);
}

#[test]
fn permutations() {
    let (a, b) = (0x8302_0180, 0x8706_0584);
    let prmt = |mode, selector| prmt(mode, a, b, selector);
    assert_eq!(prmt(Permute::Index, 0x3210), a);
    assert_eq!(prmt(Permute::Index, 0x7654), b);
    assert_eq!(prmt(Permute::Index, 0xffff_0123), 0x8001_0283);
    // The sign of bytes 0, 1, 7 and 5.
    assert_eq!(prmt(Permute::Index, 0xd_f98), 0x00ff_00ff);
    let all = |mode| [0, 1, 2, 3].map(|s| prmt(mode, s | 0xfff0));
    assert_eq!(
        all(Permute::Forward),
        [0x8302_0180, 0x8483_0201, 0x0584_8302, 0x0605_8483]
    );
    assert_eq!(
        all(Permute::Backward),
        [0x0506_8780, 0x0687_8001, 0x8780_0102, 0x8001_0283]
    );
    assert_eq!(
        all(Permute::Byte),
        [0x8080_8080, 0x0101_0101, 0x0202_0202, 0x8383_8383]
    );
    assert_eq!(
        all(Permute::Left),
        [0x8302_0180, 0x8302_0101, 0x8302_0202, 0x8383_8383]
    );
    assert_eq!(
        all(Permute::Right),
        [0x8080_8080, 0x0101_0180, 0x0202_0180, 0x8302_0180]
    );
    assert_eq!(
        all(Permute::Half),
        [0x0180_0180, 0x8302_8302, 0x0180_0180, 0x8302_8302]
    );
}

#[test]
fn three_operand_logic() {
    let mut random = Random(17);
    for table in 0..=255u8 {
        let (a, b, c) = (
            random.bits() as u32,
            random.bits() as u32,
            random.bits() as u32,
        );
        let want: u32 = (0..32)
            .map(|i| {
                u32::from(table) >> ((a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1)) << i
                    & 1 << i
            })
            .sum();
        assert_eq!(lop3(a, b, c, table), want);
    }
    let (a, b, c) = (0xf0, 0xcc, 0xaa);
    assert_eq!(
        (
            lop3(a, b, c, 0x80),
            lop3(a, b, c, 0xfe),
            lop3(a, b, c, 0x96)
        ),
        (a & b & c, a | b | c, a ^ b ^ c)
    );
}

#[test]
fn extending_and_masking() {
    for (n, wrap, signed, want) in [
        (8, false, true, 0xffff_ff80),
        (8, false, false, 0x80),
        (0, false, true, 0),
        (32, false, true, 0x1234_5680),
        (99, false, false, 0x1234_5680),
        (32, true, false, 0),
        (40, true, true, 0xffff_ff80),
    ] {
        assert_eq!(szext(0x1234_5680, n, wrap, signed), want, "{n} {wrap}");
    }
    for (place, width, wrap, want) in [
        (1, 2, true, 6),
        (0, 32, false, u32::MAX),
        (32, 4, false, 0),
        (4, 0, false, 0),
        (28, 10, false, 0xf000_0000),
        (33, 34, true, 6),
        (0, 32, true, 0),
        (4, 99, false, 0xffff_fff0),
    ] {
        assert_eq!(bmsk(place, width, wrap), want, "{place} {width} {wrap}");
    }
}

#[test]
fn signs_and_classes() {
    assert_eq!(
        (copysign_f32(-0.0, 3.0), copysign_f32(1.0, -3.0)),
        (-3.0, 3.0)
    );
    assert_eq!(
        (copysign_f64(-0.0, 3.0), copysign_f64(1.0, -3.0)),
        (-3.0, 3.0)
    );
    use Class::*;
    for (x, classes) in [
        (1.0, vec![Finite, Number, Normal]),
        (0.0, vec![Finite, Number, Normal]),
        (-0.0, vec![Finite, Number, Normal]),
        (f32::from_bits(1), vec![Finite, Number, Subnormal]),
        (f32::NEG_INFINITY, vec![Infinite, Number]),
        (f32::NAN, vec![NotANumber]),
    ] {
        for class in [Finite, Infinite, Number, NotANumber, Normal, Subnormal] {
            assert_eq!(
                testp_f32(class, x),
                classes.contains(&class),
                "{x} {class:?}"
            );
            let wide = if x.is_subnormal() {
                f64::from_bits(1)
            } else {
                x.into()
            };
            assert_eq!(
                testp_f64(class, wide),
                classes.contains(&class),
                "{x} {class:?}"
            );
        }
    }
}
