//! The textbook kernels.

use crate::cases::basic;
use crate::support::on_each;

#[test]
fn saxpy() {
    on_each("basic", basic::saxpy);
}

#[test]
fn vector_access() {
    on_each("basic", basic::vector_access);
}

#[test]
fn block_sums() {
    on_each("basic", basic::block_sums);
}

#[test]
fn scans() {
    on_each("basic", basic::scans);
}

#[test]
fn transpose() {
    on_each("basic", basic::transpose);
}

#[test]
fn histogram() {
    on_each("basic", basic::histogram);
}

#[test]
fn tiled_gemm() {
    on_each("basic", basic::tiled_gemm);
}

#[test]
fn softmax() {
    on_each("basic", basic::softmax);
}

#[test]
fn layernorm() {
    on_each("basic", basic::layernorm);
}

#[test]
fn the_last_block_adds_up() {
    on_each("basic", basic::the_last_block_adds_up);
}
