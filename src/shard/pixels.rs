//! Mean and deviation of the pixels of a data set.

/// Exact sums over pixels, so that they do not depend on any order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PixelSums {
    count: u64,
    sum: u64,
    squares: u64,
}

impl PixelSums {
    pub(super) fn add(&mut self, image: &[u8]) {
        // A chunk's sums fit 32 bits, which the compiler turns into wide vector instructions.
        for chunk in image.chunks(1 << 15) {
            let (mut sum, mut squares) = (0u32, 0u32);
            for &p in chunk {
                sum += u32::from(p);
                squares += u32::from(p) * u32::from(p);
            }
            self.count += chunk.len() as u64;
            self.sum += u64::from(sum);
            self.squares += u64::from(squares);
        }
    }

    fn merge(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    /// Mean and standard deviation of the pixels / 255; the deviation is at least 1/255.
    fn mean_std(self) -> Option<(f64, f64)> {
        if self.count == 0 {
            return None;
        }
        let count = self.count as f64;
        let mean = self.sum as f64 / count;
        let variance = (self.squares as f64 / count - mean * mean).max(0.0);
        Some((mean / 255.0, (variance.sqrt() / 255.0).max(1.0 / 255.0)))
    }
}

/// Mean and standard deviation as `dataset.json` states them: of the training images, else of all, else 0.5 and 0.25.
pub(super) fn mean_std<'a>(
    train: &str,
    splits: impl Iterator<Item = (&'a str, PixelSums)>,
) -> (f64, f64) {
    let (mut of_train, mut of_all) = (PixelSums::default(), PixelSums::default());
    for (name, sums) in splits {
        of_all = of_all.merge(sums);
        if name == train {
            of_train = sums;
        }
    }
    let measured = of_train.mean_std().or_else(|| of_all.mean_std());
    measured.unwrap_or((0.5, 0.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(image: &[u8]) -> PixelSums {
        let mut sums = PixelSums::default();
        sums.add(image);
        sums
    }

    #[test]
    fn mean_and_deviation_of_known_pixels() {
        let (mean, std) = sums(&[0, 255]).mean_std().unwrap();
        assert_eq!((mean, std), (0.5, 0.5));
        // More than one chunk, all at the largest value: the sums of a chunk must not overflow.
        let (mean, std) = sums(&vec![255; 100_000]).mean_std().unwrap();
        assert_eq!((mean, std), (1.0, 1.0 / 255.0));
    }

    #[test]
    fn the_training_split_comes_before_all_and_nothing() {
        let dark = ("val", sums(&[0; 4]));
        let light = ("train", sums(&[255; 4]));
        let none = ("train", sums(&[]));
        assert_eq!(mean_std("train", [dark, light].into_iter()).0, 1.0);
        assert_eq!(mean_std("train", [dark, none].into_iter()).0, 0.0);
        assert_eq!(mean_std("train", [none].into_iter()), (0.5, 0.25));
    }
}
