//! Devices that run the operators.

pub mod cpu;
