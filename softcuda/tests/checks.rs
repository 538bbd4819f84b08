//! The checks: for each of them a kernel that is wrong in just that way, which must be found and told where, and the same kernel
//! done right, which must not.

#[path = "checks/right.rs"]
mod right;
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use softcuda::launch::{Grid, Outcome};
use softcuda::report::{FaultKind, FindingKind};
use support::device::{Device, Variant};
use support::nvcc;

/// Host threads, seeds, and whether the checks are on.
const VARIANTS: [Variant; 5] = [
    (1, 0, true),
    (1, 7, true),
    (2, 7, true),
    (2, 20_240_229, true),
    (2, 31, false),
];

/// What a wrong kernel must be told of.
#[derive(Clone, Copy)]
struct Wrong {
    kernel: &'static str,
    fault: Option<FaultKind>,
    finding: Option<FindingKind>,
    /// What the line of the PTX that is blamed has in it: one of these.
    line: &'static [&'static str],
    /// What the message says.
    says: &'static str,
}

const fn fault(
    kernel: &'static str,
    kind: FaultKind,
    line: &'static [&'static str],
    says: &'static str,
) -> Wrong {
    Wrong {
        kernel,
        fault: Some(kind),
        finding: None,
        line,
        says,
    }
}

const fn finding(
    kernel: &'static str,
    kind: FindingKind,
    line: &'static [&'static str],
    says: &'static str,
) -> Wrong {
    Wrong {
        kernel,
        fault: None,
        finding: Some(kind),
        line,
        says,
    }
}

/// Runs `wrong` by `launch`, which gives the outcome and what memory holds then, on devices of all variants.
#[track_caller]
fn expect(wrong: Wrong, launch: impl Fn(&Device, i32) -> (Outcome, Vec<i32>)) {
    let Some(ptx) = nvcc::compile("checks", 80) else {
        return;
    };
    let name = wrong.kernel;
    let ptx = nvcc::only(&ptx, &[name]);
    let source = include_str!("kernels/checks.cu");
    let marks: Vec<String> = (1..)
        .zip(source.lines())
        .filter(|(_, line)| {
            let comment = line.split("// ").nth(1).unwrap_or("");
            comment == name || comment == format!("or {name}")
        })
        .map(|(n, _)| format!("checks.cu:{n})"))
        .collect();
    assert!(
        !marks.is_empty(),
        "no line of the source is marked for {name}"
    );
    let mut seen: Vec<(u64, BTreeSet<(String, String)>)> = Vec::new();
    for variant in VARIANTS {
        let device = Device::new(&ptx, variant);
        let (outcome, memory) = launch(&device, 0);
        assert_eq!(outcome.fault, None, "{name}, right, {variant:?}");
        assert_eq!(outcome.findings, [], "{name}, right, {variant:?}");
        drop(memory);
        let (outcome, _) = launch(&device, 1);
        let kind = outcome.fault.as_ref().map(|fault| fault.kind);
        assert_eq!(kind, wrong.fault, "{name}, {variant:?}: {outcome:?}");
        let mut messages: Vec<(String, String)> = Vec::new();
        messages.extend(
            outcome
                .fault
                .map(|fault| ("fault".to_string(), fault.message)),
        );
        for found in outcome.findings {
            // What is read too early may not have been written yet.
            let early = matches!(
                wrong.finding,
                Some(FindingKind::SharedRace | FindingKind::GlobalRace)
            ) && found.kind == FindingKind::Uninitialised;
            assert!(
                early || Some(found.kind) == wrong.finding,
                "{name}, {variant:?}: {}",
                found.message
            );
            messages.push((format!("{:?}", found.kind), found.message));
        }
        if !variant.2 {
            assert_eq!(
                messages.len(),
                wrong.fault.is_some() as usize,
                "{name}, unchecked"
            );
            continue;
        }
        if wrong.finding.is_some() {
            assert!(
                messages.iter().any(|(kind, _)| wrong
                    .finding
                    .is_some_and(|finding| *kind == format!("{finding:?}"))),
                "{name}, {variant:?}: nothing is found"
            );
        }
        let mut places = BTreeSet::new();
        for (kind, message) in messages {
            let about = format!("{name}, {variant:?}: {message}");
            assert!(
                message.contains(wrong.says) || message.contains("which nothing has written"),
                "{about}"
            );
            assert!(message.contains(&format!("(kernel {name}")), "{about}");
            assert!(message.contains(", block ("), "{about}");
            assert!(message.contains(", thread ("), "{about}");
            assert!(
                marks.iter().any(|mark| message.ends_with(mark)),
                "{about} {marks:?}"
            );
            let (_, place) = message.rsplit_once("PTX line ").expect("a line");
            let line: usize = place
                .split(',')
                .next()
                .unwrap_or("")
                .parse()
                .expect("a number");
            let text = ptx.lines().nth(line - 1).expect("a line of the text");
            assert!(
                wrong.line.iter().any(|part| text.contains(part)),
                "{about}: {text}"
            );
            places.insert((kind, place.to_string()));
        }
        // The same with one host thread and with two.
        match seen.iter().find(|(seed, _)| *seed == variant.1) {
            Some((_, before)) => assert_eq!(before, &places, "{name}, {variant:?}"),
            None => seen.push((variant.1, places)),
        }
    }
}

/// Launches a kernel whose arguments are whether it is wrong, and a buffer of 32-bit words to fill.
fn plain(
    name: &'static str,
    blocks: u32,
    threads: u32,
    shared: u32,
) -> impl Fn(&Device, i32) -> (Outcome, Vec<i32>) {
    move |device, wrong| {
        let out = device.buffer(&vec![0i32; (blocks * threads) as usize]);
        let outcome = device.try_run(name, blocks, threads, shared, args![wrong, out]);
        (outcome, out.read())
    }
}

/// The same in blocks of several sizes.
#[track_caller]
fn expect_plain(wrong: Wrong, shapes: &[(u32, u32)]) {
    for &(blocks, threads) in shapes {
        expect(wrong, plain(wrong.kernel, blocks, threads, 0));
    }
}

const SHAPES: &[(u32, u32)] = &[(1, 64), (3, 128), (2, 96), (1, 256)];

#[test]
fn bounds_of_global_memory() {
    let wrong = fault(
        "global_bounds",
        FaultKind::IllegalAddress,
        &["st.global"],
        "writes 4 bytes",
    );
    for n in [1, 64, 100] {
        expect(wrong, |device, wrong| {
            let x = device.empty::<i32>(n as usize);
            let outcome = device.try_run("global_bounds", 2, 64, 0, args![wrong, n, x]);
            (outcome, Vec::new())
        });
    }
}

#[test]
fn use_after_free() {
    let wrong = fault(
        "global_bounds",
        FaultKind::IllegalAddress,
        &["st.global"],
        "freed",
    );
    expect(wrong, |device, wrong| {
        let (x, y) = (device.empty::<i32>(64), device.empty::<i32>(64));
        let address = y.address;
        drop(y);
        let outcome = if wrong == 0 {
            device.try_run("global_bounds", 1, 64, 0, args![0, 64, x])
        } else {
            device.try_run("global_bounds", 1, 64, 0, args![0, 64, address])
        };
        (outcome, Vec::new())
    });
}

#[test]
fn a_double_free() {
    let Some(ptx) = nvcc::compile("checks", 80) else {
        return;
    };
    let device = Device::new(&ptx, VARIANTS[0]);
    let buffer = device.empty::<i32>(4);
    let address = buffer.address;
    drop(buffer);
    assert!(device.memory.free(address).is_err());
}

#[test]
fn alignment() {
    let kind = FaultKind::MisalignedAddress;
    expect(
        fault(
            "global_alignment",
            kind,
            &["st.global"],
            "not a multiple of 4",
        ),
        |device, wrong| {
            let x = device.empty::<i32>(2 * 64 + 1);
            let outcome = device.try_run("global_alignment", 2, 64, 0, args![wrong, x]);
            (outcome, Vec::new())
        },
    );
    expect(
        fault(
            "shared_alignment",
            kind,
            &["st.shared"],
            "not a multiple of 4",
        ),
        plain("shared_alignment", 2, 64, 64 * 4 + 4),
    );
    expect_plain(
        fault(
            "local_alignment",
            kind,
            &["ld.local"],
            "not a multiple of 4",
        ),
        SHAPES,
    );
}

#[test]
fn bounds_of_shared_memory() {
    let wrong = fault(
        "shared_bounds",
        FaultKind::IllegalAddress,
        &["st.shared"],
        "bytes of shared memory",
    );
    for threads in [32, 100, 256] {
        expect(wrong, plain("shared_bounds", 2, threads, 4 * threads));
    }
}

#[test]
fn bounds_of_local_memory() {
    let wrong = fault(
        "local_bounds",
        FaultKind::IllegalAddress,
        &["ld.local"],
        "bytes of local memory",
    );
    expect_plain(wrong, SHAPES);
}

#[test]
fn the_stack_ends() {
    let wrong = fault(
        "endless_recursion",
        FaultKind::StackOverflow,
        &["call"],
        "the stack limit is",
    );
    expect(wrong, |device, wrong| {
        let steps = device.buffer(&[1i32]);
        let out = device.buffer(&vec![0i32; 128]);
        let outcome = device.try_run("endless_recursion", 2, 64, 0, args![wrong, steps, out]);
        (outcome, Vec::new())
    });
}

#[test]
fn uninitialised_memory() {
    let kind = FindingKind::Uninitialised;
    expect(
        finding(
            "global_uninitialised",
            kind,
            &["ld.global"],
            "which nothing has written",
        ),
        |device, wrong| {
            let x = device.empty::<i32>(2 * 64);
            if wrong == 0 {
                x.write(&[1; 128]);
            } else {
                x.write(&[1; 127]);
            }
            let out = device.empty::<i32>(2 * 64);
            let outcome = device.try_run("global_uninitialised", 2, 64, 0, args![wrong, x, out]);
            (outcome, out.read())
        },
    );
    expect_plain(
        finding(
            "shared_uninitialised",
            kind,
            &["ld.shared"],
            "reads shared address",
        ),
        SHAPES,
    );
}

#[test]
fn races_in_shared_memory() {
    let race = |name, says| {
        finding(
            name,
            FindingKind::SharedRace,
            &["ld.shared", "st.shared", "ld.u32", "st.u32", "atom.shared"],
            says,
        )
    };
    let between = "with no barrier between";
    for name in [
        "race_of_warps",
        "race_of_reuse",
        "race_of_lanes",
        "race_of_halves",
        "race_of_bytes",
        "race_of_atomics",
        "race_of_pointers",
    ] {
        expect_plain(race(name, between), SHAPES);
    }
    expect_plain(race("race_of_values", "different values"), SHAPES);
    expect_plain(race("race_of_rounds", between), SHAPES);
    expect_plain(race("race_of_producer", between), &[(1, 64), (2, 128)]);
    expect_plain(race("race_of_flags", between), SHAPES);
}

#[test]
fn races_between_blocks() {
    let race = |name| {
        finding(
            name,
            FindingKind::GlobalRace,
            &["ld.global", "st.global"],
            "nothing to order the two",
        )
    };
    for (blocks, threads) in [(2, 64), (5, 32), (4, 96)] {
        let n = (blocks * threads) as usize;
        expect(race("race_of_blocks"), |device, wrong| {
            let (x, out) = (device.buffer(&vec![0i32; n]), device.empty::<i32>(n));
            let outcome =
                device.try_run("race_of_blocks", blocks, threads, 0, args![wrong, x, out]);
            (outcome, Vec::new())
        });
        expect(
            race("race_in_place"),
            plain("race_in_place", blocks, threads, 0),
        );
        expect(race("race_of_borders"), |device, wrong| {
            let x = device.empty::<u8>(n);
            let outcome = device.try_run("race_of_borders", blocks, threads, 0, args![wrong, x]);
            (outcome, Vec::new())
        });
        // Without the fence, and without the barrier behind the fences.
        for way in [1, 2] {
            expect(race("race_for_last"), |device, wrong| {
                let (x, total) = (
                    device.empty::<i32>(n),
                    device.empty::<i32>(threads as usize),
                );
                let outcome = device.try_run(
                    "race_for_last",
                    blocks,
                    threads,
                    0,
                    args![wrong * way, x, total],
                );
                (outcome, Vec::new())
            });
        }
    }
}

#[test]
fn divergence() {
    let kind = FindingKind::Divergence;
    let shapes = &[(1, 64), (2, 96)];
    let stuck = |name, line, says| Wrong {
        fault: Some(FaultKind::Timeout),
        ..finding(name, kind, line, says)
    };
    expect_plain(
        stuck("divergent_barrier", &["bar.sync"], "wait for lanes"),
        shapes,
    );
    expect_plain(
        stuck("barrier_without_all", &["bar.sync"], "never complete"),
        shapes,
    );
    expect_plain(
        stuck("divergent_shuffle", &["shfl.sync"], "wait for lanes"),
        shapes,
    );
    let unnamed = Wrong {
        fault: Some(FaultKind::LaunchFailed),
        ..finding("divergent_vote", kind, &["vote.sync"], "does not name it")
    };
    expect_plain(unnamed, shapes);
    expect_plain(
        finding(
            "shuffle_from_nobody",
            kind,
            &["shfl.sync"],
            "does not take part",
        ),
        shapes,
    );
}

#[test]
fn asynchronous_copies() {
    let copies = |name: &'static str| {
        move |device: &Device, wrong: i32| {
            let x = device.buffer(&(0..256).collect::<Vec<i32>>());
            let out = device.empty::<i32>(2 * 128);
            let outcome = device.try_run(name, 2, 128, 0, args![wrong, x, out]);
            (outcome, Vec::new())
        }
    };
    let stale = finding(
        "stale_copy",
        FindingKind::StaleCopy,
        &["ld.shared"],
        "may still be on its way",
    );
    expect(stale, copies("stale_copy"));
    let race = |name| {
        finding(
            name,
            FindingKind::SharedRace,
            &["ld.shared", "cp.async"],
            "with no barrier between",
        )
    };
    expect(race("copy_without_barrier"), copies("copy_without_barrier"));
    // The copy that comes too early is found where it is issued, and its data where it is read.
    for seed in [0, 5] {
        let Some(ptx) = nvcc::compile("checks", 80) else {
            return;
        };
        let device = Device::new(&ptx, (1, seed, true));
        let (right, _) = copies("copy_into_use")(&device, 0);
        assert!(
            right.fault.is_none() && right.findings.is_empty(),
            "{right:?}"
        );
        let (wrong, _) = copies("copy_into_use")(&device, 1);
        let kinds: BTreeSet<FindingKind> = wrong.findings.iter().map(|found| found.kind).collect();
        assert!(kinds.contains(&FindingKind::SharedRace), "{wrong:?}");
    }
}

/// Checks that a kernel that never ends is ended.
#[test]
fn a_kernel_that_never_ends() {
    let Some(ptx) = nvcc::compile("checks", 80) else {
        return;
    };
    for (threads, seed, checks) in VARIANTS {
        let mut device = Device::new(&ptx, (threads, seed, checks));
        device.options.timeout = Some(Duration::from_millis(100));
        let flags = device.buffer(&[0i32; 64]);
        let out = device.empty::<i32>(64);
        // Blocks of one thread: nobody sets the flag that it waits for.
        let grid = Grid {
            blocks: [2, 1, 1],
            threads: [1, 1, 1],
            dynamic_shared: 0,
            cooperative: false,
        };
        let outcome = device.try_run_grid("wait_by_lane", &grid, args![flags, out]);
        assert_eq!(
            outcome.fault.map(|fault| fault.kind),
            Some(FaultKind::Timeout)
        );
    }
}
