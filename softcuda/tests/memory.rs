//! Device memory: what is refused, and what a report says of an address.

use softcuda::memory::{ALIGNMENT, FreeError, Memory, Owner, POISON};

const MIB: u64 = 1 << 20;

#[test]
fn fresh_memory_is_poison_that_nothing_wrote() {
    let memory = Memory::new(MIB).unwrap();
    let address = memory.alloc(100, Owner::Program).unwrap();
    let mut bytes = [0; 100];
    memory.read(address, &mut bytes).unwrap();
    assert_eq!(bytes, [POISON; 100]);
    assert_eq!(memory.uninitialised(address, 100).unwrap(), Some(address));
    memory.write(address, &[1; 40]).unwrap();
    assert_eq!(memory.uninitialised(address, 40).unwrap(), None);
    assert_eq!(
        memory.uninitialised(address, 100).unwrap(),
        Some(address + 40)
    );
    // SAFETY: the shadow byte of a live allocation.
    let shadow = unsafe { *((address as isize + memory.shadow_offset()) as *const u8) };
    assert_eq!(shadow, 1);
}

#[test]
fn host_memory_and_variables_are_zero_and_written() {
    let memory = Memory::new(MIB).unwrap();
    for owner in [Owner::Host, Owner::Variable("x".into()), Owner::Managed] {
        let address = memory.alloc(5000, owner).unwrap();
        let mut bytes = vec![7; 5000];
        memory.read(address, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0));
        assert_eq!(memory.uninitialised(address, 5000).unwrap(), None);
    }
}

#[test]
fn allocations_keep_their_distance_and_alignment() {
    let memory = Memory::new(MIB).unwrap();
    let mut last_end = 0;
    for bytes in [1, 511, 512, 3584, 3585, 4096, 10_000] {
        let address = memory.alloc(bytes, Owner::Program).unwrap();
        assert_eq!(address % ALIGNMENT, 0);
        assert_eq!(address / ALIGNMENT % 2, 1, "no more aligned than promised");
        assert!(address >= last_end + 512);
        last_end = address + bytes;
    }
}

#[test]
fn the_total_is_enforced_and_given_back() {
    let memory = Memory::new(MIB).unwrap();
    let first = memory.alloc(MIB / 2, Owner::Program).unwrap();
    let second = memory.alloc(MIB / 2, Owner::Pool).unwrap();
    let error = memory.alloc(1, Owner::Program).unwrap_err();
    assert_eq!((error.asked, error.free, error.total), (1, 0, MIB));
    memory
        .alloc(4 * MIB, Owner::Host)
        .expect("host memory is not counted");
    assert_eq!(memory.used(), MIB);
    memory.free(first).unwrap();
    assert_eq!(memory.used(), MIB / 2);
    assert!(memory.alloc(u64::MAX, Owner::Program).is_err());
    assert!(memory.alloc(u64::MAX - 100, Owner::Host).is_err());
    memory.alloc(MIB / 2, Owner::Program).unwrap();
    assert_eq!(
        memory
            .live()
            .iter()
            .filter(|live| live.owner == Owner::Pool)
            .map(|live| live.start)
            .collect::<Vec<_>>(),
        [second]
    );
}

#[test]
fn a_freed_address_stays_freed() {
    let memory = Memory::new(MIB).unwrap();
    let address = memory.alloc(1000, Owner::Program).unwrap();
    assert_eq!(
        memory.free(address + 8),
        Err(FreeError::Inside {
            address: address + 8,
            start: address
        })
    );
    memory.free(address).unwrap();
    assert_eq!(memory.free(address), Err(FreeError::Double { address }));
    assert_eq!(
        memory.free(0x1234),
        Err(FreeError::Unknown { address: 0x1234 })
    );
    for _ in 0..1000 {
        let other = memory.alloc(1000, Owner::Program).unwrap();
        assert_ne!(other, address);
        memory.free(other).unwrap();
    }
    assert!(memory.view().find(address).is_none());
    assert!(
        memory
            .write(address, &[0])
            .unwrap_err()
            .to_string()
            .contains("that was freed")
    );
}

#[test]
fn every_allocation_is_fresh() {
    let memory = Memory::new(MIB).unwrap();
    for _ in 0..100 {
        let address = memory.alloc(MIB / 2, Owner::Program).unwrap();
        assert_eq!(
            memory.uninitialised(address + 77, 1).unwrap(),
            Some(address + 77)
        );
        memory.fill(address, &[0, 1, 2, 3], MIB / 8).unwrap();
        assert_eq!(memory.uninitialised(address, MIB / 2).unwrap(), None);
        memory.free(address).unwrap();
    }
}

#[test]
fn a_view_finds_the_allocation_of_an_address() {
    let memory = Memory::new(MIB).unwrap();
    let starts: Vec<u64> = (0..50)
        .map(|_| memory.alloc(600, Owner::Program).unwrap())
        .collect();
    let view = memory.view();
    for &start in &starts {
        assert_eq!(view.find(start), Some((start, start + 600)));
        assert_eq!(view.find(start + 599), Some((start, start + 600)));
        assert_eq!(view.find(start + 600), None);
        assert_eq!(view.find(start - 1), None);
    }
    assert_eq!(view.find(0), None);
    assert_eq!(view.find(u64::MAX), None);
    memory.free(starts[7]).unwrap();
    assert_eq!(
        view.find(starts[7]),
        Some((starts[7], starts[7] + 600)),
        "a view is a snapshot"
    );
    assert_eq!(memory.view().find(starts[7]), None);
    assert_eq!(memory.view().ranges().len(), 49);
}

#[test]
fn an_address_is_explained_in_words() {
    let memory = Memory::new(MIB).unwrap();
    let variable = memory.alloc(16, Owner::Variable("table".into())).unwrap();
    let address = memory.alloc(4096, Owner::Program).unwrap();
    let end = address + 4096;
    assert_eq!(
        memory.explain(end + 12, 4),
        format!("12 bytes past the end of an allocation of 4096 bytes at {address:#x}")
    );
    assert_eq!(
        memory.explain(end - 2, 4),
        format!("runs 2 bytes past the end of an allocation of 4096 bytes at {address:#x}")
    );
    assert_eq!(
        memory.explain(address - 4, 4),
        format!("4 bytes before an allocation of 4096 bytes at {address:#x}")
    );
    assert_eq!(
        memory.explain(variable + 4, 4),
        "4 bytes into the variable `table` of 16 bytes"
    );
    memory.free(address).unwrap();
    assert_eq!(
        memory.explain(address + 8, 4),
        format!("8 bytes into an allocation of 4096 bytes at {address:#x} that was freed")
    );
    let local = 0_u32;
    assert_eq!(
        memory.explain(&raw const local as u64, 4),
        "no allocation is near; is it a host pointer?"
    );
    assert_eq!(memory.explain(8, 4), "8 bytes after the null pointer");
}

#[test]
fn copies_carry_what_is_known_and_stay_in_bounds() {
    let memory = Memory::new(MIB).unwrap();
    let from = memory.alloc(64, Owner::Program).unwrap();
    let to = memory.alloc(64, Owner::Program).unwrap();
    memory.write(from, &[9; 32]).unwrap();
    memory.copy(to, from, 64).unwrap();
    assert_eq!(memory.uninitialised(to, 64).unwrap(), Some(to + 32));
    memory.copy(from + 8, from, 32).unwrap();
    assert_eq!(memory.uninitialised(from, 64).unwrap(), Some(from + 40));
    assert!(memory.copy(to, from, 65).is_err());
    assert!(memory.copy(to + 1, from, 64).is_err());
    assert!(memory.fill(to, &[1, 2], 33).is_err());
    assert!(memory.fill(to, &[1, 2], u64::MAX).is_err());
    assert!(memory.write(to + 60, &[0; 5]).is_err());
    assert!(memory.read(to + 64, &mut [0]).is_err());
    memory.write(to + 64, &[]).expect("no byte lies anywhere");
}

#[test]
fn a_device_larger_than_the_usual_zone_is_possible() {
    let memory = Memory::new(3 << 40).unwrap();
    assert_eq!(memory.total(), 3 << 40);
    memory.alloc(4096, Owner::Program).unwrap();
}

#[test]
fn page_locked_memory_is_no_more_than_the_host_has() {
    // SAFETY: two numbers of the system.
    let physical =
        unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) * libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    let memory = Memory::new(MIB).unwrap();
    let first = memory.alloc(MIB, Owner::Host).unwrap();
    assert!(memory.alloc(physical - MIB + 1, Owner::Host).is_err());
    memory.free(first).unwrap();
    memory.alloc(MIB, Owner::Host).unwrap();
}
