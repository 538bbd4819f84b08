//! `printf` from a kernel: C's conversions over arguments that lie one after the other in memory, each at its own alignment.

use crate::machine::access::{LOCAL_WINDOW, SHARED_WINDOW, WINDOW};
use crate::machine::warp::Warp;

/// Largest width and precision.
const WIDEST: usize = 4096;

/// The text of one call by one lane, and the number of its arguments; none if memory cannot be read.
pub fn format(w: &mut Warp, lane: usize, format: &[u8], mut at: u64) -> Option<(Vec<u8>, u32)> {
    let mut out = Vec::new();
    let mut count = 0;
    let mut rest = format;
    let mut argument = |w: &mut Warp, bytes: u64| -> Option<u64> {
        at = at.checked_next_multiple_of(bytes)?;
        let mut value = [0; 8];
        read_bytes(w, lane, at, &mut value[..bytes as usize])?;
        at = at.wrapping_add(bytes);
        count += 1;
        Some(u64::from_le_bytes(value))
    };
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut spec = Spec::default();
        while let Some((&flag, tail)) = rest.split_first()
            && b"-+ #0".contains(&flag)
        {
            spec.flag(flag);
            rest = tail;
        }
        if let Some((b'*', tail)) = rest.split_first() {
            rest = tail;
            let width = argument(w, 4)? as i32;
            spec.left |= width < 0;
            spec.width = (width.unsigned_abs() as usize).min(WIDEST);
        } else {
            (spec.width, rest) = number(rest);
        }
        if let Some((b'.', tail)) = rest.split_first() {
            rest = tail;
            if let Some((b'*', tail)) = rest.split_first() {
                rest = tail;
                let precision = usize::try_from(argument(w, 4)? as i32).ok();
                spec.precision = precision.map(|precision| precision.min(WIDEST));
            } else {
                let (precision, tail) = number(rest);
                (spec.precision, rest) = (Some(precision), tail);
            }
        }
        let mut long = false;
        while let Some((&size, tail)) = rest.split_first()
            && b"hlLzjt".contains(&size)
        {
            long |= b"lzjt".contains(&size);
            rest = tail;
        }
        let Some((&conversion, tail)) = rest.split_first() else {
            break;
        };
        rest = tail;
        let bytes = if long { 8 } else { 4 };
        match conversion {
            b'%' => out.push(b'%'),
            b'd' | b'i' => {
                let value = argument(w, bytes)?;
                let value = if long {
                    value as i64
                } else {
                    value as i32 as i64
                };
                spec.integer(&mut out, value < 0, value.unsigned_abs().to_string(), "");
            }
            b'u' => {
                let value = argument(w, bytes)?;
                spec.unsigned(&mut out, value.to_string(), "");
            }
            b'x' => {
                let value = argument(w, bytes)?;
                spec.unsigned(
                    &mut out,
                    format!("{value:x}"),
                    if value == 0 { "" } else { "0x" },
                );
            }
            b'X' => {
                let value = argument(w, bytes)?;
                spec.unsigned(
                    &mut out,
                    format!("{value:X}"),
                    if value == 0 { "" } else { "0X" },
                );
            }
            b'o' => {
                let value = argument(w, bytes)?;
                spec.unsigned(
                    &mut out,
                    format!("{value:o}"),
                    if value == 0 { "" } else { "0" },
                );
            }
            b'c' => {
                let value = argument(w, 4)? as u8;
                spec.pad(&mut out, "", &[value], false);
            }
            b'p' => {
                let value = argument(w, 8)?;
                spec.pad(&mut out, "", format!("0x{value:x}").as_bytes(), false);
            }
            b's' => {
                let address = argument(w, 8)?;
                let mut text = read_string(w, lane, address)?;
                text.truncate(spec.precision.unwrap_or(usize::MAX));
                spec.pad(&mut out, "", &text, false);
            }
            b'f' | b'F' | b'e' | b'E' | b'g' | b'G' | b'a' | b'A' => {
                let value = f64::from_bits(argument(w, 8)?);
                spec.float(&mut out, value, conversion);
            }
            other => {
                // As the device does: what it does not know is printed as it stands.
                out.extend([b'%', other]);
            }
        }
    }
    Some((out, count))
}

fn number(mut text: &[u8]) -> (usize, &[u8]) {
    let mut value = 0usize;
    while let Some((digit @ b'0'..=b'9', tail)) = text.split_first() {
        value = (value * 10 + (digit - b'0') as usize).min(WIDEST);
        text = tail;
    }
    (value, text)
}

#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn flag(&mut self, flag: u8) {
        match flag {
            b'-' => self.left = true,
            b'+' => self.plus = true,
            b' ' => self.space = true,
            b'#' => self.alternate = true,
            _ => self.zero = true,
        }
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, _, _) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        }
    }

    fn pad(&self, out: &mut Vec<u8>, prefix: &str, digits: &[u8], zeros: bool) {
        let fill = self.width.saturating_sub(prefix.len() + digits.len());
        if !self.left && !zeros {
            out.extend(std::iter::repeat_n(b' ', fill));
        }
        out.extend_from_slice(prefix.as_bytes());
        if !self.left && zeros {
            out.extend(std::iter::repeat_n(b'0', fill));
        }
        out.extend_from_slice(digits);
        if self.left {
            out.extend(std::iter::repeat_n(b' ', fill));
        }
    }

    fn integer(&self, out: &mut Vec<u8>, negative: bool, digits: String, prefix: &str) {
        let digits = match self.precision {
            Some(0) if digits == "0" => String::new(),
            Some(precision) => format!("{digits:0>precision$}"),
            None => digits,
        };
        let prefix = format!(
            "{}{}",
            self.sign(negative),
            if self.alternate { prefix } else { "" }
        );
        self.pad(
            out,
            &prefix,
            digits.as_bytes(),
            self.zero && self.precision.is_none(),
        );
    }

    fn unsigned(&self, out: &mut Vec<u8>, digits: String, prefix: &str) {
        let plain = Spec {
            plus: false,
            space: false,
            ..*self
        };
        plain.integer(out, false, digits, prefix);
    }

    fn float(&self, out: &mut Vec<u8>, value: f64, conversion: u8) {
        let upper = conversion.is_ascii_uppercase();
        let sign = self.sign(value.is_sign_negative());
        let magnitude = value.abs();
        let mut text = if magnitude.is_nan() {
            "nan".to_string()
        } else if magnitude.is_infinite() {
            "inf".to_string()
        } else {
            match conversion.to_ascii_lowercase() {
                b'f' => format!("{magnitude:.*}", self.precision.unwrap_or(6)),
                b'e' => exponent(magnitude, self.precision.unwrap_or(6)),
                b'g' => general(
                    magnitude,
                    self.precision.unwrap_or(6).max(1),
                    self.alternate,
                ),
                _ => hexadecimal(magnitude),
            }
        };
        if upper {
            text = text.to_uppercase();
        }
        self.pad(
            out,
            sign,
            text.as_bytes(),
            self.zero && magnitude.is_finite(),
        );
    }
}

/// C's `%e`: at least two digits of exponent, with a sign.
fn exponent(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match power.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', power),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// C's `%g`: the shorter of `%e` and `%f`, trailing zeros dropped.
fn general(value: f64, precision: usize, keep: bool) -> String {
    let scientific = exponent(value, precision - 1);
    let power: i32 = scientific
        .split_once('e')
        .and_then(|(_, power)| power.parse().ok())
        .unwrap_or(0);
    if power < -4 || power >= precision as i32 {
        let (mantissa, tail) = scientific.split_once('e').unwrap_or((&scientific, "+00"));
        let mantissa = if keep || !mantissa.contains('.') {
            mantissa
        } else {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        };
        return format!("{mantissa}e{tail}");
    }
    let text = format!("{value:.*}", (precision as i32 - 1 - power) as usize);
    if keep || !text.contains('.') {
        text
    } else {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    }
}

/// C's `%a`.
fn hexadecimal(value: f64) -> String {
    let bits = value.to_bits();
    let (power, fraction) = ((bits >> 52 & 0x7FF) as i64, bits & ((1 << 52) - 1));
    if value == 0.0 {
        return "0x0p+0".to_string();
    }
    let (lead, power) = if power == 0 {
        (0, -1022)
    } else {
        (1, power - 1023)
    };
    let digits = format!("{fraction:013x}");
    let digits = digits.trim_end_matches('0');
    let dot = if digits.is_empty() { "" } else { "." };
    format!("0x{lead}{dot}{digits}p{power:+}")
}

/// `N` bytes of the lane's local memory at `offset` of the current frame.
pub fn local_bytes<const N: usize>(w: &Warp, lane: usize, offset: u32) -> [u8; N] {
    let at = lane * w.local_stride as usize + (w.local_base + offset) as usize;
    let base: *const u8 = w.local.as_ptr().cast();
    // SAFETY: the offset is that of a variable of the frame, whose memory is there.
    unsafe { base.add(at).cast::<[u8; N]>().read_unaligned() }
}

/// Reads memory at a generic address as lane `lane` sees it; none if it is not there.
pub fn read_bytes(w: &mut Warp, lane: usize, address: u64, into: &mut [u8]) -> Option<()> {
    let bytes = into.len() as u64;
    let pointer: *const u8 = if address.wrapping_sub(LOCAL_WINDOW) < WINDOW {
        let offset = address - LOCAL_WINDOW;
        if offset + bytes > w.local_stride as u64 {
            return None;
        }
        let base: *const u8 = w.local.as_ptr().cast();
        base.wrapping_add(lane * w.local_stride as usize + offset as usize)
    } else {
        // SAFETY: no other reference to the block is in use.
        let block = unsafe { w.block() };
        if address.wrapping_sub(SHARED_WINDOW) < WINDOW {
            let offset = address - SHARED_WINDOW;
            if offset + bytes > block.bytes as u64 {
                return None;
            }
            block.base().wrapping_add(offset as usize)
        } else {
            let (_, end) = block.launch().view.find(address)?;
            if address + bytes > end {
                return None;
            }
            address as *const u8
        }
    };
    // SAFETY: the range was just checked.
    unsafe { std::ptr::copy_nonoverlapping(pointer, into.as_mut_ptr(), into.len()) };
    Some(())
}

/// Longest string that is read.
const LONGEST: usize = 1 << 16;

/// A string at a generic address, without its end.
pub fn read_string(w: &mut Warp, lane: usize, address: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        let mut byte = [0];
        read_bytes(w, lane, address.wrapping_add(text.len() as u64), &mut byte)?;
        if byte[0] == 0 || text.len() == LONGEST {
            return Some(text);
        }
        text.push(byte[0]);
    }
}
