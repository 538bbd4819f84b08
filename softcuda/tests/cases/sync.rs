//! Barriers of some threads, blocks that wait for each other, asynchronous copies.

use softcuda::launch::Grid;

use crate::args;
use crate::support::device::Device;

pub fn producer_and_consumers(device: &Device) {
    for rounds in [1, 2, 3, 8] {
        let x: Vec<i32> = (0..rounds * 32).map(|i| i * 37 % 101).collect();
        let (from, out) = (device.buffer(&x), device.empty::<i32>(96));
        device.run("producer_consumer", 1, 128, 0, args![rounds, from, out]);
        for (t, found) in (0..).zip(out.read()) {
            let place = (t % 32 + t / 32 + 1) % 32;
            let expected: i32 = (0..rounds)
                .map(|i| x[(i * 32 + place) as usize] * 2 * (i + 1))
                .sum();
            assert_eq!(found, expected, "{rounds} rounds, thread {t}");
        }
    }
}

pub fn barriers_of_half_a_block(device: &Device) {
    let out = device.empty::<i32>(128);
    device.run("halves", 1, 128, 0, args![out]);
    for (t, found) in (0..).zip(out.read()) {
        let source = 127 - t;
        let (half, rounds) = if source >= 64 { (64, 7) } else { (0, 3) };
        assert_eq!(
            found,
            half + (source % 64 + rounds) % 64 + rounds,
            "thread {t}"
        );
    }
}

pub fn a_barrier_for_the_grid(device: &Device) {
    for (blocks, rounds) in [(1usize, 2usize), (5, 4), (13, 3)] {
        let (arrived, values) = (device.buffer(&[0u32]), device.empty::<i32>(blocks * rounds));
        let out = device.empty::<i32>(blocks);
        let grid = Grid {
            blocks: [blocks as u32, 1, 1],
            threads: [64, 1, 1],
            dynamic_shared: 0,
            cooperative: true,
        };
        let outcome = device.try_run_grid(
            "grid_barrier",
            &grid,
            args![rounds as i32, arrived, values, out],
        );
        assert!(outcome.fault.is_none(), "{:?}", outcome.fault);
        assert!(outcome.findings.is_empty(), "{:#?}", outcome.findings);
        let expected: Vec<i32> = (0..blocks)
            .map(|block| ((block + rounds) % blocks * 100 + rounds) as i32)
            .collect();
        assert_eq!(out.read(), expected);
    }
}

pub fn a_message_between_blocks(device: &Device) {
    let (data, flag, out) = (
        device.empty::<i32>(1),
        device.buffer(&[0i32]),
        device.buffer(&[0i32; 4]),
    );
    let grid = Grid {
        blocks: [4, 1, 1],
        threads: [32, 1, 1],
        dynamic_shared: 0,
        cooperative: true,
    };
    let outcome = device.try_run_grid("message", &grid, args![data, flag, out]);
    assert!(outcome.fault.is_none(), "{:?}", outcome.fault);
    assert!(outcome.findings.is_empty(), "{:#?}", outcome.findings);
    assert_eq!(out.read(), [0, 43, 44, 45]);
}

pub fn asynchronous_copies(device: &Device) {
    let bytes: Vec<u8> = (0..512).map(|i| (i * 7 % 251) as u8 + 1).collect();
    let (from, to) = (device.buffer(&bytes), device.empty::<u8>(128 + 256 + 512));
    device.run("async_copies", 1, 32, 0, args![from, to]);
    let mut expected: Vec<u8> = bytes[..128]
        .iter()
        .rev()
        .chain(bytes[..256].iter().rev())
        .copied()
        .collect();
    // Of each 16 bytes the first t % 17 are copied, the rest is zero.
    let last: Vec<u8> = (0..512)
        .map(|i| if i % 16 < i / 16 % 17 { bytes[i] } else { 0 })
        .collect();
    expected.extend(last.iter().rev());
    assert_eq!(to.read(), expected);
}
