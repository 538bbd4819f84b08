//! Control flow with exchanges between threads.

use crate::args;
use crate::support::device::Device;

/// Runs a kernel that gives each thread of `blocks` x `threads` a number, and compares it with `expected`.
#[track_caller]
pub fn each(device: &Device, name: &str, blocks: u32, threads: u32, expected: impl Fn(u32) -> u32) {
    let n = blocks * threads;
    let out = device.empty::<u32>(n as usize);
    device.run(name, blocks, threads, 0, args![out]);
    for (t, found) in (0..).zip(out.read()) {
        assert_eq!(found, expected(t), "{name}, thread {t}");
    }
}

pub fn partial_shuffles(device: &Device) {
    let mut v: Vec<u32> = (0..32).map(|t| t * 10 + 1).collect();
    let old = v.clone();
    for t in 0..32 {
        if t & 1 == 1 {
            v[t] += old[t ^ 2];
        } else {
            v[t] ^= old[t ^ 4];
        }
    }
    for first in (0..25).step_by(5) {
        let source = v[first];
        v[first..]
            .iter_mut()
            .for_each(|v| *v = v.wrapping_mul(3).wrapping_add(source));
    }
    let mut shuffle = |from: &dyn Fn(usize) -> usize| {
        let old = v.clone();
        (0..32).for_each(|t| v[t] = old[t].wrapping_add(old[from(t)]));
    };
    shuffle(&|t| if t + 3 < 32 { t + 3 } else { t });
    shuffle(&|t| if t % 8 >= 2 { t - 2 } else { t });
    // Lane 19 of 16 is lane 3 of each half.
    shuffle(&|t| t / 16 * 16 + 3);
    each(device, "partial_shuffles", 1, 32, |t| v[t as usize])
}

pub fn a_lock_among_all_threads(device: &Device) {
    let (lock, counter, order) = (
        device.buffer(&[0i32]),
        device.buffer(&[0i32]),
        device.empty::<i32>(128),
    );
    device.run("spin_lock", 2, 64, 0, args![lock, counter, order]);
    assert_eq!((lock.read(), counter.read()), (vec![0], vec![128]));
    let mut order = order.read();
    order.sort_unstable();
    assert_eq!(order, (0..128).collect::<Vec<i32>>());
}

pub fn warp_exchange(device: &Device) {
    let expected = |t: u32| {
        let (lane, base) = (t % 32, t / 32 * 32);
        let next = |lane: u32| (base + (lane + 1) % 32) * 3;
        if lane < 16 {
            next(15 - lane) + 1
        } else {
            next(lane)
        }
    };
    each(device, "warp_exchange", 1, 64, expected)
}

pub fn loops_and_barriers(device: &Device) {
    const N: u32 = 75;
    let mut acc = vec![0u32; N as usize];
    let mut values: Vec<u32> = (0..N).collect();
    for round in 0..4 {
        for t in 0..N {
            acc[t as usize] += (0..(t + round) % 6)
                .map(|i| values[((t + i) % N) as usize])
                .sum::<u32>();
        }
        values = acc.iter().map(|acc| acc % 1000).collect();
    }
    let odd = acc.iter().filter(|acc| *acc % 2 == 1).count() as u32;
    let any = u32::from(acc.contains(&12345));
    each(device, "loops_and_barriers", 1, N, |t| {
        acc[t as usize] * 1000 + odd * 4 + any * 2 + 1
    });
}
