//! Mutated PTX: the parser neither panics nor takes longer than its text is long. The same mutations on every run; a longer run,
//! with a limit on the time, by `SOFTCUDA_FUZZ_SECONDS=600 cargo test --release --test parse_fuzz`.

use std::time::{Duration, Instant};

use softcuda::ptx::ast::{Module, Statement};
use softcuda::ptx::parse::{ParseError, parse};

const NVCC: &str = include_str!("ptx/nvcc_sm_80.ptx");
const CLANG: &str = include_str!("ptx/clang_sm_80.ptx");
const TRITON: &str = include_str!("ptx/triton_sm_90.ptx");

/// Constructs that the samples lack.
const RARE: &str = ".version 8.5
.target sm_90a, debug
.address_size 64
.pragma \"one\", \"two\";
.weak .global .attribute(.managed) .align 16 .v4 .f32 v[2][3] = {{{1.0, 2.0, 3.0, 4.0}, {-1.5}}, {{0f3F800000}}};
.global .u64 p[] = {v, v+4, generic(v)+8, -1, 0x10, 017, 0b11};
.extern .shared .b8 s[];
.func (.param .b32 r) f(.param .align 8 .b8 a[16], .param .b8 more[]) .noreturn;
.alias g, f;
.visible .entry k(.param .u64 .ptr .global .align 16 a)
.maxntid 256, 1, 1 .reqntid 128 .minnctapersm 2 .maxnreg 64 .explicitcluster .reqnctapercluster 2, 1, 1 .maxclusterrank 8
{
    .reg .pred p, q; .reg .v4 .f32 v4<2>; .local .align 8 .b8 l[16];
    .loc 1 2 3, function_name $L+4, inlined_at 1 2 3
    table: .branchtargets A, B;
    proto: .callprototype (.param .b32 _) _ (.param .b32 _) .noreturn;
    to: .calltargets f, g;
A:  @!p setp.lt.and.s32 p|q, x, -5, !q;
B:  ld.global.L2::128B.v4.f32 {%f1, _, %f3, %f4}, [%rd + -0x10];
    call (r), %rd, (a, b), proto;
    cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [s], [m, {x, y}], [b];
    mov.u32 x, WARP_SZ; mov.b64 y, v+4; mov.f64 z, 0d3FF0000000000000; /* end */ brx.idx x, table;
}
";

const SAMPLES: [&str; 4] = [NVCC, CLANG, TRITON, RARE];

/// What is put in: what opens, closes, nests, overflows, is cut short or is no PTX.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    ";",
    ":",
    "::",
    ",",
    ".",
    "@",
    "!",
    "|",
    "+",
    "-",
    "=",
    "_",
    "\"",
    "//",
    "/*",
    "*/",
    "0x",
    "0f",
    "0d7FF",
    "18446744073709551615",
    "99999999999999999999",
    "%r<4000000000>",
    "[4294967296][4294967296]",
    ".reg .b32 ",
    ".param ",
    ".loc 1 1 1 ",
    ".global .u8 x[1000000] = {1,{2}};",
    "{{{{{{{{",
    "é",
    "\u{0}",
    "\\",
    "\r\n",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// A stretch of `text` that begins and ends where words or lines do, mostly a short one.
fn stretch(text: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let edge = |byte: &u8| byte.is_ascii_whitespace() || b",;(){}[]".contains(byte);
    let start = random.below(text.len());
    let start = text[start..]
        .iter()
        .position(edge)
        .map_or(start, |more| start + more);
    let words = 1 + random.below(8) * random.below(8);
    let mut end = start;
    for _ in 0..words {
        let rest = text.get(end + 1..).unwrap_or(&[]);
        end = rest
            .iter()
            .position(edge)
            .map_or(text.len(), |more| end + 1 + more);
    }
    start..end
}

fn mutate(random: &mut Random) -> Vec<u8> {
    let mut text = SAMPLES[random.below(SAMPLES.len())].as_bytes().to_vec();
    for _ in 0..1 + random.below(6) {
        if text.is_empty() {
            break;
        }
        let place = random.below(text.len());
        match random.below(9) {
            // A word or several fewer, twice, or somewhere else.
            0 => drop(text.drain(stretch(&text, random))),
            1 => {
                let copy = text[stretch(&text, random)].to_vec();
                text.splice(place..place, copy);
            }
            2 => {
                let other = SAMPLES[random.below(SAMPLES.len())].as_bytes();
                let copy = other[stretch(other, random)].to_vec();
                text.splice(place..place, copy);
            }
            // Bytes.
            3 => text[place] ^= 1 << random.below(8),
            4 => text[place] = random.below(256) as u8,
            5 => text.truncate(place),
            // Pieces, also many of one.
            6 => drop(text.splice(place..place, PIECES[random.below(PIECES.len())].bytes())),
            7 => {
                let piece = PIECES[random.below(PIECES.len())].repeat(1 + random.below(2000));
                text.splice(place..place, piece.bytes());
            }
            // A number becomes another.
            _ => {
                let digit = text[place..].iter().position(u8::is_ascii_digit);
                if let Some(digit) = digit {
                    let number = random.below(usize::MAX).to_string();
                    let length = 1 + random.below(number.len());
                    text.splice(
                        place + digit..place + digit + 1,
                        number.bytes().take(length),
                    );
                }
            }
        }
    }
    text
}

/// Statements of a module, all blocks included.
fn statements(module: &Module) -> usize {
    fn count(statements: &[Statement]) -> usize {
        statements
            .iter()
            .map(|statement| match statement {
                Statement::Block(inner) => 1 + count(inner),
                _ => 1,
            })
            .sum()
    }
    module
        .functions
        .iter()
        .filter_map(|function| function.body.as_deref())
        .map(count)
        .sum()
}

/// Parses, and holds the result to what is true of any.
fn check(text: &str) -> Result<Module, ParseError> {
    let start = Instant::now();
    let result = parse(text);
    let took = start.elapsed();
    // How long is only looked at on a machine that does nothing else. Real text takes some 10 ns a byte, several times that unoptimised.
    let limit = Duration::from_millis(500) + Duration::from_micros(2) * text.len() as u32;
    let timed = std::env::var_os("SOFTCUDA_FUZZ_SECONDS").is_some();
    assert!(!timed || took < limit, "{} bytes took {took:?}", text.len());
    let lines = text.bytes().filter(|&byte| byte == b'\n').count() as u32 + 1;
    match &result {
        Ok(module) => {
            assert!(statements(module) <= text.len());
            for variable in &module.variables {
                assert!(variable.ty.bytes().checked_mul(variable.count).is_some());
                assert!(variable.init.len() as u64 <= variable.count);
            }
        }
        Err(error) => {
            assert!(
                (1..=lines).contains(&error.line),
                "{error} of {lines} lines"
            );
            assert!(error.message.len() < 500, "{error}");
        }
    }
    result
}

#[test]
fn the_samples_parse() {
    for (text, functions, variables) in [(NVCC, 11, 7), (CLANG, 3, 3), (TRITON, 1, 1), (RARE, 2, 3)]
    {
        let module = check(text).unwrap();
        assert_eq!(
            (module.functions.len(), module.variables.len()),
            (functions, variables)
        );
    }
}

#[test]
fn no_mutation_makes_it_panic_or_slow() {
    let seconds = std::env::var("SOFTCUDA_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let start = Instant::now();
    let (mut rounds, mut accepted) = (0u64, 0u64);
    loop {
        let done = match seconds {
            Some(seconds) => start.elapsed().as_secs() >= seconds,
            None => rounds == 20_000,
        };
        if done {
            break;
        }
        let text = mutate(&mut Random(rounds));
        accepted += u64::from(check(&String::from_utf8_lossy(&text)).is_ok());
        rounds += 1;
    }
    println!("{rounds} texts, {accepted} of them still modules");
    // Were nothing accepted, or all, the mutations would test little.
    assert!(accepted > rounds / 100 && accepted < rounds * 9 / 10);
}

#[test]
fn every_beginning_of_a_text() {
    for text in SAMPLES {
        let step = 1 + text.len() / 700;
        for end in (0..text.len()).step_by(step) {
            let _ = check(&text[..end]);
        }
    }
}

#[test]
fn texts_of_one_piece_repeated() {
    for piece in PIECES {
        for head in [
            "",
            ".version 8.0\n.target sm_80\n",
            ".version 8.0\n.target sm_80\n.entry k {\n",
            ".version 8.0\n.target sm_80\n.entry k { mov a, ",
        ] {
            let _ = check(&format!("{head}{}", piece.repeat(200_000 / piece.len())));
        }
    }
}
