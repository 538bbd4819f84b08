//! Accesses to memory: from the lanes' addresses to pointers that were checked, and counted on the way.

use std::marker::PhantomData;

use super::global::{Access, Accessor};
use super::rows::LANES;
use super::shadow::{PENDING, WRITTEN, Who};
use super::warp::Warp;
use crate::report::{FaultKind, FindingKind};

/// Where the generic address space shows shared memory, 4 GiB wide.
pub const SHARED_WINDOW: u64 = 0x10_0000_0000;
/// Where the generic address space shows a thread's local memory, 4 GiB wide.
pub const LOCAL_WINDOW: u64 = 0x20_0000_0000;
/// Where the generic address space shows the kernel's parameters, 4 GiB wide.
pub const PARAM_WINDOW: u64 = 0x30_0000_0000;
/// Size of each window.
pub const WINDOW: u64 = 1 << 32;

/// Pointers of the lanes; those of lanes outside the mask must not be used.
pub type Pointers = [*mut u8; LANES];

/// A failed access: the warp has recorded the fault.
pub struct Failed;

/// Turns addresses of one state space into pointers.
pub trait Place {
    /// Whether shared memory can be meant.
    const SHARED: bool = false;

    /// Checks and counts an access of `bytes` by each lane of `mask`.
    ///
    /// # Safety
    /// The warp runs.
    unsafe fn resolve(
        w: &mut Warp,
        addresses: &[u64; LANES],
        mask: u32,
        bytes: u32,
        access: Access,
    ) -> Result<Pointers, Failed>;

    /// Checks and counts an access by all lanes to one range of memory: `first` is the first lane's address, each lane has the next
    /// `bytes`. None: not known to be one range of the space, so [`Place::resolve`] must look at each lane.
    ///
    /// # Safety
    /// As for [`Place::resolve`].
    #[inline(always)]
    unsafe fn resolve_run(w: &mut Warp, first: u64, bytes: u32, access: Access) -> Option<*mut u8> {
        let _ = (w, first, bytes, access);
        None
    }
}

/// `.global` and `.const`.
pub struct Global;
/// `.shared`
pub struct SharedMemory;
/// `.local`, and parameters of functions.
pub struct Local;
/// `.param` of a kernel.
pub struct Param;
/// No space named.
pub struct Generic;
/// A space, by an access that is meant to meet others' (volatile, relaxed, acquire, release).
pub struct Ordered<P>(PhantomData<P>);

fn verb(access: Access) -> &'static str {
    match access {
        Access::Read | Access::StrongRead => "reads",
        Access::Write | Access::StrongWrite => "writes",
        Access::Atomic => "updates",
    }
}

#[cold]
fn misaligned(
    w: &mut Warp,
    addresses: &[u64; LANES],
    mask: u32,
    bytes: u32,
    access: Access,
    space: &str,
) -> Failed {
    let lane = lanes(mask)
        .find(|&l| !addresses[l].is_multiple_of(bytes as u64))
        .unwrap_or(0);
    let text = format!(
        "{} {bytes} bytes at {space} address {:#x}, which is not a multiple of {bytes}",
        verb(access),
        addresses[lane]
    );
    w.fail(FaultKind::MisalignedAddress, lane as u32, &text);
    Failed
}

/// The lanes of a mask.
#[inline(always)]
pub fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    (0..LANES).filter(move |l| mask >> l & 1 != 0)
}

/// The union of the bits of the lanes' addresses: its low bits tell whether all are aligned.
#[inline(always)]
fn all_bits(addresses: &[u64; LANES], mask: u32) -> u64 {
    let mut bits = 0;
    for l in 0..LANES {
        bits |= if mask >> l & 1 != 0 { addresses[l] } else { 0 };
    }
    bits
}

#[inline(always)]
fn extent(addresses: &[u64; LANES], mask: u32) -> (u64, u64) {
    let (mut low, mut high) = (u64::MAX, 0);
    for l in 0..LANES {
        let on = mask >> l & 1 != 0;
        low = low.min(if on { addresses[l] } else { u64::MAX });
        high = high.max(if on { addresses[l] } else { 0 });
    }
    (low, high)
}

/// Whether the lanes are all there and touch one range of memory, in order.
#[inline(always)]
pub fn contiguous(addresses: &[u64; LANES], mask: u32, bytes: u32) -> bool {
    if mask != u32::MAX {
        return false;
    }
    let mut off = 0;
    for l in 0..LANES {
        off |= addresses[l] ^ addresses[0].wrapping_add(l as u64 * bytes as u64);
    }
    off == 0
}

impl Place for Global {
    #[inline(always)]
    unsafe fn resolve(
        w: &mut Warp,
        addresses: &[u64; LANES],
        mask: u32,
        bytes: u32,
        access: Access,
    ) -> Result<Pointers, Failed> {
        if all_bits(addresses, mask) & (bytes as u64 - 1) != 0 {
            return Err(misaligned(w, addresses, mask, bytes, access, "global"));
        }
        let (low, high) = extent(addresses, mask);
        // SAFETY: no other reference to the block is in use.
        let block = unsafe { w.block() };
        let launch = block.launch();
        let touched = &mut block.worker().touched[w.pc as usize];
        // Subtractions, since a sum may pass the end of the address space.
        if low < touched.0 || touched.1 < bytes as u64 || high > touched.1 - bytes as u64 {
            // Another allocation than last time, or several, or none.
            let view = &launch.view;
            for l in lanes(mask) {
                match view.find(addresses[l]) {
                    Some((start, end)) if end - addresses[l] >= bytes as u64 => {
                        *touched = (start, end)
                    }
                    _ => return Err(illegal(w, addresses[l], l, bytes, access)),
                }
            }
        }
        let checks = launch.options.checks;
        if checks.initialised {
            // SAFETY: the range was just checked; its shadow lies at the same distance everywhere.
            unsafe { shadow(w, addresses, mask, bytes, access, launch.shadow_offset) };
        }
        if checks.shared_races && access.strong() {
            note_meeting(w, addresses, mask, access);
        }
        if let Some(races) = launch.global {
            global_races(w, races, addresses, mask, bytes, access);
        }
        if launch.options.count {
            count_global(w, addresses, mask, bytes, access);
        }
        Ok(addresses.map(|address| address as *mut u8))
    }

    #[inline(always)]
    unsafe fn resolve_run(w: &mut Warp, first: u64, bytes: u32, access: Access) -> Option<*mut u8> {
        let length = LANES as u64 * bytes as u64;
        // SAFETY: no other reference to the block is in use.
        let block = unsafe { w.block() };
        let launch = block.launch();
        let options = &launch.options;
        let touched = block.worker().touched[w.pc as usize];
        if first & (bytes as u64 - 1) != 0
            || first < touched.0
            || touched.1 < length
            || first > touched.1 - length
            || options.count
            || launch.global.is_some()
        {
            return None;
        }
        if options.checks.initialised {
            // SAFETY: the range is within an allocation; its shadow lies at the same distance everywhere.
            let written = unsafe { shadow_of_run(first, length, access, launch.shadow_offset) };
            if !written {
                return None;
            }
        }
        Some(first as *mut u8)
    }
}

/// Notes that a run of bytes is written, or tells whether all of it was.
///
/// # Safety
/// The range is within an allocation.
#[inline(always)]
unsafe fn shadow_of_run(first: u64, length: u64, access: Access, offset: isize) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let shadow = first.wrapping_add_signed(offset as i64) as *mut u64;
    let words = length as usize / 8;
    // SAFETY: the caller's promise.
    unsafe {
        if access == Access::Write {
            for word in 0..words {
                shadow.add(word).write_unaligned(ONES);
            }
            return true;
        }
        let mut all = ONES;
        for word in 0..words {
            all &= shadow.add(word).read_unaligned();
        }
        all == ONES
    }
}

impl<P: Place> Place for Ordered<P> {
    const SHARED: bool = P::SHARED;

    #[inline(always)]
    unsafe fn resolve(
        w: &mut Warp,
        addresses: &[u64; LANES],
        mask: u32,
        bytes: u32,
        access: Access,
    ) -> Result<Pointers, Failed> {
        // SAFETY: passed on from the caller.
        unsafe { P::resolve(w, addresses, mask, bytes, access.ordered()) }
    }
}

#[cold]
fn illegal(w: &mut Warp, address: u64, lane: usize, bytes: u32, access: Access) -> Failed {
    // SAFETY: only read here.
    let what = (unsafe { w.block() }.launch().explain)(address, bytes as u64);
    let text = format!(
        "{} {bytes} bytes at global address {address:#x}: {what}",
        verb(access)
    );
    w.fail(FaultKind::IllegalAddress, lane as u32, &text);
    Failed
}

/// # Safety
/// The addresses of the lanes of `mask` are in allocations.
#[inline(always)]
unsafe fn shadow(
    w: &mut Warp,
    addresses: &[u64; LANES],
    mask: u32,
    bytes: u32,
    access: Access,
    offset: isize,
) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let at = |address: u64| address.wrapping_add_signed(offset as i64) as *mut u8;
    // SAFETY: the caller's promise, for all that follows.
    unsafe {
        if contiguous(addresses, mask, bytes) {
            let first = at(addresses[0]).cast::<u64>();
            let words = bytes as usize * LANES / 8;
            if !access.reads() {
                for word in 0..words {
                    first.add(word).write_unaligned(ONES);
                }
                return;
            }
            let mut all = ONES;
            for word in 0..words {
                all &= first.add(word).read_unaligned();
            }
            if all == ONES {
                return;
            }
        }
        for l in lanes(mask) {
            let byte = at(addresses[l]);
            if !access.reads() {
                byte.write_bytes(WRITTEN, bytes as usize);
            } else if let Some(n) = (0..bytes as usize).find(|&n| byte.add(n).read() != WRITTEN) {
                uninitialised(w, addresses[l] + n as u64, l, "global");
                return;
            }
        }
    }
}

#[cold]
fn uninitialised(w: &mut Warp, address: u64, lane: usize, space: &str) {
    let mut text = format!("reads {space} address {address:#x}, which nothing has written");
    if space == "global" {
        // SAFETY: only read here.
        let explain = unsafe { w.block() }.launch().explain;
        text.push_str(&format!(" ({})", explain(address, 1)));
    }
    w.finding(FindingKind::Uninitialised, lane as u32, &text);
}

#[cold]
fn global_races(
    w: &mut Warp,
    races: &super::global::GlobalRaces,
    addresses: &[u64; LANES],
    mask: u32,
    bytes: u32,
    access: Access,
) {
    let warp = w.index;
    for l in lanes(mask) {
        // SAFETY: no other reference to the block is in use.
        let block = unsafe { w.block() };
        let who = Accessor {
            block: block.linear,
            warp,
            races: &block.races,
        };
        if access.strong() {
            races.meet(addresses[l], access, who, &mut block.order);
        }
        if let Some(conflict) = races.access(addresses[l], bytes, access, who, &block.order) {
            let text = format!(
                "{} global address {:#x}, which block {} (in order of index) {} with nothing to order the two",
                verb(access),
                addresses[l],
                conflict.block,
                if conflict.write { "writes" } else { "reads" }
            );
            w.finding(FindingKind::GlobalRace, l as u32, &text);
            return;
        }
    }
}

/// Constants have a cache of their own and count as no access to global memory.
fn count_global(w: &mut Warp, addresses: &[u64; LANES], mask: u32, bytes: u32, access: Access) {
    let access = access.plain();
    let constants = &w.code().const_ranges;
    if constants.iter().any(|&(start, end)| {
        let address = addresses[mask.trailing_zeros() as usize % LANES];
        start <= address && address < end
    }) {
        return;
    }
    // SAFETY: no other reference to the block is in use.
    let block = unsafe { w.block() };
    let touched = block.launch().touched;
    if contiguous(addresses, mask, bytes) {
        let length = LANES as u64 * bytes as u64;
        block
            .counts()
            .global_range(addresses[0], length, access, touched);
    } else {
        let mut own = [(0, 0); LANES];
        let mut count = 0;
        for l in lanes(mask) {
            own[count] = (addresses[l], bytes);
            count += 1;
        }
        block.counts().global(&mut own[..count], access, touched);
    }
}

impl Place for SharedMemory {
    const SHARED: bool = true;

    #[inline(always)]
    unsafe fn resolve(
        w: &mut Warp,
        addresses: &[u64; LANES],
        mask: u32,
        bytes: u32,
        access: Access,
    ) -> Result<Pointers, Failed> {
        if all_bits(addresses, mask) & (bytes as u64 - 1) != 0 {
            return Err(misaligned(w, addresses, mask, bytes, access, "shared"));
        }
        let (_, high) = extent(addresses, mask);
        // SAFETY: no other reference to the block is in use.
        let block = unsafe { w.block() };
        if high.saturating_add(bytes as u64) > block.bytes as u64 {
            return Err(outside_shared(w, addresses, mask, bytes, access));
        }
        let options = &block.launch().options;
        if options.checks.initialised || options.checks.shared_races {
            let mut offsets = [0u32; LANES];
            for l in 0..LANES {
                offsets[l] = if mask >> l & 1 != 0 {
                    addresses[l] as u32
                } else {
                    0
                };
            }
            check_shared(w, &offsets, mask, bytes, access);
        }
        if options.count {
            block
                .counts()
                .shared(addresses, mask, bytes, access.plain());
        }
        let base = block.base();
        let mut pointers = [std::ptr::null_mut(); LANES];
        for l in 0..LANES {
            pointers[l] = base.wrapping_add(addresses[l] as usize);
        }
        Ok(pointers)
    }

    #[inline(always)]
    unsafe fn resolve_run(w: &mut Warp, first: u64, bytes: u32, access: Access) -> Option<*mut u8> {
        // SAFETY: no other reference to the block is in use.
        let block = unsafe { w.block() };
        let options = &block.launch().options;
        let (length, size) = (LANES as u64 * bytes as u64, block.bytes as u64);
        if first & (bytes as u64 - 1) != 0
            || size < length
            || first > size - length
            || options.count
        {
            return None;
        }
        if options.checks.initialised || options.checks.shared_races {
            let offsets = std::array::from_fn(|l| first as u32 + l as u32 * bytes);
            check_shared(w, &offsets, u32::MAX, bytes, access);
        }
        Some(block.base().wrapping_add(first as usize))
    }
}

#[cold]
fn outside_shared(
    w: &mut Warp,
    addresses: &[u64; LANES],
    mask: u32,
    bytes: u32,
    access: Access,
) -> Failed {
    // SAFETY: only read here.
    let size = unsafe { w.block() }.bytes;
    let lane = lanes(mask)
        .find(|&l| addresses[l].saturating_add(bytes as u64) > size as u64)
        .unwrap_or(0);
    let text = format!(
        "{} {bytes} bytes at shared address {:#x}; the block has {size} bytes of shared memory",
        verb(access),
        addresses[lane]
    );
    w.fail(FaultKind::IllegalAddress, lane as u32, &text);
    Failed
}

/// Tells the order of the block's warps of an atomic or volatile access.
#[cold]
fn note_meeting(w: &mut Warp, addresses: &[u64; LANES], mask: u32, access: Access) {
    let warp = w.index;
    // SAFETY: no other reference to the block is in use.
    let races = &mut unsafe { w.block() }.races;
    for l in lanes(mask) {
        if access.reads() {
            races.observe(addresses[l], warp);
        }
        if access.writes() {
            races.publish(addresses[l], warp);
        }
    }
}

/// What the checks say of an access to shared memory within its bounds.
pub fn check_shared(w: &mut Warp, offsets: &[u32; LANES], mask: u32, bytes: u32, access: Access) {
    // SAFETY: no other reference to the block is in use; findings are added after the last use.
    let block = unsafe { w.block() };
    let checks = block.launch().options.checks;
    let (warp, pc) = (w.index, w.pc);
    if checks.initialised {
        for l in lanes(mask) {
            let at = offsets[l] as usize;
            let state = &mut block.written[at..at + bytes as usize];
            if access.reads() && state.iter().any(|byte| *byte != WRITTEN) {
                let pending = state.contains(&PENDING);
                let byte = offsets[l] as u64;
                if pending {
                    let text = format!(
                        "{} shared address {byte:#x} while an asynchronous copy into it may still be on its way",
                        verb(access)
                    );
                    w.finding(FindingKind::StaleCopy, l as u32, &text);
                } else {
                    uninitialised(w, byte, l, "shared");
                }
                break;
            }
            if access.writes() {
                if state.contains(&PENDING) {
                    let text = format!(
                        "writes shared address {:#x}, into which an asynchronous copy is still on its way",
                        offsets[l]
                    );
                    w.finding(FindingKind::StaleCopy, l as u32, &text);
                }
                state.fill(WRITTEN);
            }
        }
    }
    if checks.shared_races {
        if access.strong() {
            let addresses = offsets.map(|offset| SHARED_WINDOW + offset as u64);
            note_meeting(w, &addresses, mask, access);
        }
        for l in lanes(mask) {
            let who = Who {
                warp,
                lane: l as u32,
                pc,
                strong: access.strong(),
            };
            let conflict = if access.writes() {
                let atomic = access == Access::Atomic;
                block.races.write(offsets[l], bytes, who, atomic)
            } else {
                block.races.read(offsets[l], bytes, who)
            };
            let Some(conflict) = conflict else { continue };
            // Lanes that write the same place in the same instruction: one of them wins, and which one matters only if the values
            // differ, which the store itself tells. The lanes before this one have just written.
            let same = conflict.write && conflict.pc == Some(pc) && conflict.warp == warp;
            if same
                && let Some(other) = conflict.lane
                && (other as usize) < l
                && mask >> other & 1 != 0
                && offsets[other as usize].abs_diff(offsets[l]) < bytes.max(4)
            {
                continue;
            }
            let lane = match conflict.lane {
                Some(lane) => format!("lane {lane} of warp {}", conflict.warp),
                None => format!("warp {}", conflict.warp),
            };
            let place = match conflict.pc {
                Some(pc) => format!(" at {}", w.code().place(pc)),
                None => String::new(),
            };
            let text = format!(
                "{} shared address {:#x}, which {lane} {}{place} with no barrier between",
                verb(access),
                offsets[l],
                if conflict.write { "writes" } else { "reads" }
            );
            w.finding(FindingKind::SharedRace, l as u32, &text);
            return;
        }
    }
}

impl Place for Local {
    #[inline(always)]
    unsafe fn resolve(
        w: &mut Warp,
        addresses: &[u64; LANES],
        mask: u32,
        bytes: u32,
        access: Access,
    ) -> Result<Pointers, Failed> {
        if all_bits(addresses, mask) & (bytes as u64 - 1) != 0 {
            return Err(misaligned(w, addresses, mask, bytes, access, "local"));
        }
        let (_, high) = extent(addresses, mask);
        if high.saturating_add(bytes as u64) > w.local_end as u64 {
            let lane = lanes(mask)
                .find(|&l| addresses[l].saturating_add(bytes as u64) > w.local_end as u64)
                .unwrap_or(0);
            let text = format!(
                "{} {bytes} bytes at local address {:#x}; the thread has {} bytes of local memory",
                verb(access),
                addresses[lane],
                w.local_end
            );
            w.fail(FaultKind::IllegalAddress, lane as u32, &text);
            return Err(Failed);
        }
        // SAFETY: no other reference to the block is in use.
        let block = unsafe { w.block() };
        if block.launch().options.count {
            let all = mask.count_ones() as u64 * bytes as u64;
            match access {
                Access::Write | Access::StrongWrite => block.counts().local_store_bytes += all,
                _ => block.counts().local_load_bytes += all,
            }
        }
        let base: *mut u8 = w.local.as_mut_ptr().cast();
        let mut pointers = [std::ptr::null_mut(); LANES];
        for l in 0..LANES {
            pointers[l] = base
                .wrapping_add((l * w.local_stride as usize).wrapping_add(addresses[l] as usize));
        }
        Ok(pointers)
    }
}

impl Place for Param {
    #[inline(always)]
    unsafe fn resolve(
        w: &mut Warp,
        addresses: &[u64; LANES],
        mask: u32,
        bytes: u32,
        access: Access,
    ) -> Result<Pointers, Failed> {
        // SAFETY: only read here.
        let params = unsafe { w.block() }.launch().params;
        let outside = |address: u64| address.saturating_add(bytes as u64) > params.len() as u64;
        if access.writes() {
            w.fail(
                FaultKind::InvalidAddressSpace,
                mask.trailing_zeros(),
                "writes to the kernel's parameters",
            );
            return Err(Failed);
        }
        if let Some(lane) = lanes(mask).find(|&l| outside(addresses[l])) {
            let text = format!(
                "reads {bytes} bytes at parameter address {:#x}; the kernel has {} bytes of parameters",
                addresses[lane],
                params.len()
            );
            w.fail(FaultKind::IllegalAddress, lane as u32, &text);
            return Err(Failed);
        }
        if all_bits(addresses, mask) & (bytes as u64 - 1) != 0 {
            return Err(misaligned(w, addresses, mask, bytes, access, "parameter"));
        }
        Ok(addresses.map(|address| params.as_ptr().wrapping_add(address as usize).cast_mut()))
    }
}

impl Place for Generic {
    const SHARED: bool = true;

    #[inline(always)]
    unsafe fn resolve(
        w: &mut Warp,
        addresses: &[u64; LANES],
        mask: u32,
        bytes: u32,
        access: Access,
    ) -> Result<Pointers, Failed> {
        let mut pointers = [std::ptr::null_mut(); LANES];
        let windows = [SHARED_WINDOW, LOCAL_WINDOW, PARAM_WINDOW];
        let mut rest = mask;
        for (n, window) in windows.into_iter().enumerate() {
            let mut inside = 0u32;
            let mut offsets = [0u64; LANES];
            for l in 0..LANES {
                offsets[l] = addresses[l].wrapping_sub(window);
                inside |= ((offsets[l] < WINDOW) as u32) << l;
            }
            inside &= mask;
            if inside == 0 {
                continue;
            }
            rest &= !inside;
            // SAFETY: passed on from the caller.
            let some = unsafe {
                match n {
                    0 => SharedMemory::resolve(w, &offsets, inside, bytes, access)?,
                    1 => Local::resolve(w, &offsets, inside, bytes, access)?,
                    _ => Param::resolve(w, &offsets, inside, bytes, access)?,
                }
            };
            for l in lanes(inside) {
                pointers[l] = some[l];
            }
        }
        if rest != 0 {
            // SAFETY: passed on from the caller.
            let some = unsafe { Global::resolve(w, addresses, rest, bytes, access)? };
            if rest == u32::MAX {
                return Ok(some);
            }
            for l in lanes(rest) {
                pointers[l] = some[l];
            }
        }
        Ok(pointers)
    }

    #[inline(always)]
    unsafe fn resolve_run(w: &mut Warp, first: u64, bytes: u32, access: Access) -> Option<*mut u8> {
        // SAFETY: passed on from the caller. What lies in a window is in no allocation, so a run that begins there is looked at
        // lane by lane unless it is shared memory's.
        unsafe {
            if first.wrapping_sub(SHARED_WINDOW) < WINDOW {
                SharedMemory::resolve_run(w, first - SHARED_WINDOW, bytes, access)
            } else {
                Global::resolve_run(w, first, bytes, access)
            }
        }
    }
}
