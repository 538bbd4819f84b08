//! The kernels that the binary was built with, and the choice of an image for a device.

/// The compiled form of one `.cu` file for one architecture.
pub struct Image {
    /// The file, without `.cu`.
    pub op: &'static str,
    /// Compute capability, `80` for 8.0.
    pub arch: u32,
    /// Machine code for devices of the same major version and this minor version or a later one.
    pub cubin: &'static [u8],
    /// Text, ended by a zero, that the driver of any later device compiles.
    pub ptx: &'static str,
}

/// What a kernel takes on a multiprocessor, as ptxas reports it.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// The file, without `.cu`.
    pub op: &'static str,
    /// The kernel.
    pub kernel: &'static str,
    /// Compute capability, `80` for 8.0.
    pub arch: u32,
    /// Folder of `target/kernels` with the machine code.
    pub image: &'static str,
    /// Registers of a thread.
    pub registers: u32,
    /// Static shared memory of a block.
    pub shared_bytes: u32,
    /// Spill stores and loads of a thread.
    pub spill_bytes: u32,
}

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// The architecture whose images run on a device of capability `device`, as machine code or from PTX: the newest that
/// the device can run.
pub(super) fn chosen_arch(device: u32) -> Option<u32> {
    ARCHS.iter().copied().filter(|&arch| arch <= device).max()
}

/// The images of `op` to try on a device of capability `device`, best first: its cubin, then PTX.
pub(super) fn candidates(op: &str, device: u32) -> Vec<(&'static Image, bool)> {
    let of = |image: &&Image| image.op == op && image.arch <= device;
    let newest = |found: &mut dyn Iterator<Item = &'static Image>| found.max_by_key(|i| i.arch);
    let cubin = newest(
        &mut IMAGES
            .iter()
            .filter(of)
            .filter(|i| i.arch / 10 == device / 10),
    );
    let ptx = newest(&mut IMAGES.iter().filter(of));
    cubin
        .map(|i| (i, true))
        .into_iter()
        .chain(ptx.map(|i| (i, false)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_candidate_is_of_the_chosen_architecture() {
        for device in 50..130 {
            for image in IMAGES {
                let found = candidates(image.op, device);
                assert_eq!(found.is_empty(), chosen_arch(device).is_none());
                for (image, _) in found {
                    assert_eq!(Some(image.arch), chosen_arch(device));
                }
            }
        }
    }
}
