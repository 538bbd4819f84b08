//! What the operating system says of this process's memory.

/// Resident bytes of this process: now, and at their highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Now.
    pub now_bytes: u64,
    /// The most so far.
    pub peak_bytes: u64,
}

/// Reads the resident memory; zeros where the system does not tell.
pub fn resident() -> Resident {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |key: &str| kib_field(&status, key).unwrap_or(0);
    Resident {
        now_bytes: kib("VmRSS:") * 1024,
        peak_bytes: kib("VmHWM:") * 1024,
    }
}

/// Bytes that new allocations may take before the machine (or its container) swaps or kills; `None`
/// where the system does not tell.
pub fn available_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let machine = kib_field(&info, "MemAvailable:")? * 1024;
    Some(machine.min(container_bytes().unwrap_or(u64::MAX)))
}

/// What a memory limit of this process's control group leaves.
fn container_bytes() -> Option<u64> {
    let number =
        |path: &str| -> Option<u64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    let v2 = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current");
    let v1 = (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    );
    [v2, v1]
        .iter()
        .find_map(|(limit, used)| Some(number(limit)?.saturating_sub(number(used)?)))
}

/// The number after `key` at the start of a line.
fn kib_field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields() {
        let text = "VmPeak:\t  99 kB\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kib_field(text, "VmRSS:"), Some(1024));
        assert_eq!(kib_field(text, "VmSwap:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_large_touched_block_shows() {
        let before = resident();
        let block = vec![1u8; 64 << 20];
        let after = resident();
        assert!(
            after.now_bytes > before.now_bytes + (32 << 20),
            "{before:?} {after:?}"
        );
        assert!(after.peak_bytes >= after.now_bytes);
        assert!(available_bytes().is_some_and(|b| b > 0));
        drop(block);
    }
}
