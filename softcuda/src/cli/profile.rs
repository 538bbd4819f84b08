//! `softcuda profile`: a program on the software device, and a table of what its kernels did.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use softcuda::counters::Counts;
use softcuda::driver::profile::Record;
use softcuda::roofline::{NOTE, Resource};

/// Runs a program on the software device, and tells on stderr what its kernels did.
///
/// The exit code is that of `softcuda run`. Times are estimates for a real chip from what was counted, not measurements: they
/// tell what bounds a kernel and whether a change made it do less.
#[derive(Debug, clap::Args)]
// The arguments of `run` are a part, and a group of them has the same name.
#[group(id = "profile")]
pub struct Args {
    /// The chip of the estimates: A100 or H100 [default: A100 for a capability before 9.0, else H100].
    #[arg(long, value_name = "NAME", value_parser = ["A100", "H100"], ignore_case = true, hide_possible_values = true)]
    chip: Option<String>,
    /// Write a line of JSON on each launch to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What the table is sorted by.
    #[arg(long, value_name = "ORDER", value_enum, default_value = "time")]
    sort: Sort,
    #[command(flatten)]
    run: super::run::Args,
}

/// Orders of the table, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// Estimated time.
    Time,
    /// Number of launches.
    Launches,
    /// Bytes asked of global memory.
    Bytes,
}

/// Runs the program, prints the table and returns the exit code.
pub fn run(args: Args) -> u8 {
    match start(&args) {
        Ok(code) => code,
        Err((code, why)) => {
            eprintln!("softcuda: {why}");
            code
        }
    }
}

fn start(args: &Args) -> Result<u8, (u8, String)> {
    let folder = super::run::temporary().map_err(|error| (1, format!("no folder: {error}")))?;
    let path = match &args.json {
        Some(path) => path.clone(),
        None => folder.0.join("profile"),
    };
    let failed = |error: io::Error| (1, format!("{}: {error}", path.display()));
    // The program may change its folder.
    let path = std::path::absolute(&path).map_err(failed)?;
    let name = path
        .to_str()
        .ok_or_else(|| (2, format!("{} is not Unicode", path.display())))?;
    fs::write(&path, "").map_err(failed)?;
    let mut settings = vec![("SOFTCUDA_PROFILE", name.to_string())];
    settings.extend(
        args.chip
            .as_ref()
            .map(|chip| ("SOFTCUDA_PROFILE_CHIP", chip.clone())),
    );
    let code = super::run::start(&args.run, settings)?;
    let (mut kernels, chip) = read(&path).map_err(failed)?;
    sort(&mut kernels, args.sort);
    eprint!("{}", report(&kernels, &chip));
    Ok(code)
}

/// The launches of one kernel.
#[derive(Debug, Default)]
struct Row {
    kernel: String,
    launches: u64,
    counts: Counts,
    /// Sum over the launches of the share of warps that a multiprocessor holds.
    occupancy: f64,
    /// Estimated microseconds.
    time: f64,
    /// Those of the launches that each resource bounds.
    bound: BTreeMap<Resource, f64>,
}

/// The launches of a file by kernel, and the chip of the estimates.
fn read(path: &Path) -> io::Result<(Vec<Row>, String)> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut chip = String::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let record: Record = serde_json::from_str(&line?)?;
        let row = rows.entry(record.kernel.clone()).or_default();
        row.kernel = record.kernel;
        row.launches += 1;
        row.counts.add(&record.counters);
        row.occupancy += record.occupancy.share;
        chip = record.occupancy.chip;
        if let Some(estimate) = record.roofline {
            row.time += estimate.microseconds;
            *row.bound.entry(estimate.bound_by).or_default() += estimate.microseconds;
        }
    }
    Ok((rows.into_values().collect(), chip))
}

fn sort(rows: &mut [Row], by: Sort) {
    // By name before, and a sort keeps the order of equals.
    match by {
        Sort::Time => rows.sort_by(|a, b| b.time.total_cmp(&a.time)),
        Sort::Launches => rows.sort_by_key(|row| std::cmp::Reverse(row.launches)),
        Sort::Bytes => rows.sort_by_key(|row| std::cmp::Reverse(row.counts.global_bytes())),
    }
}

const HEAD: [&str; 13] = [
    "kernel", "launches", "instr", "lanes", "tensor", "bytes", "/least", "sectors", "ways",
    "occup", "est time", "share", "bound by",
];

const LEGEND: &str = "\
instr    warp instructions          lanes    share of lanes that take part
tensor   tensor-core operations, share of instr
bytes    asked of global memory     /least   over the bytes that must move at least
sectors  asked for over the fewest  ways     of bank conflicts, mean (1: none)
occup    warps that a multiprocessor holds, share of the most
bound by the resource that takes most of the estimated time
";

/// The table with its legend.
fn report(rows: &[Row], chip: &str) -> String {
    if rows.is_empty() {
        return "softcuda: no kernel was launched\n".to_string();
    }
    let time: f64 = rows.iter().map(|row| row.time).sum();
    let mut table: Vec<Vec<String>> = vec![HEAD.map(str::to_string).to_vec()];
    table.extend(rows.iter().map(|row| cells(row, time)));
    if rows.len() > 1 {
        let mut total = Row {
            kernel: "total".to_string(),
            ..Row::default()
        };
        for row in rows {
            total.launches += row.launches;
            total.counts.add(&row.counts);
            total.occupancy += row.occupancy;
            total.time += row.time;
            for (&resource, time) in &row.bound {
                *total.bound.entry(resource).or_default() += time;
            }
        }
        table.push(cells(&total, time));
    }
    format!(
        "softcuda: times are for {chip}: {NOTE}\n\n{}\n{LEGEND}",
        aligned(&table)
    )
}

/// One line of the table; `time` is that of all kernels.
fn cells(row: &Row, time: f64) -> Vec<String> {
    let counts = &row.counts;
    let percent = |share: Option<f64>| share.map_or("-".to_string(), percent);
    let times = |ratio: Option<f64>| ratio.map_or("-".to_string(), |ratio| format!("{ratio:.2}"));
    let bound = row.bound.iter().max_by(|a, b| a.1.total_cmp(b.1));
    // No estimate: not one launch fits on the chip.
    let estimated = bound.is_some();
    vec![
        shortened(&row.kernel),
        row.launches.to_string(),
        scaled(counts.total_instructions() as f64),
        percent(counts.lanes_active()),
        percent(counts.tensor_share().filter(|&share| share > 0.0)),
        format!("{}B", scaled(counts.global_bytes() as f64)),
        times(counts.global_over_compulsory()),
        times(counts.sectors_over_least()),
        times(counts.conflict_ways()),
        percent(Some(row.occupancy / row.launches as f64)),
        if estimated {
            duration(row.time)
        } else {
            "-".to_string()
        },
        percent((estimated && time > 0.0).then(|| row.time / time)),
        bound
            .map_or("does not fit", |(resource, _)| resource.name())
            .to_string(),
    ]
}

/// Columns as wide as their widest cell, the first and the last to the left, the others to the right.
fn aligned(table: &[Vec<String>]) -> String {
    let last = HEAD.len() - 1;
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..=last).filter_map(width).collect();
    let mut text = String::new();
    for row in table {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                column if column == last => cell.clone(),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Longest name that is shown whole: C++ makes names of any length.
const LONGEST: usize = 56;

/// A name, its middle left out where it is very long.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= LONGEST {
        return name.to_string();
    }
    let half = (LONGEST - 1) / 2;
    let begin: String = letters[..LONGEST - 1 - half].iter().collect();
    let end: String = letters[letters.len() - half..].iter().collect();
    format!("{begin}…{end}")
}

/// `12.3 %`, `100 %`.
fn percent(share: f64) -> String {
    match 100.0 * share {
        percent if percent > 99.95 => format!("{percent:.0} %"),
        percent => format!("{percent:.1} %"),
    }
}

/// Three digits and a thousand's letter: `1.23 M`, and a number below a thousand as it is.
fn scaled(number: f64) -> String {
    let (mut number, mut letter) = (number, "");
    for next in ["k", "M", "G", "T", "P"] {
        if number < 999.5 {
            break;
        }
        (number, letter) = (number / 1000.0, next);
    }
    match number {
        number if letter.is_empty() => format!("{number:.0} "),
        number if number < 9.995 => format!("{number:.2} {letter}"),
        number if number < 99.95 => format!("{number:.1} {letter}"),
        number => format!("{number:.0} {letter}"),
    }
}

/// Microseconds as a time.
fn duration(microseconds: f64) -> String {
    match microseconds {
        time if time < 999.5 => format!("{time:.1} us"),
        time if time < 999_500.0 => format!("{:.2} ms", time / 1e3),
        time => format!("{:.2} s", time / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(scaled(0.0), "0 ");
        assert_eq!(scaled(999.0), "999 ");
        assert_eq!(scaled(1000.0), "1.00 k");
        assert_eq!(scaled(12_345.0), "12.3 k");
        assert_eq!(scaled(999_600.0), "1.00 M");
        assert_eq!(scaled(5e17), "500 P");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.5), "50.0 %");
        assert_eq!(duration(2.04), "2.0 us");
        assert_eq!(duration(1e4), "10.00 ms");
        assert_eq!(duration(2e6), "2.00 s");
        assert_eq!(shortened("saxpy"), "saxpy");
        let long = format!("{}{}", "a".repeat(50), "b".repeat(50));
        assert_eq!(shortened(&long).chars().count(), LONGEST);
        assert!(shortened(&long).ends_with("b"));
    }

    #[test]
    fn columns_are_aligned() {
        let mut row = Row {
            kernel: "a_kernel_with_a_name".to_string(),
            launches: 12_345,
            time: 10.0,
            ..Row::default()
        };
        row.bound.insert(Resource::Memory, 10.0);
        let other = Row {
            kernel: "b".to_string(),
            launches: 1,
            ..Row::default()
        };
        let text = report(&[row, other], "A100");
        let lines: Vec<&str> = text.lines().skip(2).take(4).collect();
        assert!(
            lines[0].starts_with("kernel                launches"),
            "{text}"
        );
        assert!(
            lines[1].starts_with("a_kernel_with_a_name     12345"),
            "{text}"
        );
        assert!(lines[1].ends_with("100 %  memory"), "{text}");
        assert!(lines[2].ends_with("does not fit"), "{text}");
        assert!(
            lines[3].starts_with("total                    12346"),
            "{text}"
        );
        let column = lines[0].find("bound by").unwrap();
        assert!(
            lines[1..]
                .iter()
                .all(|line| &line[column - 2..column] == "  ")
        );
        assert!(text.contains("an estimate from counts, not a measurement"));
        assert!(report(&[], "").contains("no kernel"));
    }
}
