//! Every form of every instruction: tables of inputs and outputs worked out from the PTX ISA document, one family a file.

mod harness;

mod arithmetic;
mod asynchronous;
mod atomic;
mod barrier;
mod compare;
mod control;
mod convert;
mod float;
mod half;
mod logic;
mod memory;
mod movement;
mod refused;
mod special;
mod tensor;
mod warp;

use std::collections::BTreeSet;

macro_rules! families {
    ($($family:ident)*) => {
        $(
            #[test]
            fn $family() {
                $family::family().check();
            }
        )*

        /// The forms that some case of some family has.
        fn covered() -> BTreeSet<String> {
            [$($family::family().opcodes()),*].into_iter().flatten().collect()
        }
    };
}

families!(
    arithmetic asynchronous atomic barrier compare control convert float half logic memory movement special tensor warp
);

/// What compilers were seen to emit for kernels like the engine's, and what else the device takes: none is without a test.
#[test]
fn every_form_is_covered() {
    let covered = covered();
    let forms = include_str!("forms.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let missing: Vec<&str> = forms.filter(|form| !covered.contains(*form)).collect();
    assert!(
        missing.is_empty(),
        "{} forms have no case: {missing:#?}",
        missing.len()
    );
}
