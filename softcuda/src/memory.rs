//! Device memory: one large reservation of address space, so that a device address is a host address.
//!
//! Two zones of equal size lie at a constant distance: data, and a shadow with one byte for each byte of data (0: nothing has
//! written it, 1: written). Addresses are handed out upwards and only reused when the whole zone has been, so a freed range
//! stays known as freed and a use of it is always seen.
//!
//! The methods bound-check but do not order accesses: whoever owns a `Memory` sees to it that the host's calls and a launch do
//! not overlap, as the driver layer does with its lock.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Allocations begin at odd multiples of this: as aligned as the driver promises and not a bit more, so that code which counts
/// on more shows itself.
pub const ALIGNMENT: u64 = 512;

/// What fresh memory holds, byte by byte: a NaN in every floating-point type.
pub const POISON: u8 = 0xFF;

/// Unit in which room is given out.
const PAGE: u64 = 4096;

/// Unit in which the reservation is made accessible: one border in each zone, however many allocations there are.
const STEP: u64 = 64 << 20;

/// Size of the data zone that is tried first.
const LARGEST_ZONE: u64 = 1 << 40;

/// Freed ranges that are remembered.
const REMEMBERED: usize = 1 << 18;

/// Who an allocation belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// `cuMemAlloc`.
    Program,
    /// `cuMemAllocAsync`.
    Pool,
    /// `cuMemAllocManaged`: the host may write it unseen, so it counts as written.
    Managed,
    /// A module's variable of this name. Zeroed, counts as written.
    Variable(String),
    /// Page-locked host memory. Zeroed, counts as written, and not counted in the device's total.
    Host,
}

impl Owner {
    /// Whether memory of this owner starts as poison that nothing has written.
    fn poisoned(&self) -> bool {
        matches!(self, Owner::Program | Owner::Pool)
    }
}

/// One live allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// Address of the first byte.
    pub start: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// Who it belongs to.
    pub owner: Owner,
}

impl Allocation {
    /// Address after the last byte.
    pub fn end(&self) -> u64 {
        self.start + self.bytes
    }
}

/// There is not enough device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of device memory: {asked} bytes asked for, {free} of {total} free")]
pub struct OutOfMemory {
    /// Bytes asked for.
    pub asked: u64,
    /// Bytes that were free.
    pub free: u64,
    /// Bytes of the device.
    pub total: u64,
}

/// An address cannot be freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FreeError {
    /// It was freed before.
    #[error("{address:#x} is freed twice")]
    Double {
        /// The address.
        address: u64,
    },
    /// It lies in an allocation but is not its start.
    #[error("{address:#x} is not the start of an allocation but {} bytes into the one at {start:#x}", address - start)]
    Inside {
        /// The address.
        address: u64,
        /// Start of the allocation that holds it.
        start: u64,
    },
    /// Nothing was ever allocated there.
    #[error("{address:#x} was never allocated")]
    Unknown {
        /// The address.
        address: u64,
    },
}

/// A host-side access leaves the allocation that it starts in, or starts in none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes at {address:#x}: {place}")]
pub struct OutOfRange {
    /// Where the access starts.
    pub address: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What lies there, in words.
    pub place: String,
}

/// The device's memory.
#[derive(Debug)]
pub struct Memory {
    /// Start of the data zone; the shadow zone follows it.
    base: u64,
    /// Bytes of each zone, a multiple of [`STEP`].
    zone: u64,
    /// Bytes that the device reports and enforces.
    total: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    live: BTreeMap<u64, Allocation>,
    /// Start and bytes of freed ranges that were not handed out again.
    freed: BTreeMap<u64, u64>,
    /// Where the next search for room begins.
    next: u64,
    /// Data zone up to here is accessible, and its shadow.
    accessible: u64,
    /// Bytes counted against the total.
    used: u64,
    /// Bytes of page-locked host memory.
    host: u64,
    /// The live ranges, made when asked for.
    view: Option<View>,
}

/// The live allocations at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// Start and end, sorted.
    ranges: Arc<[(u64, u64)]>,
}

impl View {
    /// Start and end of the live allocation that holds `address`.
    #[inline]
    pub fn find(&self, address: u64) -> Option<(u64, u64)> {
        let after = self.ranges.partition_point(|&(start, _)| start <= address);
        let range = *self.ranges.get(after.checked_sub(1)?)?;
        (address < range.1).then_some(range)
    }

    /// Start and end of every live allocation, sorted.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }
}

impl Memory {
    /// A device with `total` bytes. Fails when the system refuses the address space.
    pub fn new(total: u64) -> io::Result<Memory> {
        // Twice the total leaves room for gaps and page-locked memory.
        let least = total.saturating_mul(2).next_multiple_of(STEP).max(STEP);
        let mut zone = LARGEST_ZONE.max(least);
        loop {
            match reserve(zone.saturating_mul(2)) {
                Ok(base) => {
                    let state = State {
                        live: BTreeMap::new(),
                        freed: BTreeMap::new(),
                        next: base,
                        accessible: base,
                        used: 0,
                        host: 0,
                        view: None,
                    };
                    return Ok(Memory {
                        base,
                        zone,
                        total,
                        state: Mutex::new(state),
                    });
                }
                Err(error) if zone == least => return Err(error),
                Err(_) => zone = (zone / 2).next_multiple_of(STEP).max(least),
            }
        }
    }

    /// Gives out `bytes` (0 counts as 1), aligned to [`ALIGNMENT`], at least that far from every other allocation. What it
    /// holds depends on the [`Owner`].
    pub fn alloc(&self, bytes: u64, owner: Owner) -> Result<u64, OutOfMemory> {
        let mut state = self.lock();
        let bytes = bytes.max(1);
        let out_of_memory = OutOfMemory {
            asked: bytes,
            free: self.total - state.used.min(self.total),
            total: self.total,
        };
        let counted = counted(bytes, &owner);
        if state.used.saturating_add(counted) > self.total && counted > 0 {
            return Err(out_of_memory);
        }
        // What is page-locked must be there at once.
        let host = if owner == Owner::Host { bytes } else { 0 };
        if host > 0 && state.host.saturating_add(host) > physical() {
            return Err(out_of_memory);
        }
        // The gap of one ALIGNMENT at the front keeps neighbours apart and the start from a higher alignment.
        let room = bytes
            .checked_add(ALIGNMENT)
            .and_then(|room| room.checked_next_multiple_of(PAGE))
            .ok_or(out_of_memory)?;
        let place = self.place(&state, room).ok_or(out_of_memory)?;
        self.open(&mut state, place + room)
            .map_err(|_| out_of_memory)?;
        let forgotten: Vec<u64> = state
            .freed
            .range(place..place + room)
            .map(|(&start, _)| start)
            .collect();
        for start in forgotten {
            state.freed.remove(&start);
        }
        let start = place + ALIGNMENT;
        // SAFETY: the range is inside the accessible part and belongs to no other allocation. Shadow and data are zero pages.
        unsafe {
            if owner.poisoned() {
                std::ptr::write_bytes(start as *mut u8, POISON, bytes as usize);
            } else {
                std::ptr::write_bytes((start + self.zone) as *mut u8, 1, bytes as usize);
            }
        }
        state.used += counted;
        state.host += host;
        state.next = place + room;
        state.view = None;
        state.live.insert(
            start,
            Allocation {
                start,
                bytes,
                owner,
            },
        );
        Ok(start)
    }

    /// Takes the allocation that starts at `address` back and gives its pages to the system.
    pub fn free(&self, address: u64) -> Result<(), FreeError> {
        let mut state = self.lock();
        let Some(allocation) = state.live.remove(&address) else {
            return Err(match state.holding(address) {
                Some(held) => FreeError::Inside {
                    address,
                    start: held.start,
                },
                None if state.freed.contains_key(&address) => FreeError::Double { address },
                None => FreeError::Unknown { address },
            });
        };
        state.used -= counted(allocation.bytes, &allocation.owner);
        if allocation.owner == Owner::Host {
            state.host -= allocation.bytes;
        }
        state.view = None;
        state.freed.insert(address, allocation.bytes);
        if state.freed.len() > REMEMBERED {
            // The lowest is the oldest until the zone has been used up once.
            state.freed.pop_first();
        }
        let place = address - ALIGNMENT;
        let room = (allocation.bytes + ALIGNMENT).next_multiple_of(PAGE) as usize;
        for zone in [place, place + self.zone] {
            // SAFETY: whole pages of one allocation, which nothing refers to any more.
            let code =
                unsafe { libc::madvise(zone as *mut libc::c_void, room, libc::MADV_DONTNEED) };
            // Fresh memory counts on zero pages. Locked memory (mlockall) refuses the advice: then they are zeroed by hand.
            if code != 0 {
                // SAFETY: as above, and the pages are accessible.
                unsafe { std::ptr::write_bytes(zone as *mut u8, 0, room) };
            }
        }
        Ok(())
    }

    /// The live allocations as they are now.
    pub fn view(&self) -> View {
        let mut state = self.lock();
        if let Some(view) = &state.view {
            return view.clone();
        }
        let view = View {
            ranges: state
                .live
                .values()
                .map(|allocation| (allocation.start, allocation.end()))
                .collect(),
        };
        state.view = Some(view.clone());
        view
    }

    /// What to add to a data address to get the address of its shadow byte.
    pub fn shadow_offset(&self) -> isize {
        self.zone as isize
    }

    /// The live allocation that holds `address`.
    pub fn allocation(&self, address: u64) -> Option<Allocation> {
        self.lock().holding(address).cloned()
    }

    /// Whether `address` lies in this device's address space, allocated or not.
    pub fn contains(&self, address: u64) -> bool {
        (self.base..self.base + self.zone).contains(&address)
    }

    /// What lies at `address`, in words, for a report on an access of `bytes` there.
    pub fn explain(&self, address: u64, bytes: u64) -> String {
        let state = self.lock();
        if let Some(held) = state.holding(address) {
            let name = name(held);
            let past = (address.saturating_add(bytes)).saturating_sub(held.end());
            return if past > 0 {
                format!("runs {past} bytes past the end of {name}")
            } else {
                format!("{} bytes into {name}", address - held.start)
            };
        }
        // Each neighbour as its distance, whether the address lies after it, and its name.
        let mut nearest: Option<(u64, String)> = None;
        let mut offer = |distance: u64, words: String| {
            if nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
                nearest = Some((distance, words));
            }
        };
        if let Some((&start, &size)) = state.freed.range(..=address).next_back() {
            let name = format!("an allocation of {size} bytes at {start:#x} that was freed");
            if address < start + size {
                return format!("{} bytes into {name}", address - start);
            }
            let past = address - (start + size);
            offer(past, format!("{past} bytes past the end of {name}"));
        }
        if let Some((_, before)) = state.live.range(..=address).next_back() {
            let past = address - before.end();
            offer(
                past,
                format!("{past} bytes past the end of {}", name(before)),
            );
        }
        if let Some((&start, after)) = state.live.range(address..).next() {
            let ahead = start - address;
            offer(ahead, format!("{ahead} bytes before {}", name(after)));
        }
        match nearest {
            Some((_, words)) if self.contains(address) => words,
            _ if address < 1 << 16 => format!("{address} bytes after the null pointer"),
            _ => "no allocation is near; is it a host pointer?".to_string(),
        }
    }

    /// Copies device memory at `address` into `into`.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<(), OutOfRange> {
        self.check(address, into.len() as u64)?;
        // SAFETY: the source lies in one live allocation; `ptr::copy` allows that page-locked memory is both ends.
        unsafe { std::ptr::copy(address as *const u8, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    /// Copies `from` to device memory at `address`, which counts as written from then on.
    pub fn write(&self, address: u64, from: &[u8]) -> Result<(), OutOfRange> {
        self.check(address, from.len() as u64)?;
        // SAFETY: the destination and its shadow lie in one live allocation; the ends may overlap (page-locked memory).
        unsafe {
            std::ptr::copy(from.as_ptr(), address as *mut u8, from.len());
            std::ptr::write_bytes((address + self.zone) as *mut u8, 1, from.len());
        }
        Ok(())
    }

    /// Writes `pattern` `count` times from `address` on.
    pub fn fill(&self, address: u64, pattern: &[u8], count: u64) -> Result<(), OutOfRange> {
        let bytes = count.saturating_mul(pattern.len() as u64);
        self.check(address, bytes)?;
        // SAFETY: the destination and its shadow lie in one live allocation.
        unsafe {
            if let [byte] = pattern {
                std::ptr::write_bytes(address as *mut u8, *byte, bytes as usize);
            } else {
                for at in (address..address + bytes).step_by(pattern.len().max(1)) {
                    std::ptr::copy_nonoverlapping(pattern.as_ptr(), at as *mut u8, pattern.len());
                }
            }
            std::ptr::write_bytes((address + self.zone) as *mut u8, 1, bytes as usize);
        }
        Ok(())
    }

    /// Copies `bytes` inside device memory, with what is known of them: bytes that nothing wrote stay so. The ends may overlap.
    pub fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), OutOfRange> {
        self.check(from, bytes)?;
        self.check(to, bytes)?;
        // Memory that the host may write unseen always counts as written.
        let unseen = self
            .allocation(to)
            .is_some_and(|allocation| !allocation.owner.poisoned());
        // SAFETY: both ends and their shadows lie in live allocations.
        unsafe {
            std::ptr::copy(from as *const u8, to as *mut u8, bytes as usize);
            if !unseen {
                std::ptr::copy(
                    (from + self.zone) as *const u8,
                    (to + self.zone) as *mut u8,
                    bytes as usize,
                );
            }
        }
        Ok(())
    }

    /// Address of the first of `bytes` bytes that nothing has written.
    pub fn uninitialised(&self, address: u64, bytes: u64) -> Result<Option<u64>, OutOfRange> {
        self.check(address, bytes)?;
        // SAFETY: the shadow of a range inside one live allocation; nobody writes it during the call.
        let shadow = unsafe {
            std::slice::from_raw_parts((address + self.zone) as *const u8, bytes as usize)
        };
        // Whole chunks first: they compare much faster than single bytes.
        let chunk = shadow
            .chunks(4096)
            .position(|chunk| chunk.iter().fold(1, |all, &byte| all & byte) == 0);
        Ok(chunk.and_then(|chunk| {
            let first = chunk * 4096;
            let inside = shadow[first..].iter().position(|&byte| byte == 0)?;
            Some(address + (first + inside) as u64)
        }))
    }

    /// Every live allocation, by address.
    pub fn live(&self) -> Vec<Allocation> {
        self.lock().live.values().cloned().collect()
    }

    /// Bytes in use, page-locked host memory not counted.
    pub fn used(&self) -> u64 {
        self.lock().used
    }

    /// Bytes of the device.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// A panic elsewhere leaves the books right: every change is made after the last thing that can fail.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes when `bytes` bytes at `address` lie in one live allocation; no byte at all lies anywhere.
    fn check(&self, address: u64, bytes: u64) -> Result<(), OutOfRange> {
        let end = address.checked_add(bytes);
        let inside = self
            .lock()
            .holding(address)
            .is_some_and(|held| end.is_some_and(|end| end <= held.end()));
        if inside || bytes == 0 {
            return Ok(());
        }
        Err(OutOfRange {
            address,
            bytes,
            place: self.explain(address, bytes),
        })
    }

    /// The next place with `room` bytes (whole pages) that no live allocation touches, searched from where the last one ended.
    fn place(&self, state: &State, room: u64) -> Option<u64> {
        let end = self.base + self.zone;
        for from in [state.next, self.base] {
            let mut place = from;
            for allocation in state.live.range(place..).map(|(_, allocation)| allocation) {
                if place.checked_add(room)? <= allocation.start - ALIGNMENT {
                    break;
                }
                place = allocation.end().next_multiple_of(PAGE);
            }
            if place.checked_add(room)? <= end {
                return Some(place);
            }
        }
        None
    }

    /// Makes both zones accessible up to data address `end`.
    fn open(&self, state: &mut State, end: u64) -> io::Result<()> {
        if end <= state.accessible {
            return Ok(());
        }
        let until = self.base + (end - self.base).next_multiple_of(STEP);
        for zone in [state.accessible, state.accessible + self.zone] {
            let length = (until - state.accessible) as usize;
            // SAFETY: part of this reservation that no one uses yet.
            let code = unsafe {
                libc::mprotect(
                    zone as *mut libc::c_void,
                    length,
                    libc::PROT_READ | libc::PROT_WRITE,
                )
            };
            if code != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        state.accessible = until;
        Ok(())
    }
}

impl State {
    /// The live allocation that holds `address`.
    fn holding(&self, address: u64) -> Option<&Allocation> {
        let (_, allocation) = self.live.range(..=address).next_back()?;
        (address < allocation.end()).then_some(allocation)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the whole reservation, made in `new`. A failure would only keep address space.
        unsafe { libc::munmap(self.base as *mut libc::c_void, 2 * self.zone as usize) };
    }
}

/// Reserves `bytes` of address space that nothing can touch yet.
fn reserve(bytes: u64) -> io::Result<u64> {
    let length = usize::try_from(bytes).map_err(io::Error::other)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at a place that the system chooses.
    let address =
        unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(address as u64)
}

/// Bytes of the host's own memory.
fn physical() -> u64 {
    // SAFETY: two numbers of the system.
    let (pages, size) = unsafe {
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    match (u64::try_from(pages), u64::try_from(size)) {
        (Ok(pages), Ok(size)) => pages.saturating_mul(size),
        // A system that does not tell.
        _ => u64::MAX,
    }
}

/// What an allocation takes from the device's total.
fn counted(bytes: u64, owner: &Owner) -> u64 {
    match owner {
        Owner::Host => 0,
        _ => bytes
            .checked_next_multiple_of(ALIGNMENT)
            .unwrap_or(u64::MAX),
    }
}

/// An allocation in words.
fn name(allocation: &Allocation) -> String {
    let Allocation {
        start,
        bytes,
        owner,
    } = allocation;
    match owner {
        Owner::Variable(name) => format!("the variable `{name}` of {bytes} bytes"),
        Owner::Host => format!("page-locked host memory of {bytes} bytes at {start:#x}"),
        Owner::Program | Owner::Pool | Owner::Managed => {
            format!("an allocation of {bytes} bytes at {start:#x}")
        }
    }
}
