//! Faults planted in PTX, one at a time: each kind of fault in each place of a kernel where it can be.

use std::collections::HashMap;

use crate::support::nvcc::entry;

/// A kernel's text with one fault.
pub struct Mutant {
    /// The kind of fault.
    pub class: &'static str,
    /// What was done where, in words: the line of the right text, within the kernel.
    pub what: String,
    /// The text with the fault.
    pub text: String,
}

/// Most faults of one class in one kernel, evenly spread, of those that come in dozens in unrolled code.
const MOST: usize = 10;

/// Where a kernel's text begins and ends, in lines of its module.
fn extent(lines: &[&str], kernel: &str) -> (usize, usize) {
    let start = lines
        .iter()
        .position(|line| entry(line) == Some(kernel))
        .unwrap_or_else(|| panic!("no kernel {kernel}"));
    let length = lines[start..]
        .iter()
        .position(|line| *line == "}")
        .expect("an end");
    (start, length)
}

/// The lines of `kernel` that are never executed when `run` runs it: it gets texts in which the kernel ends at some places, and
/// gives the line at which it ended, from 1, if it came to one.
pub fn unreached(ptx: &str, kernel: &str, run: impl Fn(&str) -> Option<usize>) -> Vec<usize> {
    let lines: Vec<&str> = ptx.lines().collect();
    let (start, length) = extent(&lines, kernel);
    // Blocks of code, each from its first instruction on.
    let mut blocks: Vec<Vec<usize>> = vec![Vec::new()];
    for (at, line) in lines.iter().enumerate().skip(start).take(length) {
        if line.trim().ends_with(':') {
            blocks.push(Vec::new());
        }
        let Some((opcode, _)) = parts(line) else {
            continue;
        };
        if opcode.starts_with('.') {
            continue;
        }
        blocks.last_mut().expect("one").push(at);
        if opcode.starts_with("bra") || matches!(opcode, "ret" | "exit") {
            blocks.push(Vec::new());
        }
    }
    blocks.retain(|block| !block.is_empty());
    loop {
        let mut text: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        for block in &blocks {
            text[block[0]] = format!("trap; {}", lines[block[0]]);
        }
        let Some(line) = run(&text.join("\n")) else {
            return blocks.concat();
        };
        let before = blocks.len();
        blocks.retain(|block| block[0] + 1 != line);
        assert!(
            blocks.len() < before,
            "{kernel} ends at line {line}, where no trap is"
        );
    }
}

/// All mutants of `kernel`, whose module is `ptx`, but for those in the lines of `without`.
pub fn mutants(ptx: &str, kernel: &str, without: &[usize]) -> Vec<Mutant> {
    let lines: Vec<&str> = ptx.lines().collect();
    let (start, length) = extent(&lines, kernel);
    let body = Body::new(&lines[start..start + length]);
    let mut found: Vec<(&'static str, usize, Vec<String>)> = Vec::new();
    for at in 0..body.lines.len() {
        body.faults(at, &mut |class, replacement: Vec<String>| {
            found.push((class, at, replacement));
        });
    }
    body.moved(&mut |class, at, replacement| found.push((class, at, replacement)));
    found.retain(|(_, at, _)| !without.contains(&(start + at)));
    thin(&mut found);
    let mutant = |(class, at, replacement): (&'static str, usize, Vec<String>)| {
        let at = start + at;
        // A fault of several lines replaces as many.
        let mut all: Vec<&str> = lines[..at].to_vec();
        all.extend(replacement.iter().map(String::as_str));
        all.extend(&lines[at + replacement.len()..]);
        Mutant {
            class,
            what: format!(
                "{kernel} +{}: {}{}",
                at - start,
                lines[at].trim(),
                body.guard_of(lines[at])
            ),
            text: all.join("\n"),
        }
    };
    found.into_iter().map(mutant).collect()
}

fn thin(found: &mut Vec<(&'static str, usize, Vec<String>)>) {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for (class, ..) in found.iter() {
        *count.entry(class).or_default() += 1;
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    found.retain(|(class, ..)| {
        let (n, total) = (seen.entry(class).or_default(), count[class]);
        let part = |n: usize| n * MOST / total;
        let first = *n == 0 || part(*n) != part(*n - 1);
        *n += 1;
        total <= MOST || first
    });
}

/// A kernel's lines, and what is known of its registers.
struct Body<'a> {
    lines: Vec<&'a str>,
    /// Registers that hold the same number everywhere.
    numbers: HashMap<&'a str, i64>,
    /// Shared variables and their sizes.
    shared: Vec<(&'a str, u64)>,
    /// Predicates that tell whether something is within bounds: made from comparisons of two registers.
    bounds: Vec<&'a str>,
}

/// The opcode of a line, its guard removed, and its operands.
fn parts(line: &str) -> Option<(&str, Vec<&str>)> {
    let line = line.trim().strip_suffix(';')?;
    let line = match line.strip_prefix('@') {
        Some(guarded) => guarded.split_once(' ')?.1.trim(),
        None => line,
    };
    let (opcode, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    // Commas within braces separate elements.
    let mut operands = Vec::new();
    let (mut depth, mut from) = (0, 0);
    for (at, c) in rest.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                operands.push(rest[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    operands.push(rest[from..].trim());
    Some((opcode, operands))
}

const ORDERS: [(&str, &str); 4] = [("lt", "le"), ("le", "lt"), ("gt", "ge"), ("ge", "gt")];

impl<'a> Body<'a> {
    fn new(lines: &[&'a str]) -> Body<'a> {
        let mut numbers: HashMap<&str, Option<i64>> = HashMap::new();
        let mut shared = Vec::new();
        let mut bounds = Vec::new();
        for line in lines {
            if let Some(rest) = line.trim().strip_prefix(".shared .align ") {
                let name = rest.split(' ').nth(2).unwrap_or("").trim_end_matches(';');
                let (name, size) = name.split_once('[').unwrap_or((name, "1]"));
                let size = size.trim_end_matches(']').parse().expect("a size");
                shared.push((name, size));
            }
            let Some((opcode, operands)) = parts(line) else {
                continue;
            };
            if opcode.starts_with("mov.u32") || opcode.starts_with("mov.b32") {
                let number = operands[1].parse().ok();
                let known = numbers.entry(operands[0]).or_insert(number);
                if *known != number {
                    *known = None;
                }
            }
            let registers = operands.len() == 3 && operands[1..].iter().all(|o| o.starts_with('%'));
            let ordered = ORDERS
                .iter()
                .any(|(order, _)| opcode.starts_with(&format!("setp.{order}.")));
            let joined = matches!(opcode, "or.pred" | "and.pred" | "not.pred")
                && operands[1..].iter().any(|o| bounds.contains(o));
            if registers && ordered || joined {
                bounds.push(operands[0]);
            }
        }
        Body {
            lines: lines.to_vec(),
            numbers: numbers
                .into_iter()
                .filter_map(|(name, number)| Some((name, number?)))
                .collect(),
            shared,
            bounds,
        }
    }

    /// What defines the guard of a line, in words.
    fn guard_of(&self, line: &str) -> String {
        let guard = line
            .trim()
            .strip_prefix('@')
            .and_then(|rest| rest.split(' ').next());
        let Some(guard) = guard.map(|guard| guard.trim_start_matches('!')) else {
            return String::new();
        };
        let defines = |line: &&&str| parts(line).is_some_and(|(_, operands)| operands[0] == guard);
        match self.lines.iter().find(defines) {
            Some(line) => format!(" where {}", line.trim()),
            None => String::new(),
        }
    }

    fn number(&self, operand: &str) -> Option<i64> {
        operand
            .parse()
            .ok()
            .or_else(|| self.numbers.get(operand).copied())
    }

    /// The faults of line `at` alone.
    fn faults(&self, at: usize, add: &mut impl FnMut(&'static str, Vec<String>)) {
        let line = self.lines[at];
        let Some((opcode, operands)) = parts(line) else {
            return;
        };
        let mut one = |class, text: String| add(class, vec![text]);
        let with = |from: &str, to: &str| line.replacen(from, to, 1);
        let is = |prefix: &str| opcode.starts_with(prefix);
        // The result of a barrier with a reduction is used.
        if is("bar.") && !is("bar.red") {
            one("dropped barrier", String::new());
        }
        if is("cp.async.wait_group") {
            one("dropped wait", String::new());
            let groups = self.number(operands[0]).expect("a number");
            let more = format!("{opcode} {};", groups + 1);
            one("wait for one group less", more);
        }
        if is("cp.async.wait_all") {
            one("dropped wait", String::new());
        }
        if is("cp.async.commit_group") {
            one("dropped commit", String::new());
        }
        if is("membar") || is("fence") {
            one("missing fence", String::new());
        }
        for order in [".release", ".acquire"] {
            if opcode.contains(order) {
                one("missing fence", with(order, ".relaxed"));
            }
        }
        if is("setp.") && self.bounds.contains(&operands[0]) {
            for (order, other) in ORDERS {
                if is(&format!("setp.{order}.")) {
                    one("bound off by one", with(order, other));
                }
            }
        }
        if is("bra") && line.trim().starts_with('@') {
            let guard = line.trim()[1..].split(' ').next().unwrap_or("");
            if self.bounds.contains(&guard.trim_start_matches('!')) {
                one("dropped guard", String::new());
            }
        } else if line.trim().starts_with('@') {
            let rest = line.trim().split_once(' ').expect("an instruction").1;
            one("dropped guard", rest.to_string());
        }
        if is("shfl.sync") {
            if let Some(lane) = self.number(operands[2]) {
                // A butterfly of 17, 8, 4, 2, 1 would reach all lanes as well.
                let other = match lane {
                    1 if is("shfl.sync.bfly") => 2,
                    lane if is("shfl.sync.bfly") => lane / 2,
                    lane => lane ^ 1,
                };
                let mut changed = operands.clone();
                let other = other.to_string();
                changed[2] = &other;
                one("wrong lane", format!("{opcode} {};", changed.join(", ")));
            }
            if self.number(operands[4]).is_some() {
                let mut changed = operands.clone();
                changed[4] = "2147483647";
                one("wrong mask", format!("{opcode} {};", changed.join(", ")));
            }
        }
        let places = [
            "ld.shared",
            "ld.volatile.shared",
            "st.shared",
            "ldmatrix",
            "cp.async.c",
        ];
        if let Some(place) = operands.iter().find(|o| o.starts_with('['))
            && places.iter().any(|place| is(place))
        {
            let bytes = if is("ldmatrix") || is("cp.async") {
                16
            } else {
                width(opcode)
            };
            let shifted = format!("{}+{bytes}]", place.trim_end_matches(']'));
            let shifted = match place.split_once('+') {
                Some((base, offset)) => {
                    let offset: i64 = offset.trim_end_matches(']').parse().expect("an offset");
                    format!("{base}+{}]", offset + bytes as i64)
                }
                None => shifted,
            };
            one("shifted shared address", with(place, &shifted));
        }
        for (name, _) in &self.shared {
            let other = self.shared.iter().find(|(other, _)| other != name);
            let used = operands.iter().any(|operand| {
                let operand = operand.trim_matches(['[', ']']);
                operand.split('+').next() == Some(name)
            });
            if used && let Some((other, _)) = other {
                one("swapped buffers", with(name, other));
            }
        }
        if is("st.global") || is("st.shared") || is("st.volatile") || is("st.release") {
            one("dropped store", String::new());
        }
        if is("mul.wide")
            && !opcode.ends_with("16")
            && let Some(by) = operands[2].parse::<i64>().ok()
        {
            let text = format!("{opcode} {}, {}, {};", operands[0], operands[1], by * 2);
            one("wrong stride", text);
        }
        if is("mad.lo")
            && let Some(by) = operands[2].parse::<i64>().ok()
        {
            let [to, a, _, c] = operands[..] else {
                panic!("{line}")
            };
            one(
                "wrong stride",
                format!("{opcode} {to}, {a}, {}, {c};", by + 16),
            );
        }
        if is("mma.sync") {
            for operand in [1, 2] {
                let elements: Vec<&str> = operands[operand]
                    .trim_matches(['{', '}'])
                    .split(',')
                    .map(str::trim)
                    .collect();
                let mut swapped = elements.clone();
                swapped.swap(0, 1);
                let mut changed = operands.clone();
                let swapped = format!("{{{}}}", swapped.join(", "));
                changed[operand] = &swapped;
                one(
                    "wrong operand order",
                    format!("{opcode} {};", changed.join(", ")),
                );
            }
        }
    }

    /// Barriers and waits that come too late (after a load that follows) or too early (before a store or wait that precedes).
    fn moved(&self, add: &mut impl FnMut(&'static str, usize, Vec<String>)) {
        let opcode = |at: usize| parts(self.lines[at]).map_or("", |(opcode, _)| opcode);
        let breaks = |at: usize| {
            let line = self.lines[at].trim();
            line.ends_with(':') || opcode(at).starts_with("bra") || line.starts_with('{')
        };
        for at in 0..self.lines.len() {
            if !opcode(at).starts_with("bar.sync") && !opcode(at).starts_with("bar.warp.sync") {
                continue;
            }
            let next = (at + 1..self.lines.len())
                .take_while(|&to| !breaks(to) && !opcode(to).starts_with("bar."))
                .find(|&to| {
                    ["ld.shared", "ldmatrix", "cp.async.c"]
                        .iter()
                        .any(|load| opcode(to).starts_with(load))
                });
            if let Some(to) = next {
                let mut moved: Vec<String> = self.lines[at + 1..=to]
                    .iter()
                    .map(|line| line.to_string())
                    .collect();
                moved.push(self.lines[at].to_string());
                add("access before its barrier", at, moved);
            }
            let before = (0..at)
                .rev()
                .take_while(|&to| !breaks(to) && !opcode(to).starts_with("bar."))
                .find(|&to| {
                    ["st.shared", "cp.async.wait"]
                        .iter()
                        .any(|store| opcode(to).starts_with(store))
                });
            if let Some(to) = before {
                let mut moved = vec![self.lines[at].to_string()];
                moved.extend(self.lines[to..at].iter().map(|line| line.to_string()));
                add("access behind its barrier", to, moved);
            }
        }
    }
}

/// Bytes of a load or store.
fn width(opcode: &str) -> u64 {
    let element = opcode
        .rsplit('.')
        .next()
        .and_then(|ty| ty[1..].parse::<u64>().ok())
        .unwrap_or(32)
        / 8;
    let n = ["v2", "v4", "v8"]
        .into_iter()
        .find(|v| opcode.contains(&format!(".{v}.")))
        .map_or(1, |v| v[1..].parse().expect("a number"));
    element * n
}
