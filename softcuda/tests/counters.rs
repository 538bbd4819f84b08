//! What is counted, against numbers worked out by hand.

mod support;

use softcuda::code::Class;
use softcuda::counters::Counts;
use softcuda::launch::Outcome;
use support::device::{Arg, Device, Dim};

const PTX: &str = include_str!("counters.ptx");

/// A device that counts, on so many host threads.
fn device(threads: usize) -> Device {
    let mut device = Device::new(PTX, (threads, 0, false));
    device.options.count = true;
    device
}

/// What a kernel counts.
#[track_caller]
fn count(
    device: &Device,
    name: &str,
    blocks: impl Dim,
    threads: impl Dim,
    args: &[&dyn Arg],
) -> Counts {
    let Outcome {
        fault,
        findings,
        counts,
        ..
    } = device.try_run(name, blocks, threads, 0, args);
    assert_eq!(fault, None);
    assert_eq!(findings, []);
    counts
}

/// Sectors of loads, the fewest possible, and those that the launch must move.
fn loads(counts: &Counts) -> (u64, u64, u64) {
    (
        counts.global_load_sectors,
        counts.least_global_load_sectors,
        counts.compulsory_load_sectors,
    )
}

#[test]
fn sectors_of_loads() {
    let device = device(1);
    let buffer = device.buffer(&[0u32; 2048]);
    let load = |stride: u32, offset: u32| {
        let counts = count(&device, "load", 1, 32, args![buffer, stride, offset]);
        assert_eq!(counts.global_load_bytes, 128);
        assert_eq!(counts.global_store_sectors, 0);
        loads(&counts)
    };
    assert_eq!(load(4, 0), (4, 4, 4), "coalesced");
    assert_eq!(load(8, 0), (8, 4, 8), "every second word");
    assert_eq!(load(128, 0), (32, 4, 32), "every 32nd word");
    assert_eq!(load(0, 64), (1, 1, 1), "one word for all");
    assert_eq!(load(4, 4), (5, 4, 5), "4 bytes off");
    let counts = count(&device, "load_v4", 1, 32, args![buffer]);
    assert_eq!(loads(&counts), (16, 16, 16));
    assert_eq!(counts.global_load_bytes, 512);
    // 2 warps, the second of 8 lanes.
    let counts = count(&device, "load", 1, 40, args![buffer, 4u32, 0u32]);
    assert_eq!(loads(&counts), (5, 5, 5));
    assert_eq!(counts.lanes[Class::GlobalLoad as usize], 40);
    assert_eq!(counts.lanes_active_in(Class::GlobalLoad), Some(40.0 / 64.0));
    // 8 blocks that all read the same: 32 sectors asked for, 4 of them different.
    let counts = count(&device, "load", 8, 32, args![buffer, 4u32, 0u32]);
    assert_eq!(loads(&counts), (32, 32, 4));
    assert_eq!((counts.blocks, counts.warps), (8, 8));
    assert_eq!(counts.global_over_compulsory(), Some(8.0));
}

#[test]
fn sectors_of_stores_and_atomics() {
    let device = device(1);
    let buffer = device.buffer(&[0u32; 2048]);
    let counts = count(&device, "store", 1, 32, args![buffer, 64u32]);
    assert_eq!(counts.global_store_sectors, 32);
    assert_eq!(counts.least_global_store_sectors, 4);
    assert_eq!(counts.global_store_bytes, 128);
    assert_eq!(counts.compulsory_store_sectors, 32);
    assert_eq!(counts.compulsory_load_sectors, 0);
    // Pairs of lanes: 16 words, 8 bytes apart.
    let counts = count(&device, "update", 1, 32, args![buffer, 8u32]);
    assert_eq!(counts.global_atomic_sectors, 4);
    assert_eq!(counts.least_global_atomic_sectors, 2);
    assert_eq!(counts.global_atomic_bytes, 128);
    assert_eq!(counts.of(Class::Atomic), 1);
    // An atomic reads and writes.
    assert_eq!(counts.compulsory_load_sectors, 4);
    assert_eq!(counts.compulsory_store_sectors, 4);
    assert_eq!(counts.global_load_sectors + counts.global_store_sectors, 0);
    assert_eq!(counts.global_over_compulsory(), Some(1.0));
}

#[test]
fn passes_over_shared_memory() {
    let device = device(1);
    let shared = |stride: u32| {
        let counts = count(&device, "shared", 1, 32, args![stride]);
        assert_eq!(counts.least_shared_load_passes, 1);
        assert_eq!(counts.least_shared_store_passes, 1);
        assert_eq!(counts.shared_load_passes, counts.shared_store_passes);
        counts.shared_load_passes
    };
    assert_eq!(shared(4), 1, "a row");
    assert_eq!(shared(8), 2, "2 ways");
    assert_eq!(shared(128), 32, "a column");
    assert_eq!(shared(132), 1, "a padded column");
    assert_eq!(shared(0), 1, "one word for all");
    let counts = count(&device, "shared_v4", 1, 32, args![]);
    assert_eq!(counts.shared_load_passes, 4);
    assert_eq!(counts.least_shared_load_passes, 4);
    assert_eq!(counts.conflict_ways(), Some(1.0));
}

#[test]
fn passes_of_ldmatrix() {
    let device = device(1);
    let matrices = |stride: u32| {
        let counts = count(&device, "matrices", 1, 32, args![stride]);
        assert_eq!(counts.of(Class::SharedLoad), 1);
        assert_eq!(counts.least_shared_load_passes, 4);
        counts.shared_load_passes
    };
    assert_eq!(matrices(16), 4, "rows of one matrix side by side");
    assert_eq!(matrices(128), 32, "rows of 64 elements");
    assert_eq!(matrices(144), 4, "rows of 64 elements, padded");
    assert_eq!(matrices(32), 8, "rows of 16 elements");
}

#[test]
fn asynchronous_copies_are_loads_and_stores() {
    let device = device(1);
    let buffer = device.buffer(&[0u32; 2048]);
    // 16 bytes a lane, all of them.
    let counts = count(&device, "copy", 1, 32, args![buffer, 16u32, 16u32]);
    assert_eq!(loads(&counts), (16, 16, 16));
    assert_eq!(counts.global_load_bytes, 512);
    assert_eq!(counts.shared_store_passes, 4);
    assert_eq!(counts.least_shared_store_passes, 4);
    assert_eq!(counts.shared_load_passes, 0);
    // Copy, commit, wait.
    assert_eq!(counts.of(Class::Async), 3);
    // To places 128 bytes apart, and of each 16 bytes only 4 are read.
    let counts = count(&device, "copy", 1, 32, args![buffer, 128u32, 4u32]);
    assert_eq!(loads(&counts), (16, 4, 16));
    assert_eq!(counts.global_load_bytes, 128);
    assert_eq!(counts.shared_store_passes, 32);
    assert_eq!(counts.least_shared_store_passes, 4);
    let counts = count(&device, "copy", 1, 32, args![buffer, 16u32, 0u32]);
    assert_eq!(loads(&counts), (0, 0, 0));
    assert_eq!(counts.shared_store_passes, 4);
}

#[test]
fn local_memory_and_constants() {
    let device = device(1);
    let counts = count(&device, "local", 1, 48, args![3u32]);
    assert_eq!(counts.local_store_bytes, 48 * 4);
    assert_eq!(counts.local_load_bytes, 48 * 4);
    assert_eq!(counts.of(Class::Local), 4);
    assert_eq!(counts.global_bytes(), 0);
    let counts = count(&device, "constant", 1, 32, args![]);
    assert_eq!(counts.of(Class::Constant), 1);
    assert_eq!(counts.global_bytes() + counts.compulsory_bytes(), 0);
}

/// Addresses whose space is known only at run time count where they lead.
#[test]
fn generic_addresses() {
    let device = device(1);
    let buffer = device.buffer(&[0u32; 64]);
    let counts = count(&device, "generic", 1, 32, args![buffer]);
    assert_eq!(counts.of(Class::Generic), 2);
    assert_eq!(loads(&counts), (4, 4, 4));
    assert_eq!(counts.shared_store_passes, 1);
}

#[test]
fn branches_and_lanes() {
    let device = device(1);
    // Lanes below the limit add, the others do not.
    let branch = |limit: u32| {
        let counts = count(&device, "branch", 1, 32, args![limit]);
        assert_eq!(counts.of(Class::Branch), 1);
        counts
    };
    let counts = branch(32);
    assert_eq!(counts.divergent_branches, 0);
    assert_eq!(counts.of(Class::Integer), 1);
    assert_eq!(counts.lanes_active(), Some(1.0));
    let counts = branch(8);
    assert_eq!(counts.divergent_branches, 1);
    assert_eq!(counts.lanes_active_in(Class::Integer), Some(0.25));
    let counts = branch(0);
    assert_eq!(counts.divergent_branches, 0);
    assert_eq!(counts.of(Class::Integer), 0);
    // A guard that holds for no lane: the instruction is issued for nothing.
    let counts = count(&device, "guard", 1, 32, args![]);
    assert_eq!(counts.of(Class::Integer), 1);
    assert_eq!(counts.lanes_active_in(Class::Integer), Some(0.0));
}

/// Lanes that reach a shuffle on different ways run it together, once.
#[test]
fn operations_that_wait_for_lanes_count_once() {
    let device = device(1);
    let counts = count(&device, "meet", 1, 32, args![]);
    assert_eq!(counts.of(Class::Shuffle), 1);
    assert_eq!(counts.lanes_active_in(Class::Shuffle), Some(1.0));
}

#[test]
fn tensor_operations_and_barriers() {
    let device = device(1);
    let counts = count(&device, "product", 2, 64, args![]);
    assert_eq!(counts.of(Class::Tensor), 2 * 2 * 2);
    assert_eq!(counts.tensor_fmas_half, 4 * 16 * 8 * 16);
    assert_eq!(counts.tensor_fmas_tf32, 4 * 16 * 8 * 8);
    assert_eq!(counts.tensor_fmas_f64, 0);
    assert_eq!(counts.barriers, 4);
    assert_eq!(counts.of(Class::Barrier), 4);
}

#[test]
fn counts_do_not_depend_on_host_threads() {
    let run = |threads| {
        let device = device(threads);
        let buffer = device.buffer(&vec![0u32; 1 << 16]);
        let mut all = count(&device, "load", 96, 128, args![buffer, 12u32, 4u32]);
        all.add(&count(&device, "update", 96, 128, args![buffer, 32u32]));
        all.add(&count(&device, "store", 96, 128, args![buffer, 8u32]));
        all
    };
    let one = run(1);
    assert_eq!(one.compulsory_load_sectors, 48 + 128 / 2);
    assert_eq!(run(3), one);
    assert_eq!(run(8), one);
}
