//! Device memory.

/// The device's memory.
pub struct Memory {}
