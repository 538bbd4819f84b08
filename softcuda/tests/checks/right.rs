//! Kernels that are right, and hard to see as such: no finding, and the right result.

use super::VARIANTS;
use crate::args;
use crate::support::device::Device;
use crate::support::nvcc;

fn on_all(test: impl Fn(&Device)) {
    for target in [80, 90] {
        let Some(ptx) = nvcc::compile("checks", target) else {
            return;
        };
        for variant in VARIANTS {
            test(&Device::new(&ptx, variant));
        }
    }
}

#[test]
fn lanes_that_lock_each_other_out() {
    on_all(|device| {
        let (lock, counter) = (device.buffer(&[0i32]), device.buffer(&[0i32]));
        let out = device.empty::<i32>(3 * 64);
        device.run("lock_by_lane", 3, 64, 0, args![lock, counter, out]);
        assert_eq!((lock.read(), counter.read()), (vec![0], vec![192]));
        let mut order = out.read();
        order.sort_unstable();
        assert_eq!(order, (0..192).collect::<Vec<i32>>());
    });
}

#[test]
fn lanes_that_wait_for_each_other() {
    on_all(|device| {
        let flags = device.buffer(&[0i32; 128]);
        let out = device.empty::<i32>(128);
        device.run("wait_by_lane", 2, 64, 0, args![flags, out]);
        let expected: Vec<i32> = (0..128).map(|i| (i % 64) | 1).collect();
        assert_eq!(out.read(), expected);
    });
}

fn climb(n: i32, t: i32) -> i32 {
    if n <= 0 {
        return t;
    }
    if (n + t) % 3 == 0 {
        return climb(n - 1, t) + 1;
    }
    let left = climb(n - 2, t + 1);
    if left % 2 != 0 {
        return left;
    }
    left + climb(n - 1, t + 2)
}

#[test]
fn recursion_of_lanes_that_part() {
    on_all(|device| {
        let out = device.empty::<i32>(2 * 96);
        device.run("recursion_apart", 2, 96, 0, args![out]);
        let expected: Vec<i32> = (0..192).map(|i| climb(i % 96 % 9, i % 96)).collect();
        assert_eq!(out.read(), expected);
    });
}

#[test]
fn returns_of_lanes_that_wait_for_each_other() {
    on_all(|device| {
        let flags = device.buffer(&[0i32; 64]);
        let out = device.empty::<i32>(64);
        device.run("returns_apart", 1, 64, 0, args![flags, out]);
        for (t, found) in (0..).zip(out.read()) {
            let n = t % 7;
            let v = if t % 2 == 0 {
                climb(n, t) + 1
            } else {
                climb(n + 1, t) + climb(n, t + 1)
            };
            assert_eq!(found, v + climb(t % 4, v % 5), "thread {t}");
        }
    });
}

#[test]
fn early_returns() {
    on_all(|device| {
        for n in [1, 31, 32, 40, 100, 128] {
            let out = device.empty::<i32>(2 * 128);
            device.run("return_before_barrier", 2, 128, 0, args![n, out]);
            for (i, found) in (0..).zip(out.read()) {
                let t = i % 128;
                assert_eq!(
                    found,
                    if t < n { n - 1 - t } else { -1 },
                    "thread {t} of {n}"
                );
            }
        }
    });
}

#[test]
fn sums_by_compare_and_swap() {
    on_all(|device| {
        let total = device.buffer(&[0f32]);
        let out = device.empty::<i32>(3 * 96);
        device.run("swap_sum", 3, 96, 0, args![total, out]);
        assert_eq!(total.read(), [288.0]);
        assert_eq!(out.read(), vec![96; 288]);
    });
}

#[test]
fn the_last_warp_adds_up() {
    on_all(|device| {
        for threads in [32, 128, 256] {
            let out = device.empty::<i32>(3);
            device.run("last_warp", 3, threads, 0, args![out]);
            let sum: u32 = (0..threads / 32).map(|warp| 32 * warp).sum();
            assert_eq!(out.read(), [sum as i32; 3]);
        }
    });
}
