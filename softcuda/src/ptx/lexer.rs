//! PTX text cut into tokens, on demand: comments and white space go, lines are counted.

/// A token. What it means is the parser's business: numbers and strings stay as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name or an opcode, with what follows after dots: `%r1`, `$L1`, `%tid.x`, `ld.global.L2::128B.v4.u32`.
    Word(&'a str),
    /// A directive or a modifier that stands alone, without its dot: `reg`, `shared::cta`.
    Dot(&'a str),
    /// Anything that begins with a digit: `16`, `0x10`, `0f3F800000`, `1.5e-3`, `9.5`.
    Number(&'a str),
    /// The inside of a string, escapes as written.
    Text(&'a str),
    /// One character of punctuation.
    Sign(u8),
    /// The end of the text.
    End,
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A message stays readable where the text is garbage. Words and numbers are ASCII, strings may be cut inside a character.
        let short = |text: &str| text.chars().take(60).collect::<String>();
        match self {
            Token::Word(text) | Token::Number(text) => write!(f, "`{}`", short(text)),
            Token::Dot(text) => write!(f, "`.{}`", short(text)),
            Token::Text(text) => write!(f, "\"{}\"", short(text)),
            Token::Sign(sign) => write!(f, "`{}`", char::from(*sign)),
            Token::End => write!(f, "the end of the text"),
        }
    }
}

/// Reads tokens from a text.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

/// Whether a name may go on with `byte`.
fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'%')
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`.
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The byte `ahead` of the current one, 0 past the end.
    fn byte(&self, ahead: usize) -> u8 {
        *self.text.as_bytes().get(self.at + ahead).unwrap_or(&0)
    }

    /// The next token and the line where it begins, or what is wrong on that line.
    pub(super) fn next(&mut self) -> Result<(Token<'a>, u32), (String, u32)> {
        self.skip_space()?;
        let (start, line) = (self.at, self.line);
        if start >= self.text.len() {
            return Ok((Token::End, line));
        }
        let token = match self.byte(0) {
            byte if byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$' | b'%') => {
                self.at += 1;
                self.skip_name(true);
                Token::Word(&self.text[start..self.at])
            }
            b'.' if self.byte(1).is_ascii_alphabetic() || self.byte(1) == b'_' => {
                self.at += 1;
                self.skip_name(false);
                Token::Dot(&self.text[start + 1..self.at])
            }
            byte if byte.is_ascii_digit() || (byte == b'.' && self.byte(1).is_ascii_digit()) => {
                self.skip_number();
                Token::Number(&self.text[start..self.at])
            }
            b'"' => Token::Text(self.string()?),
            sign @ (b',' | b';' | b':' | b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'<' | b'>'
            | b'=' | b'+' | b'-' | b'|' | b'@' | b'!') => {
                self.at += 1;
                Token::Sign(sign)
            }
            _ => {
                let found = self.text[start..].chars().next().unwrap_or('\0');
                return Err((
                    format!("a character that has no place in PTX: {found:?}"),
                    line,
                ));
            }
        };
        Ok((token, line))
    }

    /// Passes white space and comments.
    fn skip_space(&mut self) -> Result<(), (String, u32)> {
        loop {
            match self.byte(0) {
                b'\n' => {
                    self.line = self.line.saturating_add(1);
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'/' if self.byte(1) == b'/' => {
                    let rest = &self.text.as_bytes()[self.at..];
                    self.at += rest
                        .iter()
                        .position(|&byte| byte == b'\n')
                        .unwrap_or(rest.len());
                }
                b'/' if self.byte(1) == b'*' => {
                    let rest = &self.text[self.at + 2..];
                    let Some(length) = rest.find("*/") else {
                        return Err(("a comment without its end".to_string(), self.line));
                    };
                    let lines = rest.as_bytes()[..length]
                        .iter()
                        .filter(|&&byte| byte == b'\n')
                        .count();
                    self.line = self
                        .line
                        .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
                    self.at += length + 4;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Passes the rest of a name. Parts joined by `::` belong to it, and with `dots` also those joined by a dot.
    fn skip_name(&mut self, dots: bool) {
        loop {
            if in_name(self.byte(0)) {
                self.at += 1;
            } else if self.byte(0) == b':' && self.byte(1) == b':' && in_name(self.byte(2)) {
                self.at += 3;
            } else if dots && self.byte(0) == b'.' && in_name(self.byte(1)) {
                self.at += 2;
            } else {
                return;
            }
        }
    }

    /// Passes a number of any kind. Whether it is a good one is found where it is used.
    fn skip_number(&mut self) {
        let prefixed = self.byte(0) == b'0'
            && self.byte(1).is_ascii_alphabetic()
            && !matches!(self.byte(1), b'e' | b'E');
        let mut last = 0;
        loop {
            let byte = self.byte(0);
            let exponent = !prefixed && matches!(byte, b'+' | b'-') && matches!(last, b'e' | b'E');
            if !(byte.is_ascii_alphanumeric() || byte == b'.' || exponent) {
                return;
            }
            last = byte;
            self.at += 1;
        }
    }

    /// Passes a string and gives what is between its quotes.
    fn string(&mut self) -> Result<&'a str, (String, u32)> {
        let start = self.at + 1;
        self.at = start;
        loop {
            match self.byte(0) {
                b'"' => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                b'\\' if self.byte(1) == b'"' || self.byte(1) == b'\\' => self.at += 2,
                b'\n' => break,
                _ if self.at >= self.text.len() => break,
                _ => self.at += 1,
            }
        }
        Err(("a string without its closing quote".to_string(), self.line))
    }
}
