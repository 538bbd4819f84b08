//! The tensor-core model alone, for `scripts/check_tensor.py` and for the clock.
//!
//! ```text
//! mma run <ampere|hopper> <index of Kind::ALL> <input> <output>   fragments in a file: rows of A, B and C, tile after tile
//! mma time                                                         nanoseconds a tile, every kind
//! ```

use std::time::Instant;

use softcuda::tensor::{Arch, Kind, Row, mma};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", arch, kind, input, output] => {
            let arch = match arch {
                "ampere" => Arch::Ampere,
                "hopper" => Arch::Hopper,
                _ => panic!("ampere or hopper, not {arch}"),
            };
            run(
                arch,
                Kind::ALL[kind.parse::<usize>().expect("an index")],
                input,
                output,
            );
        }
        ["time"] => time(),
        _ => panic!("mma run ARCH KIND INPUT OUTPUT, or mma time"),
    }
}

fn run(arch: Arch, kind: Kind, input: &str, output: &str) {
    let bytes = std::fs::read(input).expect("the input");
    let words: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().expect("four")))
        .collect();
    let rows: Vec<Row> = words
        .chunks_exact(32)
        .map(|row| row.try_into().expect("32 lanes"))
        .collect();
    let mut results = Vec::new();
    for tile in rows.chunks_exact(kind.a_registers() + kind.b_registers() + kind.c_registers()) {
        let (a, rest) = tile.split_at(kind.a_registers());
        let (b, c) = rest.split_at(kind.b_registers());
        let mut d = vec![[0; 32]; kind.c_registers()];
        mma(kind, arch, a, b, c, &mut d);
        results.extend(d.iter().flatten().flat_map(|word| word.to_le_bytes()));
    }
    std::fs::write(output, results).expect("the output");
}

fn time() {
    let mut state = 1u32;
    for kind in Kind::ALL {
        for arch in [Arch::Ampere, Arch::Hopper] {
            // Values near 1, their low bits random: in each format's bits, any exponent that occurs in practice.
            let mut row = || -> Row {
                std::array::from_fn(|_| {
                    state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                    0x3c00_3c00
                        | state >> 3 & 0x1ff
                        | (state >> 7 & 0x1ff) << 16
                        | (state & 0x8000_0000)
                        | (state >> 11) & 0x8000
                })
            };
            let a: [Row; 4] = std::array::from_fn(|_| row());
            let b: [Row; 2] = std::array::from_fn(|_| row());
            let mut c = [[0u32; 32]; 4];
            let rounds = 200_000;
            let mut best = f64::INFINITY;
            for _ in 0..5 {
                let start = Instant::now();
                for _ in 0..rounds / 5 {
                    let from = c;
                    let count = kind.c_registers();
                    mma(
                        kind,
                        arch,
                        &a[..kind.a_registers()],
                        &b[..kind.b_registers()],
                        &from[..count],
                        &mut c[..count],
                    );
                }
                best = best.min(start.elapsed().as_secs_f64() / f64::from(rounds / 5));
                c = [[0; 32]; 4];
            }
            println!(
                "{:8} {:?} {:?} {arch:?}: {:.0} ns",
                kind.shape(),
                kind.element(),
                kind.sum(),
                best * 1e9
            );
        }
    }
}
