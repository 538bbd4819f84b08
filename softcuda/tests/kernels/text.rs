//! printf, assert, module variables, memory spaces.

use softcuda::report::FaultKind;

use crate::args;
use crate::support::on_each;

#[test]
fn printf_formats() {
    on_each("text", |device| {
        let name = device.buffer(b"given\0");
        let text = device.run("print_all", 1, 1, 0, args![name]);
        let expected = [
            "nothing",
            "-5 6 7 ff FF 10 z %",
            "[   42] [42   ] [00042] [+42] [ 42] [0x2a]",
            "-1234567890123 18446744073709551615 123456789abc -7",
            "1.500000 3.142     2.7183 10.0      | 1.234568e+04 0.0001 1e+20 1E-10",
            "text,      right, left  |cu|",
            "given 0.333333 -3",
            "     1|2   |1.00",
            "0x1000 -1 -2",
            "",
        ];
        assert_eq!(text.split('\n').collect::<Vec<_>>(), expected);
    });
}

#[test]
fn printf_of_many_threads() {
    on_each("text", |device| {
        let text = device.run("print_threads", 3, 40, 0, args![]);
        let mut lines: Vec<&str> = text.lines().collect();
        // Which warp comes first is not defined; here, blocks come in order.
        let blocks: Vec<&str> = lines
            .iter()
            .map(|line| line.split(' ').nth(1).expect("a block"))
            .collect();
        assert!(blocks.is_sorted(), "{text}");
        let mut expected: Vec<String> = (0..3)
            .flat_map(|block| (0..40).map(move |thread| format!("block {block} thread {thread}")))
            .collect();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected);

        let returned = device.empty::<i32>(32);
        let text = device.run("print_some", 1, 32, 0, args![returned]);
        assert_eq!(text, "3: low\n19: high\n");
        // The number of arguments.
        let expected: Vec<i32> = (0..32).map(|t| if t % 16 == 3 { 2 } else { 0 }).collect();
        assert_eq!(returned.read(), expected);
    });
}

#[test]
fn assert_ends_the_kernel() {
    on_each("text", |device| {
        let mut x: Vec<i32> = (100..228).collect();
        let out = device.empty::<i32>(x.len());
        let from = device.buffer(&x);
        device.run("check", 2, 64, 0, args![from, out]);
        assert_eq!(out.read(), (101..229).collect::<Vec<i32>>());

        x[70] = 13;
        from.write(&x);
        let outcome = device.try_run("check", 2, 64, 0, args![from, out]);
        let fault = outcome.fault.expect("an assertion");
        assert_eq!(fault.kind, FaultKind::Assert);
        for part in ["x[t] != 13", "check", "text.cu"] {
            let said = fault.message.clone() + &String::from_utf8_lossy(&outcome.output);
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    });
}

#[test]
fn variables() {
    on_each("text", |device| {
        device
            .variable::<i32>("offsets")
            .write(&[1000, 2000, 3000, 4000]);
        let out = device.empty::<f32>(32);
        for (round, third) in [(0, 40), (1, 42)] {
            device.run("variables", 1, 32, 0, args![out]);
            for (t, found) in out.read().into_iter().enumerate() {
                let letters = [b'e', b'n', b'w'][t % 3];
                let mut expected =
                    t as f32 % 8.0 + 0.5 + 7.0 - 3.0 + 2.25 + [1.0, 2.0, -3.0][t % 3];
                expected += 30.0
                    + [1.0, 2.0, 3.0, 250.0][t % 4]
                    + f32::from(letters)
                    + [1000.0, 2000.0, 3000.0, 4000.0][t % 4];
                if t == 0 {
                    expected += 101.0 + round as f32;
                }
                assert_eq!(found, expected, "thread {t}");
            }
            assert_eq!(
                device.variable::<i32>("counter").read(),
                [5 + 32 * (round + 1)]
            );
            assert_eq!(
                device.variable::<i32>("numbers").read(),
                [10, 20, 30, third + 2]
            );
        }

        let target = device.empty::<i32>(8);
        device.variable::<u64>("outside").write(&[target.address]);
        device.run("write_outside", 1, 8, 0, args![50]);
        assert_eq!(target.read(), (50..58).collect::<Vec<i32>>());
    });
}

#[test]
fn generic_pointers() {
    on_each("text", |device| {
        device.variable::<i32>("offsets").write(&[1, 2, 3, 4]);
        let (from, out) = (device.buffer(&[5, 6, 7, 8]), device.empty::<i32>(64));
        device.run("generic_pointers", 1, 64, 0, args![from, out]);
        for (t, found) in (0..).zip(out.read()) {
            // Constant memory that only this module has is read by its own instructions, or through a pointer as here.
            let expected =
                [26 + 10_000, 600 + 20_000, 4 * t + 6 + 40_000, 10 + 80_000][t as usize % 4];
            assert_eq!(found, expected, "thread {t}");
        }
    });
}

#[test]
fn dynamic_shared_memory() {
    on_each("text", |device| {
        for n in [1, 7, 64] {
            let out = device.empty::<f64>(n);
            device.run(
                "dynamic_shared",
                1,
                64,
                (n * 10) as u32,
                args![n as i32, out],
            );
            let expected: Vec<f64> = (0..n)
                .map(|t| (n - 1 - t) as f64 * 0.5 + ((t + 1) % n * 3) as f64)
                .collect();
            assert_eq!(out.read(), expected);
        }
    });
}
