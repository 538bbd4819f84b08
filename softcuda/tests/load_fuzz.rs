//! Modules with faults in their text, loaded and run: whatever they do, the host lives. A text is refused, a kernel fails, or it ends
//! within its time; nothing panics and nothing outside the device's memory is touched (which would end this process).
//!
//! `SOFTCUDA_FUZZ_SECONDS` runs it for longer.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use softcuda::launch::{Checks, Grid, Options, launch};
use softcuda::memory::{Memory, Owner};
use softcuda::module::Module;
use support::Random;

/// Mutants in an ordinary run.
const MUTANTS: usize = 1500;

/// PTX of several compilers, as lines.
fn samples() -> Vec<Vec<String>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut paths: Vec<_> = ["ptx", "foreign"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(tests.join(folder)).expect("stored PTX"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ptx"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("PTX");
            // Comments and source lines say nothing to a kernel.
            text.lines()
                .filter(|line| {
                    !line.trim_start().starts_with(".loc\t") && !line.trim_start().starts_with("//")
                })
                .map(String::from)
                .collect()
        })
        .filter(|lines: &Vec<String>| lines.len() < 1500)
        .collect()
}

/// One to three faults: a line lost, doubled, moved or taken from elsewhere; a number, register or modifier replaced.
fn mutant(random: &mut Random, samples: &[Vec<String>]) -> String {
    let mut below = |n: usize| random.next() as usize % n.max(1);
    let mut lines = samples[below(samples.len())].clone();
    for _ in 0..1 + below(3) {
        let at = below(lines.len());
        match below(7) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = below(lines.len());
                lines.swap(at, other);
            }
            3 => {
                let from = &samples[below(samples.len())];
                lines.insert(at, from[below(from.len())].clone());
            }
            4 => {
                let numbers = [
                    "0",
                    "-1",
                    "4294967295",
                    "0x7fffffffffffffff",
                    "-4",
                    "31",
                    "3",
                ];
                let words: Vec<&str> = lines[at]
                    .split_inclusive([' ', ',', ';', ']', '+'])
                    .collect();
                let word = below(words.len());
                let number = numbers[below(numbers.len())];
                lines[at] = words
                    .iter()
                    .enumerate()
                    .map(|(n, text)| {
                        let tail = text.trim_start_matches(|c: char| c.is_ascii_digit());
                        if n == word && tail.len() < text.len() {
                            format!("{number}{tail}")
                        } else {
                            (*text).to_string()
                        }
                    })
                    .collect();
            }
            5 => {
                let pairs = [
                    ("%r1", "%r2"),
                    ("%rd1", "%rd2"),
                    (".u32", ".s64"),
                    (".global", ".shared"),
                    (".shared", ".global"),
                    ("@%p1", "@!%p1"),
                    (".f32", ".f64"),
                    ("bar.sync", "bar.arrive"),
                    ("ld.", "st."),
                    (".b32", ".b64"),
                    ("bra", "bra.uni"),
                    ("ret", "trap"),
                    ("lt", "ge"),
                    ("%tid.x", "%laneid"),
                    (".x4", ".x2"),
                ];
                let (from, to) = pairs[below(pairs.len())];
                lines[at] = lines[at].replacen(from, to, 1);
            }
            _ => {
                let line = &mut lines[at];
                let cut = below(line.len() + 1);
                if line.is_char_boundary(cut) {
                    line.truncate(cut);
                }
            }
        }
    }
    lines.join("\n")
}

#[test]
fn faulty_modules_do_not_harm_the_host() {
    let seconds = std::env::var("SOFTCUDA_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let (start, samples) = (Instant::now(), samples());
    let memory = Memory::new(1 << 28).expect("device memory");
    let buffer = memory.alloc(1 << 16, Owner::Program).expect("room");
    memory.fill(buffer, &[0], 1 << 16).expect("the buffer");
    let mut random = Random::new(7);
    let (mut loaded, mut runs) = (0, 0);
    for mutants in 0.. {
        match seconds {
            Some(seconds) if start.elapsed() < Duration::from_secs(seconds) => {}
            None if mutants < MUTANTS => {}
            _ => break,
        }
        let Ok(module) = Module::load(&mutant(&mut random, &samples), &memory) else {
            continue;
        };
        loaded += 1;
        for kernel in module.kernels() {
            // Parameters: the buffer for what may be a pointer, small numbers for the rest.
            let mut params = vec![0; kernel.param_bytes as usize];
            for param in &kernel.params {
                let value = if param.bytes == 8 { buffer } else { 40 };
                let bytes = (param.bytes as usize).min(8);
                params[param.offset as usize..][..bytes]
                    .copy_from_slice(&value.to_le_bytes()[..bytes]);
            }
            let checked = random.next().is_multiple_of(2);
            let options = Options {
                threads: 1,
                seed: u64::from(random.next() % 3),
                checks: Checks {
                    initialised: checked,
                    shared_races: checked,
                    global_races: checked && random.next().is_multiple_of(4),
                },
                count: random.next().is_multiple_of(4),
                capability: (8, 0),
                stack: 1024,
                timeout: Some(Duration::from_millis(20)),
            };
            let grid = Grid {
                blocks: [2, 1, 1],
                threads: [64, 1, 1],
                dynamic_shared: 4096,
                cooperative: false,
            };
            let outcome = launch(&memory, kernel, &grid, &params, &options);
            // Whatever went wrong is told with its place.
            for message in outcome
                .fault
                .iter()
                .map(|fault| &fault.message)
                .chain(outcome.findings.iter().map(|f| &f.message))
            {
                assert!(message.contains(&kernel.name), "{message}");
            }
            runs += 1;
        }
        module.unload(&memory);
    }
    println!(
        "{loaded} mutants loaded, {runs} kernels ran, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    assert!(loaded > 100, "{loaded} loaded: the faults are too coarse");
}
