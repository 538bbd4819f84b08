//! Tensor cores in kernels. The arithmetic of one tile is tested with the model; here, that fragments meet the right elements.

use crate::cases::tensor;
use crate::support::on_each;

#[test]
fn staged_gemms() {
    on_each("tensor", tensor::staged_gemms);
}

#[test]
fn tf32_gemm() {
    on_each("tensor", tensor::tf32_gemm);
}

#[test]
fn f16_sums() {
    on_each("tensor", tensor::f16_sums);
}

#[test]
fn attention() {
    on_each("tensor", tensor::attention);
}
