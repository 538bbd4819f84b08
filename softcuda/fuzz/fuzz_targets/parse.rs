//! Any text through the parser. Good seeds are the samples: `cargo +nightly fuzz run parse fuzz/corpus/parse tests/ptx`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = softcuda::ptx::parse::parse(text);
});
