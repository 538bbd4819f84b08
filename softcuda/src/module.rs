//! A loaded module: code ready to execute, variables in device memory.

use std::sync::Arc;

use crate::memory::Memory;
use crate::ptx::ast::Limits;

/// Why a module was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: {message}")]
pub struct LoadError {
    /// Line in the PTX text, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub message: String,
}

/// Where a kernel's parameter lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Bytes from the start of the parameters.
    pub offset: u32,
    /// Its size.
    pub bytes: u32,
}

/// A kernel and what the driver tells of it.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// Parameters in order.
    pub params: Vec<Param>,
    /// Bytes of all parameters.
    pub param_bytes: u32,
    /// Registers a thread needs: most values alive at once, an estimate of what ptxas would give.
    pub registers: u32,
    /// Bytes of shared memory declared in the kernel and the functions it calls.
    pub static_shared: u32,
    /// Bytes of local memory a thread needs.
    pub local_bytes: u32,
    /// Bytes of `.const` variables of the module.
    pub const_bytes: u32,
    /// `.maxntid`, `.minnctapersm` and the like.
    pub limits: Limits,
}

/// A loaded module.
pub struct Module {
    kernels: Vec<Arc<Kernel>>,
}

impl Module {
    /// Reads and checks `text`, and gives its variables memory.
    pub fn load(text: &str, memory: &Memory) -> Result<Module, LoadError> {
        let _ = (text, memory);
        Ok(Module {
            kernels: Vec::new(),
        })
    }

    /// The kernel called `name`.
    pub fn kernel(&self, name: &str) -> Option<&Arc<Kernel>> {
        self.kernels.iter().find(|kernel| kernel.name == name)
    }

    /// Address and size of the module variable called `name`.
    pub fn variable(&self, name: &str) -> Option<(u64, u64)> {
        let _ = name;
        None
    }

    /// The capability that the module's `.target` names: 80 for `sm_80`.
    pub fn target(&self) -> u32 {
        80
    }

    /// Gives the variables' memory back.
    pub fn unload(&self, memory: &Memory) {
        let _ = memory;
    }
}
