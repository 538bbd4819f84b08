//! Modules and their functions.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::Arc;

use super::chip::{BLOCK_THREADS, SHARED_DEFAULT};
use super::codes::Code;
use super::findings;
use super::inject::Call;
use super::occupancy::Block;
use super::state::{Driver, driver};
use super::stream::finish;
use crate::module::{Kernel, Module};
use crate::ptx::parse::head;

/// A loaded module.
pub struct Loaded {
    /// Its context.
    pub context: u64,
    /// The code.
    pub code: Module,
    /// `.version` of its text.
    ptx: (u32, u32),
    /// Functions asked for so far, by name.
    functions: BTreeMap<String, u64>,
}

/// A kernel that the program has asked for.
#[derive(Debug)]
pub struct Function {
    /// Handle of its module.
    pub module: u64,
    /// The kernel.
    pub kernel: Arc<Kernel>,
    /// Bytes of dynamic shared memory that a launch may ask for.
    pub max_dynamic: u32,
    /// Preferred share of shared memory in percent, -1 for none.
    carveout: i32,
    name: CString,
}

/// What `.target` names: `sm_90a` is 90 and the letter.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    sm: u32,
    letter: Option<char>,
}

/// Reads a target's name.
fn target(name: &str) -> Option<Target> {
    let word = name.strip_prefix("sm_")?;
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    Some(Target {
        sm: digits.parse().ok()?,
        letter: word[digits.len()..].chars().next(),
    })
}

/// Whether a device of this capability runs what was compiled for the target.
fn runs(target: &Target, capability: (u32, u32)) -> bool {
    let device = capability.0 * 10 + capability.1;
    match target.letter {
        None => target.sm <= device,
        // Family-specific code runs on later members of its family.
        Some('f') => target.sm <= device && target.sm / 10 == device / 10,
        // Architecture-specific code runs nowhere else.
        Some(_) => target.sm == device,
    }
}

/// An image that a program wants loaded.
pub enum Image<'a> {
    /// PTX text.
    Text(&'a [u8]),
    /// Code of a real chip, alone or in a fat binary.
    Binary,
}

/// What the first bytes of an image say that it is.
pub fn is_binary(start: [u8; 4]) -> bool {
    // ELF; the fat binary and the structure around it.
    matches!(
        start,
        [0x7F, b'E', b'L', b'F'] | [0x50, 0xED, 0x55, 0xBA] | [0xB1, 0x43, 0x62, 0x46]
    )
}

/// Loads a module. Beside the code, the error is what a compiler's log would say.
pub fn load(image: Image<'_>) -> Result<u64, (Code, String)> {
    let plain = |code: Code| (code, code.name());
    let mut driver = driver().map_err(plain)?;
    let context = driver.current().map_err(plain)?;
    driver.inject(Call::Module).map_err(plain)?;
    driver.refuse_unsafe().map_err(plain)?;
    let Image::Text(bytes) = image else {
        // A program that falls back to PTX does so quietly.
        return Err((
            Code::NO_BINARY_FOR_GPU,
            "code of a real chip does not run on softcuda; give PTX".to_string(),
        ));
    };
    let refuse = |code: Code, why: String| {
        findings::note(&why);
        (code, why)
    };
    let text = str::from_utf8(bytes).map_err(|error| {
        refuse(
            Code::INVALID_PTX,
            format!("the PTX text is not UTF-8: {error}"),
        )
    })?;
    let head = head(text).map_err(|error| refuse(Code::INVALID_PTX, error.to_string()))?;
    let (version, Some(target)) = (head.version, target(&head.target)) else {
        let why = format!("{} is no target", head.target);
        return Err(refuse(Code::INVALID_PTX, why));
    };
    let newest = driver.config.newest_ptx();
    if version > newest {
        let why = format!(
            "PTX {}.{} is newer than this driver's {}.{}",
            version.0, version.1, newest.0, newest.1
        );
        return Err(refuse(Code::UNSUPPORTED_PTX_VERSION, why));
    }
    let capability = driver.config.chip.capability;
    if !runs(&target, capability) {
        let letter = target.letter.map_or_else(String::new, String::from);
        let why = format!(
            "PTX for sm_{}{letter} does not run on a device of {}.{}",
            target.sm, capability.0, capability.1
        );
        return Err(refuse(Code::NO_BINARY_FOR_GPU, why));
    }
    let memory = driver.memory(context).map_err(plain)?;
    let module = Module::load(text, &memory)
        .map_err(|error| refuse(Code::INVALID_PTX, error.to_string()))?;
    Ok(driver.modules.add(Loaded {
        context,
        code: module,
        ptx: version,
        functions: BTreeMap::new(),
    }))
}

impl Driver {
    /// Forgets a module and gives its variables' memory back.
    pub fn drop_module(&mut self, handle: u64) -> Result<(), Code> {
        let module = self.modules.remove(handle)?;
        let device = self.contexts.get(module.context)?.device;
        module.code.unload(&self.devices[device].memory);
        self.functions.retain(|function| function.module != handle);
        Ok(())
    }

    /// What a block of this many threads of a function takes.
    pub fn block(&self, function: u64, threads: u32, dynamic: u64) -> Result<Block, Code> {
        let kernel = &self.functions.get(function)?.kernel;
        Ok(Block {
            threads,
            registers: kernel.registers,
            shared: dynamic.saturating_add(kernel.static_shared.into()),
        })
    }

    /// Threads that a block of a kernel can have: whole warps, or just what the kernel limits itself to.
    pub fn most_threads(&self, kernel: &Kernel) -> u32 {
        let asked = kernel.limits.required_threads.or(kernel.limits.max_threads);
        let asked = asked.map_or(BLOCK_THREADS, |[x, y, z]| {
            x.saturating_mul(y).saturating_mul(z).min(BLOCK_THREADS)
        });
        let block = |threads| Block {
            threads,
            registers: kernel.registers,
            shared: 0,
        };
        let warps = (1..=asked / 32).rev().map(|warps| warps * 32);
        let mut sizes = std::iter::once(asked).chain(warps);
        sizes
            .find(|&threads| !block(threads).exceeds_registers())
            .unwrap_or(0)
    }
}

/// `cuModuleUnload`: waits for the work of the context first.
pub fn unload(handle: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    driver.current()?;
    let context = driver.modules.get(handle)?.context;
    driver.refuse_unsafe()?;
    let points = driver.ends(context);
    driver = finish(driver, context, &points)?;
    driver.drop_module(handle)
}

/// `cuModuleGetFunction`: the same handle each time.
pub fn function(handle: u64, name: &CStr) -> Result<u64, Code> {
    let mut driver = driver()?;
    driver.current()?;
    let module = driver.modules.get(handle)?;
    let text = name.to_str().map_err(|_| Code::NOT_FOUND)?;
    if let Some(&function) = module.functions.get(text) {
        return Ok(function);
    }
    let Some(kernel) = module.code.kernel(text).cloned() else {
        findings::note(&format!("the module has no kernel `{text}`"));
        return Err(Code::NOT_FOUND);
    };
    let max_dynamic = SHARED_DEFAULT.saturating_sub(kernel.static_shared);
    let function = driver.functions.add(Function {
        module: handle,
        kernel,
        max_dynamic,
        carveout: -1,
        name: name.to_owned(),
    });
    driver
        .modules
        .get_mut(handle)?
        .functions
        .insert(text.to_string(), function);
    Ok(function)
}

/// `cuModuleGetFunctionCount`
pub fn function_count(handle: u64) -> Result<u32, Code> {
    Ok(driver()?.modules.get(handle)?.code.kernels().len() as u32)
}

/// `cuModuleGetGlobal`: address and bytes.
pub fn variable(handle: u64, name: &CStr) -> Result<(u64, u64), Code> {
    let driver = driver()?;
    driver.current()?;
    let module = driver.modules.get(handle)?;
    name.to_str()
        .ok()
        .and_then(|name| module.code.variable(name))
        .ok_or(Code::NOT_FOUND)
}

/// `cuFuncGetModule`
pub fn module_of(function: u64) -> Result<u64, Code> {
    Ok(driver()?.functions.get(function)?.module)
}

/// `cuFuncGetName`. The text lives as long as the function.
pub fn name_of(function: u64) -> Result<*const libc::c_char, Code> {
    Ok(driver()?.functions.get(function)?.name.as_ptr())
}

/// `cuFuncGetParamInfo`: offset and bytes of a parameter.
pub fn parameter(function: u64, index: u64) -> Result<(u64, u64), Code> {
    let driver = driver()?;
    let params = &driver.functions.get(function)?.kernel.params;
    let param = usize::try_from(index)
        .ok()
        .and_then(|index| params.get(index))
        .ok_or(Code::INVALID_VALUE)?;
    Ok((param.offset.into(), param.bytes.into()))
}

/// `cuFuncGetAttribute`
pub fn attribute(number: i32, handle: u64) -> Result<i32, Code> {
    let driver = driver()?;
    driver.current()?;
    let function = driver.functions.get(handle)?;
    let kernel = &function.kernel;
    let module = driver.modules.get(function.module)?;
    let capability = driver.config.chip.capability;
    Ok(match number {
        0 => driver.most_threads(kernel) as i32,
        1 => kernel.static_shared as i32,
        2 => kernel.const_bytes as i32,
        3 => kernel.local_bytes as i32,
        4 => kernel.registers as i32,
        5 => (module.ptx.0 * 10 + module.ptx.1) as i32,
        6 => (capability.0 * 10 + capability.1) as i32,
        8 => function.max_dynamic as i32,
        9 => function.carveout,
        // The cache mode, and what concerns clusters.
        7 | 10..=15 => 0,
        _ => return Err(Code::INVALID_VALUE),
    })
}

/// `cuFuncSetAttribute`
pub fn set_attribute(handle: u64, number: i32, value: i32) -> Result<(), Code> {
    let mut driver = driver()?;
    driver.current()?;
    let optin = driver.config.chip.shared_optin;
    let function = driver.functions.get_mut(handle)?;
    match number {
        8 => {
            let most = optin.saturating_sub(function.kernel.static_shared);
            function.max_dynamic = u32::try_from(value).ok().filter(|&value| value <= most).ok_or_else(|| {
                findings::note(&format!("{value} bytes of dynamic shared memory; the device has {most} for this kernel"));
                Code::INVALID_VALUE
            })?;
        }
        9 if (-1..=100).contains(&value) => function.carveout = value,
        14 | 15 => {}
        _ => return Err(Code::INVALID_VALUE),
    }
    Ok(())
}

/// A call that only needs the function to exist.
pub fn need_function(function: u64) -> Result<(), Code> {
    let driver = driver()?;
    driver.current()?;
    driver.functions.get(function).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let with = |sm, letter| Some(Target { sm, letter });
        assert_eq!(target("sm_90a"), with(90, Some('a')));
        assert_eq!(target("sm_80"), with(80, None));
        assert_eq!(target("nonsense"), None);
    }

    #[test]
    fn targets_run_where_they_should() {
        let target = |sm, letter| Target { sm, letter };
        assert!(runs(&target(80, None), (9, 0)));
        assert!(runs(&target(90, None), (9, 0)));
        assert!(!runs(&target(90, None), (8, 9)));
        assert!(runs(&target(90, Some('a')), (9, 0)));
        assert!(!runs(&target(90, Some('a')), (10, 0)));
        assert!(runs(&target(100, Some('f')), (10, 0)));
        assert!(!runs(&target(100, Some('f')), (12, 0)));
    }
}
