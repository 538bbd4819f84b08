//! An opcode taken apart: `ld.global.nc.v4.f32` is `ld` with flags `global`, `nc`, `v4` and type `f32`.

use crate::ptx::ast::Type;

/// An opcode whose parts are taken one by one; what nobody took is a form that nobody knows.
pub struct Opcode<'a> {
    /// The first word.
    pub base: &'a str,
    /// The types, in order.
    pub types: Vec<Type>,
    flags: Vec<&'a str>,
}

impl<'a> Opcode<'a> {
    /// Splits `text` at its dots.
    pub fn new(text: &'a str) -> Opcode<'a> {
        let mut parts = text.split('.');
        let base = parts.next().unwrap_or("");
        let (mut types, mut flags) = (Vec::new(), Vec::new());
        for part in parts {
            match Type::parse(part) {
                Some(ty) => types.push(ty),
                None => flags.push(part),
            }
        }
        Opcode { base, types, flags }
    }

    /// Takes `flag`, if it is there.
    pub fn flag(&mut self, flag: &str) -> bool {
        let found = self.flags.iter().position(|f| *f == flag);
        if let Some(index) = found {
            self.flags.remove(index);
        }
        found.is_some()
    }

    /// Takes `flags`, if all of them are there.
    pub fn flags(&mut self, flags: &[&str]) -> bool {
        let all = flags.iter().all(|flag| self.flags.contains(flag));
        if all {
            self.flags.retain(|flag| !flags.contains(flag));
        }
        all
    }

    /// Takes the first of `choices` that is there.
    pub fn one_of<'b>(&mut self, choices: &[&'b str]) -> Option<&'b str> {
        choices.iter().copied().find(|choice| self.flag(choice))
    }

    /// Takes the first flag that begins with `prefix`.
    pub fn prefixed(&mut self, prefix: &str) -> Option<&'a str> {
        let index = self.flags.iter().position(|f| f.starts_with(prefix))?;
        Some(self.flags.remove(index))
    }

    /// The only type, if there is just one.
    pub fn only(&self) -> Option<Type> {
        match self.types[..] {
            [ty] => Some(ty),
            _ => None,
        }
    }

    /// Whether every flag was taken.
    pub fn spent(&self) -> bool {
        self.flags.is_empty()
    }
}
