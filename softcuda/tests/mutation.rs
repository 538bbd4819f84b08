//! The mutation score: kernels that are right get one fault each, planted in their PTX. Every one must be caught, by a check or by a
//! wrong result, in the very tests that the right kernel passes.

mod cases;
#[path = "mutation/faults.rs"]
mod faults;
mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cases::{basic, sync, tensor};
use faults::{Mutant, mutants, only};
use support::device::{Device, VARIANTS};
use support::nvcc;

/// A test, the file of its kernels, and those among them that get faults.
struct Case {
    file: &'static str,
    run: fn(&Device),
    /// All kernels that the test runs; those with a star get no faults.
    kernels: &'static [&'static str],
}

const CASES: [Case; 19] = [
    Case {
        file: "basic",
        run: basic::block_sums,
        kernels: &["block_sums_shuffle", "block_sums_tree"],
    },
    Case {
        file: "basic",
        run: basic::scans,
        kernels: &["scan_two_buffers", "scan_warps"],
    },
    Case {
        file: "basic",
        run: basic::transpose,
        kernels: &["transpose"],
    },
    Case {
        file: "basic",
        run: basic::histogram,
        kernels: &["histogram"],
    },
    Case {
        file: "basic",
        run: basic::tiled_gemm,
        kernels: &["gemm_tiled"],
    },
    Case {
        file: "basic",
        run: basic::softmax,
        kernels: &["softmax"],
    },
    Case {
        file: "basic",
        run: basic::layernorm,
        kernels: &["layernorm"],
    },
    Case {
        file: "basic",
        run: basic::the_last_block_adds_up,
        kernels: &["sum_last_block"],
    },
    Case {
        file: "sync",
        run: sync::producer_and_consumers,
        kernels: &["producer_consumer"],
    },
    Case {
        file: "sync",
        run: sync::barriers_of_half_a_block,
        kernels: &["halves"],
    },
    Case {
        file: "sync",
        run: sync::a_barrier_for_the_grid,
        kernels: &["grid_barrier"],
    },
    Case {
        file: "sync",
        run: sync::a_message_between_blocks,
        kernels: &["message"],
    },
    Case {
        file: "tensor",
        run: tensor::staged_gemms,
        kernels: &["gemm_bf16", "gemm_f16*", "gemm_bf16_rows"],
    },
    Case {
        file: "tensor",
        run: tensor::attention,
        kernels: &["attention"],
    },
    Case {
        file: "basic",
        run: basic::saxpy,
        kernels: &["saxpy", "saxpy_strided"],
    },
    Case {
        file: "basic",
        run: basic::vector_access,
        kernels: &["scale_vector"],
    },
    Case {
        file: "sync",
        run: sync::asynchronous_copies,
        kernels: &["async_copies"],
    },
    Case {
        file: "tensor",
        run: tensor::tf32_gemm,
        kernels: &["gemm_tf32"],
    },
    Case {
        file: "tensor",
        run: tensor::f16_sums,
        kernels: &["tile_f16"],
    },
];

/// Faults that are none: what they change cannot matter, for the reason given. By the kernel and a part of the line.
const EQUIVALENT: [(&str, &str, &str, &str); 0] = [];

/// What caught a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Caught {
    Fault,
    Finding,
    Result,
    Missed,
}

fn try_out(case: &Case, mutant: &Mutant) -> (Caught, String) {
    for (threads, seed, checks) in VARIANTS.into_iter().filter(|variant| variant.2) {
        let mut device = Device::new(&mutant.text, (threads, seed, checks));
        device.options.timeout = Some(Duration::from_millis(500));
        let outcome = catch_unwind(AssertUnwindSafe(|| (case.run)(&device)));
        let Err(panic) = outcome else { continue };
        let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        let caught = if message.contains("Finding {") {
            Caught::Finding
        } else if message.contains("Fault {") {
            Caught::Fault
        } else {
            Caught::Result
        };
        return (caught, message);
    }
    (Caught::Missed, String::new())
}

#[test]
fn every_planted_fault_is_caught() {
    let mut jobs: Vec<(&Case, Mutant)> = Vec::new();
    for case in &CASES {
        let Some(ptx) = nvcc::compile(case.file, 80) else {
            return;
        };
        let names: Vec<&str> = case
            .kernels
            .iter()
            .map(|name| name.trim_end_matches('*'))
            .collect();
        let ptx = only(&ptx, &names);
        // Without a fault there is nothing to catch.
        for variant in VARIANTS {
            (case.run)(&Device::new(&ptx, variant));
        }
        for kernel in case.kernels.iter().filter(|name| !name.ends_with('*')) {
            jobs.extend(
                mutants(&ptx, kernel)
                    .into_iter()
                    .map(|mutant| (case, mutant)),
            );
        }
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let work = || {
        while let Some((case, mutant)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = std::time::Instant::now();
            let (caught, message) = try_out(case, mutant);
            if std::env::var_os("MUTANTS").is_some() {
                let first = message.lines().take(12).collect::<Vec<_>>().join(" ");
                println!(
                    "{caught:?} {} {:?} {} | {first:.300}",
                    mutant.class,
                    began.elapsed(),
                    mutant.what
                );
            }
            results.lock().expect("no panic").push((mutant, caught));
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        (0..threads).for_each(|_| {
            scope.spawn(work);
        });
    });
    std::panic::set_hook(hook);
    let mut score: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    let mut missed = Vec::new();
    let (mut used, mut equivalent) = (vec![false; EQUIVALENT.len()], 0);
    for (mutant, caught) in results.into_inner().expect("no panic") {
        let known = EQUIVALENT.iter().position(|(kernel, class, line, _)| {
            mutant.class == *class
                && mutant.what.starts_with(&format!("{kernel} "))
                && mutant.what.contains(line)
        });
        if let Some(known) = known {
            assert_eq!(
                caught,
                Caught::Missed,
                "{} is caught after all",
                mutant.what
            );
            used[known] = true;
            equivalent += 1;
            continue;
        }
        score.entry(mutant.class).or_default()[caught as usize] += 1;
        if caught == Caught::Missed {
            missed.push(format!("{}: {}", mutant.class, mutant.what));
        }
    }
    let (mut all, mut total) = (0, 0);
    for (class, [fault, finding, result, missed]) in &score {
        let caught = fault + finding + result;
        println!(
            "{class}: {caught}/{} (faults {fault}, findings {finding}, results {result})",
            caught + missed
        );
        all += caught;
        total += caught + missed;
    }
    println!("all: {all}/{total}, and {equivalent} that change nothing");
    assert!(missed.is_empty(), "missed:\n{}", missed.join("\n"));
    assert!(
        !used.contains(&false),
        "an equivalent that is no mutant: {used:?}"
    );
}
