//! Builds without CUDA kernels: the CPU backend needs nothing from here yet.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
}
