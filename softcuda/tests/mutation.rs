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
use std::time::{Duration, Instant};

use cases::{basic, control, sync, tensor};
use faults::{Mutant, mutants, unreached};
use support::device::{Device, VARIANTS};
use support::nvcc;

/// A test, and the file of its kernels.
struct Case {
    file: &'static str,
    run: fn(&Device),
    /// The kernels that the test runs.
    kernels: &'static [&'static str],
}

const CASES: [Case; 24] = [
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
        run: tensor::small_gemm,
        kernels: &["gemm_bf16"],
    },
    Case {
        file: "tensor",
        run: tensor::small_gemm_of_rows,
        kernels: &["gemm_bf16_rows"],
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
    Case {
        file: "control",
        run: control::partial_shuffles,
        kernels: &["partial_shuffles"],
    },
    Case {
        file: "control",
        run: control::a_lock_among_all_threads,
        kernels: &["spin_lock"],
    },
    Case {
        file: "control",
        run: control::warp_exchange,
        kernels: &["warp_exchange"],
    },
    Case {
        file: "control",
        run: control::loops_and_barriers,
        kernels: &["loops_and_barriers"],
    },
];

/// Faults that change nothing, and why.
struct Equivalent {
    kernels: &'static [&'static str],
    /// Kinds of fault.
    classes: &'static [&'static str],
    /// What the line has in it.
    line: &'static str,
    /// How many there are at most.
    most: usize,
    why: &'static str,
}

const GEMMS: &[&str] = &["gemm_bf16", "gemm_bf16_rows"];

const EQUIVALENTS: [Equivalent; 16] = [
    Equivalent {
        kernels: &["scan_two_buffers"],
        classes: &["bound off by one"],
        line: "setp.lt.u32",
        most: 1,
        why: "one round more, at a distance of all threads, copies each value and adds none",
    },
    Equivalent {
        kernels: &["scan_warps"],
        classes: &["bound off by one"],
        line: "setp.lt.s32",
        most: 1,
        why: "one chunk more, behind the end, reads zeros and stores nothing",
    },
    Equivalent {
        kernels: &["scan_warps"],
        classes: &["dropped barrier"],
        line: "bar.sync",
        most: 1,
        why: "the last barrier of a round: the carry is read behind the first two of the next round, and the sums behind the one before",
    },
    Equivalent {
        kernels: &["scan_warps"],
        classes: &["access before its barrier"],
        line: "bar.sync",
        most: 1,
        why: "the carry, read before the second barrier of a round, was written before the first",
    },
    Equivalent {
        kernels: &["gemm_tiled"],
        classes: &["bound off by one"],
        line: "setp.lt.s32",
        most: 1,
        why: "one tile more, behind k, is all zeros",
    },
    Equivalent {
        kernels: &["producer_consumer"],
        classes: &["bound off by one"],
        line: "setp.ge.s32",
        most: 5,
        why: "consumers say once more at the end that a buffer is empty, and nobody waits for it",
    },
    Equivalent {
        kernels: &["producer_consumer"],
        classes: &["dropped guard"],
        line: "bra",
        most: 5,
        why: "as above, for both buffers",
    },
    Equivalent {
        kernels: &["producer_consumer"],
        classes: &["missing fence"],
        line: "membar.cta",
        most: 3,
        why: "the arrival at the barrier that follows orders what came before it",
    },
    Equivalent {
        kernels: GEMMS,
        classes: &["bound off by one", "dropped guard"],
        line: "setp.le.s32",
        most: 8,
        why: "one step more is fetched, behind k: zeros, into a stage that nobody reads any more",
    },
    Equivalent {
        kernels: GEMMS,
        classes: &["dropped guard"],
        line: "not.pred",
        most: 8,
        why: "where nothing is copied from does not matter",
    },
    Equivalent {
        kernels: &["loops_and_barriers"],
        classes: &["bound off by one"],
        line: "setp.lt.u32",
        most: 1,
        why: "no thread's index is the number of threads",
    },
    Equivalent {
        kernels: &["grid_barrier"],
        classes: &["dropped barrier"],
        line: "bar.sync",
        most: 1,
        why: "the first thread does everything, and the others wait for it for no other reason than to show that they may",
    },
    Equivalent {
        kernels: &["partial_shuffles"],
        classes: &["dropped barrier"],
        line: "bar.warp.sync",
        most: 1,
        why: "the shuffle behind it waits for the lanes as well, and there is no memory to order",
    },
    Equivalent {
        kernels: GEMMS,
        classes: &["dropped wait", "wait for one group less"],
        line: "cp.async.wait_group 0",
        most: 4,
        why: "behind the loop only empty groups are left",
    },
    Equivalent {
        kernels: GEMMS,
        classes: &["bound off by one"],
        line: "setp.ge.s32",
        most: 20,
        why: "an odd column is never n, which is a multiple of 8",
    },
    Equivalent {
        kernels: &["attention"],
        classes: &["bound off by one"],
        line: "setp.le.s32",
        most: 8,
        why: "rows 0 to 7 of a warp's queries are on the diagonal only in even tiles of 8 keys, rows 8 to 15 only in odd ones",
    },
];

/// Kernels with code that no input reaches, and why.
const UNREACHED: [(&[&str], &str); 3] = [
    (
        &["gemm_bf16", "gemm_bf16_rows", "attention"],
        "each of 128 threads copies the same number of pieces of a tile; the compiler made loops for other numbers too",
    ),
    (
        &["scale_vector"],
        "at most three elements are left at the end; the compiler unrolled their loop by four",
    ),
    (
        &["histogram"],
        "a jump that the compiler left behind another one",
    ),
];

/// What caught a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Caught {
    Fault,
    Finding,
    Result,
    Missed,
}

/// How long a mutant of this kernel may take until it counts as one that loops: many times what the right kernel takes here.
fn limit(case: &Case, ptx: &str) -> Duration {
    let began = Instant::now();
    for variant in VARIANTS.into_iter().filter(|variant| variant.2) {
        (case.run)(&Device::new(ptx, variant));
    }
    (20 * began.elapsed()).max(Duration::from_secs(10))
}

fn try_out(case: &Case, mutant: &Mutant, limit: Duration) -> (Caught, String) {
    for (threads, seed, checks) in VARIANTS.into_iter().filter(|variant| variant.2) {
        let mut device = Device::new(&mutant.text, (threads, seed, checks));
        device.options.timeout = Some(limit);
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

/// The line of the trap that a kernel ended at; without one it must be right.
fn trapped(case: &Case, text: &str) -> Option<usize> {
    let device = Device::new(text, (1, 0, false));
    let panic = catch_unwind(AssertUnwindSafe(|| (case.run)(&device))).err()?;
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    let line = message.split("PTX line ").nth(1).unwrap_or_default();
    let digits = line.split(|c: char| !c.is_ascii_digit()).next();
    let line = digits.unwrap_or_default().parse();
    Some(line.unwrap_or_else(|_| panic!("not a trap: {message}")))
}

#[test]
fn every_planted_fault_is_caught() {
    let mut jobs: Vec<(&Case, Mutant, Duration)> = Vec::new();
    let mut dead = BTreeMap::new();
    // Panics are what is wanted from here on.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for case in &CASES {
        let Some(ptx) = nvcc::compile(case.file, 80) else {
            return;
        };
        let ptx = nvcc::only(&ptx, case.kernels);
        let limit = limit(case, &ptx);
        for kernel in case.kernels {
            let run = |text: &str| trapped(case, text);
            let without = unreached(&ptx, kernel, run);
            dead.insert(*kernel, without.len());
            let mutants = mutants(&ptx, kernel, &without);
            jobs.extend(mutants.into_iter().map(|mutant| (case, mutant, limit)));
        }
    }
    for (kernels, why) in UNREACHED {
        let lines: usize = kernels
            .iter()
            .map(|name| dead.remove(name).unwrap_or(0))
            .sum();
        println!(
            "never executed: {lines} lines in {}: {why}",
            kernels.join(", ")
        );
    }
    assert!(
        dead.values().all(|lines| *lines == 0),
        "the tests do not execute all lines of {dead:?}"
    );
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let work = || {
        while let Some((case, mutant, limit)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            let (caught, message) = try_out(case, mutant, *limit);
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
    let mut found = vec![0; EQUIVALENTS.len()];
    for (mutant, caught) in results.into_inner().expect("no panic") {
        let score = score.entry(mutant.class).or_default();
        let known = EQUIVALENTS.iter().position(|equivalent| {
            let kernel = |name: &&str| mutant.what.starts_with(&format!("{name} "));
            equivalent.classes.contains(&mutant.class)
                && equivalent.kernels.iter().any(kernel)
                && mutant.what.contains(equivalent.line)
        });
        match (caught, known) {
            (Caught::Missed, Some(known)) => found[known] += 1,
            (Caught::Missed, None) => {
                score[3] += 1;
                missed.push(format!("{}: {}", mutant.class, mutant.what));
            }
            _ => score[caught as usize] += 1,
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
    println!("all: {all}/{total}");
    for (equivalent, found) in EQUIVALENTS.iter().zip(&found) {
        println!(
            "no fault: {found} in {}: {}",
            equivalent.kernels.join(", "),
            equivalent.why
        );
    }
    missed.sort();
    assert!(missed.is_empty(), "missed:\n{}", missed.join("\n"));
    for (equivalent, found) in EQUIVALENTS.iter().zip(found) {
        assert!(
            (1..=equivalent.most).contains(&found),
            "{found}: {}",
            equivalent.why
        );
    }
}
