//! A loaded module: code ready to execute, variables in device memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::code::lower::{Kernel as Shared, kernel_params};
use crate::code::{Code, assemble};
use crate::memory::{Memory, Owner};
use crate::ptx::ast::{self, Init, Limits, Linkage, Space};
use crate::ptx::parse::parse;

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
    /// Its code.
    pub(crate) code: Arc<Code>,
}

/// A loaded module.
pub struct Module {
    kernels: Vec<Arc<Kernel>>,
    variables: HashMap<String, (u64, u64)>,
    sm: u32,
}

/// Largest total of `.const` variables.
const CONST_BYTES: u64 = 64 << 10;

impl Module {
    /// Reads and checks `text`, and gives its variables memory. Every kernel is made ready to run, so that a form which is not known
    /// is refused here.
    pub fn load(text: &str, memory: &Memory) -> Result<Module, LoadError> {
        let ast = parse(text).map_err(|error| LoadError {
            line: error.line,
            message: error.message,
        })?;
        let mut module = Module {
            kernels: Vec::new(),
            variables: HashMap::new(),
            sm: ast.sm,
        };
        let loaded = module.fill(&ast, memory);
        if loaded.is_err() {
            module.unload(memory);
        }
        loaded.map(|()| module)
    }

    fn fill(&mut self, ast: &ast::Module, memory: &Memory) -> Result<(), LoadError> {
        let mut const_bytes = 0;
        for variable in &ast.variables {
            if !matches!(variable.space, Space::Global | Space::Const) {
                continue;
            }
            let error = |message: String| LoadError {
                line: variable.line,
                message,
            };
            if variable.linkage == Linkage::Extern {
                return Err(error(format!(
                    "{} is defined in another module, and modules are not linked",
                    variable.name
                )));
            }
            if self.variables.contains_key(&variable.name) {
                return Err(error(format!("{} is defined a second time", variable.name)));
            }
            if variable.space == Space::Const {
                const_bytes += variable.bytes();
                if const_bytes > CONST_BYTES {
                    return Err(error(format!(
                        "the module has more than {CONST_BYTES} bytes of constant variables"
                    )));
                }
            }
            let bytes = variable.bytes().max(1);
            let address = memory
                .alloc(bytes, Owner::Variable(variable.name.clone()))
                .map_err(|full| error(format!("{}: {full}", variable.name)))?;
            self.variables
                .insert(variable.name.clone(), (address, variable.bytes()));
        }
        for variable in &ast.variables {
            if let Some((address, _)) = self.variables.get(&variable.name)
                && !variable.init.is_empty()
            {
                let bytes = self.initial(ast, variable)?;
                memory
                    .write(*address, &bytes)
                    .expect("the variable was just given its memory");
            }
        }
        let addresses: HashMap<String, u64> = self
            .variables
            .iter()
            .map(|(name, (address, _))| (name.clone(), *address))
            .collect();
        for function in ast
            .functions
            .iter()
            .filter(|function| function.entry && function.body.is_some())
        {
            if self.kernel(&function.name).is_some() {
                let message = format!("kernel {} is defined a second time", function.name);
                return Err(LoadError {
                    line: function.line,
                    message,
                });
            }
            let (params, param_bytes) = kernel_params(function);
            let assembled = assemble::kernel(Shared::new(ast, &addresses, function))?;
            self.kernels.push(Arc::new(Kernel {
                name: function.name.clone(),
                params: params
                    .into_iter()
                    .map(|(offset, bytes)| Param { offset, bytes })
                    .collect(),
                param_bytes,
                registers: registers(assembled.pressure, &function.limits),
                static_shared: assembled.shared,
                local_bytes: assembled
                    .code
                    .functions
                    .iter()
                    .map(|function| function.local)
                    .sum(),
                const_bytes: const_bytes as u32,
                limits: function.limits,
                code: Arc::new(assembled.code),
            }));
        }
        Ok(())
    }

    /// A variable's first bytes.
    fn initial(&self, ast: &ast::Module, variable: &ast::Variable) -> Result<Vec<u8>, LoadError> {
        let error = |message: String| LoadError {
            line: variable.line,
            message,
        };
        let size = variable.ty.bytes() as usize;
        let mut bytes = Vec::with_capacity(variable.init.len() * size);
        for init in &variable.init {
            let bits = match init {
                Init::Int(bits) => *bits,
                Init::Float(value) if size == 8 => value.to_bits(),
                Init::Float(value) if size == 4 => (*value as f32).to_bits() as u64,
                Init::Float(_) => {
                    return Err(error(
                        "a number with a fraction in a variable of another type".to_string(),
                    ));
                }
                Init::Address { name, offset } => match self.variables.get(name) {
                    // Global addresses and generic ones are the same.
                    Some((address, _)) => address.wrapping_add_signed(*offset),
                    None => match ast.function_address(name) {
                        Some(address) => address,
                        None => {
                            return Err(error(format!(
                                "{name} is neither a variable nor a function of the module"
                            )));
                        }
                    },
                },
            };
            bytes.extend_from_slice(&bits.to_le_bytes()[..size]);
        }
        if bytes.len() as u64 > variable.bytes() {
            return Err(error(format!(
                "{} has more initial values than elements",
                variable.name
            )));
        }
        Ok(bytes)
    }

    /// The kernel called `name`.
    pub fn kernel(&self, name: &str) -> Option<&Arc<Kernel>> {
        self.kernels.iter().find(|kernel| kernel.name == name)
    }

    /// All kernels, in the order of the text.
    pub fn kernels(&self) -> &[Arc<Kernel>] {
        &self.kernels
    }

    /// Address and size of the module variable called `name`.
    pub fn variable(&self, name: &str) -> Option<(u64, u64)> {
        self.variables.get(name).copied()
    }

    /// The capability that the module's `.target` names: 80 for `sm_80`.
    pub fn target(&self) -> u32 {
        self.sm
    }

    /// Gives the variables' memory back.
    pub fn unload(&self, memory: &Memory) {
        for (address, _) in self.variables.values() {
            memory
                .free(*address)
                .expect("a module frees its variables once");
        }
    }
}

/// What ptxas would likely give: values alive at once and a few for addresses, in steps of 8, within what the kernel allows.
fn registers(pressure: u32, limits: &Limits) -> u32 {
    let threads = limits
        .required_threads
        .or(limits.max_threads)
        .map_or(0, |[x, y, z]| x.saturating_mul(y).saturating_mul(z));
    let blocks = limits.min_blocks.unwrap_or(1).max(1);
    let fits = match threads.saturating_mul(blocks) {
        0 => 255,
        threads => (65536 / threads / 8 * 8).max(16),
    };
    (pressure + 6)
        .next_multiple_of(8)
        .max(16)
        .min(fits)
        .min(limits.max_registers.unwrap_or(255))
        .min(255)
}
