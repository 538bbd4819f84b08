//! The environment variables that shape the device. All names begin with `SOFTCUDA_`.

use std::path::PathBuf;
use std::time::Duration;

use super::chip::Chip;
use super::inject::Failures;
use crate::launch::Checks;
use crate::roofline;

/// What the environment asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The chip, by `SOFTCUDA_CAPABILITY` (8.0).
    pub chip: Chip,
    /// Bytes of each device, by `SOFTCUDA_MEMORY` (4GiB).
    pub memory: u64,
    /// Number of devices, by `SOFTCUDA_DEVICES` (1).
    pub devices: usize,
    /// Host threads that run blocks, by `SOFTCUDA_THREADS` (as many as the host has).
    pub threads: usize,
    /// Order of blocks, warps and independent graph nodes, by `SOFTCUDA_SEED` (0: as given). With an odd seed memory is
    /// freed in other streams as early as the rules allow, else as late.
    pub seed: u64,
    /// Checks of kernels, by `SOFTCUDA_CHECK` (all but global-races).
    pub checks: Checks,
    /// Whether allocations that outlive their context are reported, by `leaks` in `SOFTCUDA_CHECK`.
    pub leaks: bool,
    /// Whether kernels are counted, by `SOFTCUDA_COUNT` (0), and always for `SOFTCUDA_PROFILE`.
    pub count: bool,
    /// Where a line of JSON on each launch is appended, by `SOFTCUDA_PROFILE`.
    pub profile: Option<PathBuf>,
    /// The chip that launches are estimated for, by `SOFTCUDA_PROFILE_CHIP` (A100 before capability 9.0, else H100).
    pub profile_chip: &'static roofline::Chip,
    /// Where findings are appended as JSON lines, by `SOFTCUDA_REPORT`.
    pub report: Option<PathBuf>,
    /// Whether a finding makes the next synchronisation fail, by `SOFTCUDA_STRICT` (0).
    pub strict: bool,
    /// Longest time that a launch may take, by `SOFTCUDA_TIMEOUT` in seconds (600; 0: for ever).
    pub timeout: Option<Duration>,
    /// Calls that fail on purpose, by `SOFTCUDA_FAIL`.
    pub failures: Failures,
    /// The driver's version as `cuDriverGetVersion` gives it, by `SOFTCUDA_DRIVER` (13.5).
    pub driver: u32,
}

/// Names that `SOFTCUDA_CHECK` and `--check` know.
pub const CHECKS: &str = "none, all, initialised, shared-races, global-races, leaks";

impl Config {
    /// Reads the environment through `get`. The error says which variable is wrong and how it is written.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Config, String> {
        let value = |name: &str, default: &str| {
            let name = format!("SOFTCUDA_{name}");
            let text = get(&name).filter(|text| !text.trim().is_empty());
            (
                name,
                text.map_or_else(|| default.to_string(), |text| text.trim().to_string()),
            )
        };
        let number = |name: &str, default: &str| {
            let (name, text) = value(name, default);
            text.parse::<u64>()
                .map_err(|_| format!("{name}={text} is not a number"))
        };
        let flag = |name: &str| {
            let (name, text) = value(name, "0");
            match text.as_str() {
                "0" => Ok(false),
                "1" => Ok(true),
                _ => Err(format!("{name}={text} is neither 0 nor 1")),
            }
        };
        let (name, text) = value("CAPABILITY", "8.0");
        let capability = pair(&text);
        let chip = capability.and_then(Chip::of).ok_or_else(|| {
            format!(
                "{name}={text} is not known; there are {}",
                Chip::capabilities().join(", ")
            )
        })?;
        let (name, text) = value("MEMORY", "4GiB");
        let memory = bytes(&text).filter(|&bytes| bytes > 0 && bytes <= 1 << 44);
        let memory = memory.ok_or_else(|| {
            format!("{name}={text} is not a size such as 4GiB, 512MiB or 1000000")
        })?;
        let devices = number("DEVICES", "1")?;
        if devices > 16 {
            return Err(format!("SOFTCUDA_DEVICES={devices} is more than 16"));
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = number("THREADS", &threads.to_string())?;
        if threads == 0 || threads > 1024 {
            return Err(format!(
                "SOFTCUDA_THREADS={threads} is not between 1 and 1024"
            ));
        }
        let (name, text) = value("CHECK", "initialised,shared-races,leaks");
        let (checks, leaks) =
            checks(&text).map_err(|word| format!("{name}: `{word}` is none of {CHECKS}"))?;
        let (name, text) = value("FAIL", "");
        let failures = Failures::parse(&text).map_err(|why| format!("{name}={text}: {why}"))?;
        let profile = get("SOFTCUDA_PROFILE")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        let (name, text) = value(
            "PROFILE_CHIP",
            roofline::Chip::of_capability(chip.capability).name,
        );
        let profile_chip = roofline::Chip::named(&text)
            .ok_or_else(|| format!("{name}={text} is none of {}", roofline::Chip::names()))?;
        let (name, text) = value("DRIVER", "13.5");
        let driver = pair(&text).filter(|&(major, minor)| (11..100).contains(&major) && minor < 10);
        let (major, minor) =
            driver.ok_or_else(|| format!("{name}={text} is not a version such as 13.5"))?;
        Ok(Config {
            chip,
            memory,
            devices: devices as usize,
            threads: threads as usize,
            seed: number("SEED", "0")?,
            checks,
            leaks,
            count: flag("COUNT")? || profile.is_some(),
            profile,
            profile_chip,
            report: get("SOFTCUDA_REPORT")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            strict: flag("STRICT")?,
            timeout: Some(number("TIMEOUT", "600")?)
                .filter(|&seconds| seconds > 0)
                .map(Duration::from_secs),
            failures,
            driver: major * 1000 + minor * 10,
        })
    }

    /// The newest PTX that this driver reads, major and minor.
    pub fn newest_ptx(&self) -> (u32, u32) {
        let minor = self.driver % 1000 / 10;
        match self.driver / 1000 {
            11 => (7, minor),
            // PTX kept its number in 12.6 and skipped to 8.7 with 12.8.
            12 => (8, if minor >= 6 { minor - 1 } else { minor }),
            major => (major - 4, minor),
        }
    }
}

/// Reads `8.0`.
fn pair(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Reads a size: `4GiB`, `4G`, `512MiB`, `1000`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1_u64,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

/// Reads a list of checks; the error is the word that is none.
pub fn checks(text: &str) -> Result<(Checks, bool), String> {
    let mut checks = Checks {
        initialised: false,
        shared_races: false,
        global_races: false,
    };
    let mut leaks = false;
    for word in text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let all = word == "all";
        match word {
            "none" => {}
            "all" | "initialised" | "shared-races" | "global-races" | "leaks" => {
                checks.initialised |= all || word == "initialised";
                checks.shared_races |= all || word == "shared-races";
                checks.global_races |= all || word == "global-races";
                leaks |= all || word == "leaks";
            }
            _ => return Err(word.to_string()),
        }
    }
    Ok((checks, leaks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        Config::read(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn defaults_are_those_that_the_documents_name() {
        let config = read(&[]).unwrap();
        assert_eq!(config.chip.capability, (8, 0));
        assert_eq!(config.memory, 4 << 30);
        assert_eq!((config.devices, config.seed, config.driver), (1, 0, 13050));
        assert!(config.checks.initialised && config.checks.shared_races && config.leaks);
        assert!(!config.checks.global_races && !config.strict && !config.count);
        assert_eq!(config.newest_ptx(), (9, 5));
        assert_eq!(config.timeout, Some(Duration::from_secs(600)));
        assert_eq!(config.profile, None);
        assert_eq!(config.profile_chip.name, "A100");
    }

    #[test]
    fn values_are_read() {
        let config = read(&[
            ("SOFTCUDA_CAPABILITY", "9.0"),
            ("SOFTCUDA_MEMORY", "512MiB"),
            ("SOFTCUDA_CHECK", "none"),
            ("SOFTCUDA_DRIVER", "12.8"),
            ("SOFTCUDA_PROFILE", "file"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.chip.capability, (9, 0));
        assert_eq!(config.memory, 512 << 20);
        assert!(!config.checks.initialised && !config.leaks);
        assert_eq!(config.newest_ptx(), (8, 7));
        assert!(config.count);
        assert_eq!(config.profile_chip.name, "H100");
    }

    #[test]
    fn wrong_values_name_their_variable() {
        for (name, text) in [
            ("SOFTCUDA_CAPABILITY", "9"),
            ("SOFTCUDA_CAPABILITY", "5.0"),
            ("SOFTCUDA_MEMORY", "lots"),
            ("SOFTCUDA_MEMORY", "0"),
            ("SOFTCUDA_DEVICES", "-1"),
            ("SOFTCUDA_DEVICES", "17"),
            ("SOFTCUDA_THREADS", "0"),
            ("SOFTCUDA_SEED", "x"),
            ("SOFTCUDA_TIMEOUT", "soon"),
            ("SOFTCUDA_CHECK", "races"),
            ("SOFTCUDA_COUNT", "yes"),
            ("SOFTCUDA_STRICT", "2"),
            ("SOFTCUDA_FAIL", "launch"),
            ("SOFTCUDA_DRIVER", "new"),
            ("SOFTCUDA_PROFILE_CHIP", "Z80"),
        ] {
            let error = read(&[(name, text)]).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }
}
