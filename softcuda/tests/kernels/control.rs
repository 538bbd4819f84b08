//! Control flow.

use crate::args;
use crate::cases::control::{self, each};
use crate::support::{Random, on_each};

#[test]
fn nested_loops() {
    let expected = |t: u32| {
        let mut acc = t;
        for i in 0..t % 7 {
            for j in 0..(t * i) % 5 + 1 {
                if (i + j + t).is_multiple_of(3) {
                    continue;
                }
                acc = acc.wrapping_mul(31).wrapping_add(i * 5 + j);
                if acc & 0x40 != 0 {
                    break;
                }
                for w in (0..t % 4).rev() {
                    if acc % 11 == 3 {
                        break;
                    }
                    acc = acc.wrapping_add(w * i + 7);
                }
            }
            if acc % 13 == 5 {
                continue;
            }
            acc ^= i << 4;
        }
        acc
    };
    on_each("control", |device| {
        each(device, "nested_loops", 3, 75, expected)
    });
}

#[test]
fn early_returns() {
    let expected = |t: u32| {
        if t % 4 == 1 {
            return 1;
        }
        let mut out = 2;
        for i in 0.. {
            if i * i > t {
                break;
            }
            out += i;
            if i == 9 {
                out += 100;
                break;
            }
        }
        out
    };
    on_each("control", |device| {
        each(device, "early_return", 2, 100, expected);
        each(device, "return_before_barrier", 1, 128, |t| {
            if t >= 100 {
                0xdead
            } else {
                (99 - t) * (99 - t)
            }
        });
    });
}

#[test]
fn switches() {
    on_each("control", |device| {
        let mut random = Random::new(1);
        let n = 200;
        let which: Vec<i32> = (0..n).map(|_| random.next() as i32 % 13).collect();
        let (from, out) = (device.buffer(&which), device.empty::<u32>(n));
        device.run("switches", 2, 100, 0, args![from, out]);
        for (t, (found, &which)) in (0u32..).zip(out.read().into_iter().zip(&which)) {
            let mut acc = match which {
                0 => 10,
                1 => 53,
                2 => 33,
                3 => t * 3,
                4 => ((t + 1) * 5) ^ 0x66,
                5 => 5 ^ 0x66,
                6 => 1 ^ 0x66,
                7 => (0..t % 5).fold(1u32, |acc, i| {
                    acc.wrapping_add(acc.wrapping_mul(i).wrapping_add(7))
                }),
                8 => 88,
                9 => t.count_ones(),
                _ => 0xffff,
            };
            acc += match which {
                -1 => 1,
                0 => 2,
                3 => 3,
                7 => 4,
                11 => 5,
                _ => 0,
            };
            assert_eq!(found, acc, "thread {t} of {which}");
        }
    });
}

fn collatz(mut x: u32) -> u32 {
    let mut steps = 0;
    while x > 1 {
        x = if x % 2 == 1 { 3 * x + 1 } else { x / 2 };
        steps += 1;
    }
    steps
}

#[test]
fn gotos() {
    // Of the numbers up to 256, 27 and a few more climb highest: to 9232.
    on_each("control", |device| {
        each(device, "gotos", 2, 128, |t| collatz(t + 1))
    });
}

#[test]
fn recursion() {
    fn fibonacci(n: u32) -> u32 {
        if n < 2 {
            n
        } else {
            fibonacci(n - 1) + fibonacci(n - 2)
        }
    }
    let ackermann = |m: u32, n: u32| [n + 1, n + 2, 2 * n + 3][m as usize];
    let expected = |t: u32| {
        let parity = match (t % 3, t % 10 % 2) {
            (0, _) => 0,
            (_, 0) => 100_000,
            _ => 200_000,
        };
        fibonacci(t % 13) * 1000 + ackermann(t % 3, t % 5) + parity
    };
    on_each("control", |device| {
        each(device, "recursion", 1, 96, expected)
    });
}

#[test]
fn short_circuits() {
    let expected = |t: u32| {
        let mut log = 0u32;
        let mut note = |bit: u32, answer: bool| {
            log |= 1 << bit;
            answer
        };
        let first = (note(0, t & 1 != 0) && note(1, t & 2 != 0))
            || (note(2, t & 4 != 0) && !note(3, t & 8 != 0));
        let x = if note(4, t.is_multiple_of(3)) {
            note(5, t & 16 != 0)
        } else {
            note(6, t & 32 != 0)
        };
        let last = !x && (t.is_multiple_of(5) || note(7, true));
        log | u32::from(first) << 16 | u32::from(last) << 17
    };
    on_each("control", |device| {
        each(device, "short_circuits", 1, 128, expected)
    });
}

#[test]
fn partial_shuffles() {
    on_each("control", control::partial_shuffles);
}

#[test]
fn votes() {
    on_each("control", |device| {
        let mut random = Random::new(2);
        for limit in [8, 9, 1] {
            let x: Vec<u32> = (0..32).map(|_| random.next() % limit).collect();
            let (from, out) = (device.buffer(&x), device.empty::<u32>(32 * 12));
            device.run("votes", 1, 32, 0, args![from, out]);
            let ballot = |test: &dyn Fn(usize) -> bool| {
                (0..32).fold(0u32, |mask, t| mask | u32::from(test(t)) << t)
            };
            let same = x.iter().all(|&other| other == x[0]);
            for (t, found) in out.read().chunks(12).enumerate() {
                let expected = [
                    ballot(&|t| x[t] & 1 == 1),
                    u32::from(x.contains(&3)),
                    u32::from(x.iter().all(|&x| x < 8)),
                    ballot(&|other| x[other] == x[t]),
                    if same { u32::MAX } else { 0 },
                    u32::from(same),
                    u32::MAX,
                    1,
                    x.iter().sum(),
                    (*x.iter().max().expect("some") as i32 - 4) as u32,
                    x.iter().fold(0, |mask, &x| mask ^ 1 << x),
                    if t < 10 {
                        ballot(&|t| t < 10 && x[t] > 2)
                    } else {
                        x[10..].iter().fold(0, |or, x| or | x << 8)
                    },
                ];
                assert_eq!(found, expected, "lane {t} of {x:?}");
            }
        }
    });
}

#[test]
fn calls() {
    let square = |x: u32| x.wrapping_mul(x);
    let expected = |t: u32| {
        2 + match t % 3 {
            0 => t * 2 + square(t + 1),
            1 => collatz(t + 1),
            _ => square(collatz(t * 2)),
        }
    };
    on_each("control", |device| {
        each(device, "divergent_calls", 2, 70, expected)
    });
}

#[test]
fn function_pointers() {
    let expected = |t: u32| match t % 3 {
        0 => (t + 1) * 2,
        1 => (t + 1) * (t + 1),
        _ => collatz(t + 1),
    };
    on_each("pointers", |device| {
        each(device, "function_pointers", 2, 70, expected)
    });
}

#[test]
fn virtual_calls() {
    on_each("pointers", |device| {
        each(device, "virtual_calls", 1, 64, |t| {
            let side = t as f32;
            if t % 2 == 1 { side * side } else { side * 6.0 }.to_bits()
        });
    });
}

#[test]
fn structs() {
    // char tag at 0, short counts[3] at 2, double weight at 8, int values[5] at 16; 40 bytes.
    let (tag, counts, weight, values) = (3i8, [10i16, -20, 30], 2.5f64, [1i32, -2, 3, -4, 5]);
    let mut bytes = vec![tag as u8, 0];
    counts.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    bytes.extend(weight.to_le_bytes());
    values.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    bytes.resize(40, 0);
    on_each("control", |device| {
        let out = device.empty::<f64>(64);
        device.run("structs", 1, 64, 0, args![bytes, out]);
        for (t, found) in (0..).zip(out.read()) {
            let (mut tag, mut counts, mut weight, mut values) = (tag, counts, weight, values);
            counts[t as usize % 3] += t as i16;
            let mut grow = |by: i32| {
                tag += 1;
                weight *= 1.5;
                counts.iter_mut().for_each(|count| *count += by as i16);
                (0..)
                    .zip(&mut values)
                    .for_each(|(i, value)| *value = *value * by + i);
            };
            grow(t);
            if t % 2 == 1 {
                grow(2);
            }
            let sum = f64::from(tag)
                + weight
                + f64::from(counts.iter().sum::<i16>())
                + f64::from(values.iter().sum::<i32>());
            assert_eq!(found, sum, "thread {t}");
        }
    });
}

#[test]
fn local_arrays() {
    on_each("control", |device| {
        let out = device.empty::<i32>(64 * 20);
        device.run("local_arrays", 2, 32, 0, args![out]);
        for (t, found) in (0..).zip(out.read().chunks(20)) {
            let mut expected: Vec<i32> = (0..1 + t % 20)
                .map(|i| (i * 7919 + t * 104_729) % 1009)
                .collect();
            expected.sort_unstable();
            expected.resize(20, -1);
            assert_eq!(found, expected, "thread {t}");
        }
    });
}

#[test]
fn a_lock_among_all_threads() {
    on_each("control", control::a_lock_among_all_threads);
}

#[test]
fn warp_exchange() {
    on_each("control", control::warp_exchange);
}

#[test]
fn loops_and_barriers() {
    on_each("control", control::loops_and_barriers);
}

#[test]
fn dimensions() {
    on_each("control", |device| {
        let (blocks, threads) = ((2u32, 3u32, 2u32), (5u32, 3u32, 4u32));
        let out = device.empty::<u32>(12 * 60);
        device.run("dimensions", blocks, threads, 0, args![out]);
        for (i, found) in (0u32..).zip(out.read()) {
            let (block, thread) = (i / 60, i % 60);
            let expected = thread % 5
                + 10 * (thread / 5 % 3)
                + 100 * (thread / 15)
                + 1000 * (block % 2)
                + 10_000 * (block / 2 % 3)
                + 100_000 * (block / 6)
                + thread % 32 * 1_000_000;
            assert_eq!(found, expected, "block {block}, thread {thread}");
        }
    });
}
