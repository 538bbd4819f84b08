//! Handles that the program gets: numbers that no memory lies behind, so that a wrong one is recognised and never followed.

use std::collections::BTreeMap;

use super::codes::Code;
use super::findings;

/// What a handle stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// `CUcontext`
    Context = 1,
    /// `CUstream`
    Stream = 2,
    /// `CUevent`
    Event = 3,
    /// `CUmodule`
    Module = 4,
    /// `CUfunction`
    Function = 5,
    /// `CUgraph`
    Graph = 6,
    /// `CUgraphNode`
    Node = 7,
    /// `CUgraphExec`
    Exec = 8,
    /// `CUmemoryPool`
    Pool = 9,
}

/// The living objects of one kind. A number is never given twice, so a destroyed handle stays known as destroyed.
#[derive(Debug)]
pub struct Table<T> {
    kind: Kind,
    given: u64,
    live: BTreeMap<u64, T>,
}

impl<T> Table<T> {
    /// An empty table.
    pub fn new(kind: Kind) -> Table<T> {
        Table {
            kind,
            given: 0,
            live: BTreeMap::new(),
        }
    }

    /// Keeps `object` and returns its handle.
    pub fn add(&mut self, object: T) -> u64 {
        self.given += 1;
        let handle = self.first() + self.given;
        self.live.insert(handle, object);
        handle
    }

    /// The object, if it lives.
    pub fn find(&self, handle: u64) -> Option<&T> {
        self.live.get(&handle)
    }

    /// The object, if it lives.
    pub fn find_mut(&mut self, handle: u64) -> Option<&mut T> {
        self.live.get_mut(&handle)
    }

    /// The object that the program named; an unknown or destroyed one is its error.
    pub fn get(&self, handle: u64) -> Result<&T, Code> {
        self.live.get(&handle).ok_or_else(|| self.missing(handle))
    }

    /// The object that the program named; an unknown or destroyed one is its error.
    pub fn get_mut(&mut self, handle: u64) -> Result<&mut T, Code> {
        let code = (!self.live.contains_key(&handle)).then(|| self.missing(handle));
        self.live
            .get_mut(&handle)
            .ok_or(code.unwrap_or(Code::INVALID_HANDLE))
    }

    /// Ends the object that the program named.
    pub fn remove(&mut self, handle: u64) -> Result<T, Code> {
        self.live
            .remove(&handle)
            .ok_or_else(|| self.missing(handle))
    }

    /// Ends an object that may be gone.
    pub fn discard(&mut self, handle: u64) {
        self.live.remove(&handle);
    }

    /// All that lives.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.live.iter().map(|(&handle, object)| (handle, object))
    }

    /// All that lives.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut T)> {
        self.live
            .iter_mut()
            .map(|(&handle, object)| (handle, object))
    }

    /// Ends everything that `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.live.retain(|_, object| keep(object));
    }

    /// No valid pointer has these top bits: who follows a handle gets a segmentation fault, not data.
    fn first(&self) -> u64 {
        0x5CDA_0000_0000_0000 | (self.kind as u64) << 40
    }

    fn missing(&self, handle: u64) -> Code {
        let what = format!("{:?}", self.kind).to_lowercase();
        if handle > self.first() && handle <= self.first() + self.given {
            findings::misuse(&format!("the {what} was destroyed before"));
            return match self.kind {
                Kind::Context => Code::CONTEXT_IS_DESTROYED,
                _ => Code::INVALID_HANDLE,
            };
        }
        findings::note(&format!("{handle:#x} is not a {what}"));
        match self.kind {
            Kind::Context => Code::INVALID_CONTEXT,
            Kind::Graph | Kind::Node | Kind::Exec | Kind::Pool if handle == 0 => {
                Code::INVALID_VALUE
            }
            _ => Code::INVALID_HANDLE,
        }
    }
}
