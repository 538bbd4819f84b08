//! What went wrong on the device, in words: faults, which end the kernel as the hardware would end it, and findings, which the
//! hardware would not notice.

/// Why a kernel was ended. Each is an error of the real driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// An access outside every allocation, or to freed memory: CUDA_ERROR_ILLEGAL_ADDRESS.
    IllegalAddress,
    /// An access whose address is not a multiple of its size: CUDA_ERROR_MISALIGNED_ADDRESS.
    MisalignedAddress,
    /// A generic address in a space that the instruction cannot use: CUDA_ERROR_INVALID_ADDRESS_SPACE.
    InvalidAddressSpace,
    /// `assert` failed: CUDA_ERROR_ASSERT.
    Assert,
    /// `trap`, or an operation that the hardware leaves undefined: CUDA_ERROR_LAUNCH_FAILED.
    LaunchFailed,
    /// An instruction that this capability does not have: CUDA_ERROR_ILLEGAL_INSTRUCTION.
    IllegalInstruction,
    /// The call stack grew past its limit: CUDA_ERROR_HARDWARE_STACK_ERROR.
    StackOverflow,
    /// Threads that wait for each other for ever: CUDA_ERROR_LAUNCH_TIMEOUT.
    Timeout,
}

/// A kernel's end before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which error the driver returns.
    pub kind: FaultKind,
    /// Kernel, block, thread, PTX line, source line, and what was wrong.
    pub message: String,
}

/// What a check finds that the hardware would let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// Memory is read that nothing wrote.
    Uninitialised,
    /// Two threads of a block touch the same shared memory, one writing, with no barrier between.
    SharedRace,
    /// Two blocks touch the same global memory, one writing, with no synchronisation between.
    GlobalRace,
    /// A barrier or warp-synchronous operation that not all named threads reach.
    Divergence,
    /// Data of an asynchronous copy is used before the wait for it.
    StaleCopy,
    /// Memory is still allocated when its context ends.
    Leak,
    /// A driver call that is wrong though the driver may not say so: a double free, a use of a destroyed handle.
    Misuse,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which check found it.
    pub kind: FindingKind,
    /// Kernel, block, thread, PTX line, source line, and what was wrong.
    pub message: String,
}
