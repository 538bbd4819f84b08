//! From PTX text to [`Module`]: recursive descent over the lexer's tokens, one token ahead. What is not known is refused, with
//! its line; where the language allows more than compilers write (constant expressions, texture types), so is that.
//!
//! Text may come from anywhere: nesting is bounded, and nothing is allocated for a number that the text merely names.

use super::ast::*;
use super::lexer::{Lexer, Token};

/// Why a text is not a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: {message}")]
pub struct ParseError {
    /// Line in the text, from 1.
    pub line: u32,
    /// What was expected and what was found.
    pub message: String,
}

/// Blocks within blocks.
const MAX_DEPTH: u32 = 128;
/// Registers that one `name<n>` may declare.
const MAX_REGISTERS: u64 = 1 << 20;
/// Bytes of one variable: far above any device's memory, far below where sums of sizes overflow.
const MAX_BYTES: u64 = 1 << 44;
/// Elements that nested initialisers of a module may leave out before elements that they give.
const MAX_PADDING: u64 = 1 << 20;
/// Dimensions of an array, and operands within operands.
const MAX_NESTING: usize = 8;

/// Reads a module.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    let mut parser = Parser::new(text);
    parser.advance()?;
    parser.module()
}

/// Reads `.version` and `.target` alone: what follows may be newer than this parser.
pub fn head(text: &str) -> Result<Module, ParseError> {
    let mut parser = Parser::new(text);
    parser.advance()?;
    parser.beginning()
}

type Result<T, E = ParseError> = std::result::Result<T, E>;

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token not yet consumed.
    token: Token<'a>,
    /// Its line.
    line: u32,
    /// The last `.loc` of the function at hand.
    location: Location,
    /// Elements filled in so far where nested initialisers left them out.
    padding: u64,
}

/// An error on a given line.
fn error<T>(line: u32, message: impl Into<String>) -> Result<T> {
    Err(ParseError {
        line,
        message: message.into(),
    })
}

// Tokens.
impl<'a> Parser<'a> {
    /// Consumes the token at hand and gives it.
    fn advance(&mut self) -> Result<Token<'a>> {
        match self.lexer.next() {
            Ok((token, line)) => {
                self.line = line;
                Ok(std::mem::replace(&mut self.token, token))
            }
            Err((message, line)) => error(line, message),
        }
    }

    fn expected<T>(&self, what: &str) -> Result<T> {
        error(self.line, format!("expected {what}, found {}", self.token))
    }

    /// Consumes `sign` if it is at hand.
    fn accept(&mut self, sign: u8) -> Result<bool> {
        let found = self.token == Token::Sign(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, sign: u8, after: &str) -> Result<()> {
        if self.accept(sign)? {
            Ok(())
        } else {
            self.expected(&format!("`{}` {after}", char::from(sign)))
        }
    }

    /// Consumes the directive `name` if it is at hand.
    fn accept_dot(&mut self, name: &str) -> Result<bool> {
        let found = self.token == Token::Dot(name);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn word(&mut self, what: &str) -> Result<&'a str> {
        match self.token {
            Token::Word(word) => {
                self.advance()?;
                Ok(word)
            }
            _ => self.expected(what),
        }
    }

    /// A name being declared: it has no parts.
    fn new_name(&mut self, what: &str) -> Result<String> {
        match self.token {
            Token::Word(word) if !word.contains(['.', ':']) => {
                self.advance()?;
                Ok(word.to_string())
            }
            _ => self.expected(what),
        }
    }

    fn integer(&mut self, what: &str) -> Result<u64> {
        let line = self.line;
        match self.token {
            Token::Number(text) => match number(text) {
                Some(Number::Int(value)) => {
                    self.advance()?;
                    Ok(value)
                }
                Some(_) => self.expected(what),
                None => error(line, bad_number(text)),
            },
            _ => self.expected(what),
        }
    }

    fn small(&mut self, what: &str) -> Result<u32> {
        let line = self.line;
        let value = self.integer(what)?;
        u32::try_from(value)
            .or_else(|_| error(line, format!("{what} does not fit 32 bits: {value}")))
    }

    /// `+ n` as often as it comes, `n` itself possibly with a minus: what is added to an address.
    fn offset(&mut self) -> Result<i64> {
        let mut sum = 0i64;
        while self.accept(b'+')? {
            let negative = self.accept(b'-')?;
            let value = self.integer("a number of bytes")? as i64;
            sum = sum.wrapping_add(if negative {
                value.wrapping_neg()
            } else {
                value
            });
        }
        Ok(sum)
    }
}

/// A number as written.
enum Number {
    Int(u64),
    F32(u32),
    F64(u64),
}

/// The value of a literal; none where it is malformed or does not fit.
fn number(text: &str) -> Option<Number> {
    let digits = |text: &str, radix: u32| {
        let text = text.strip_suffix('U').unwrap_or(text);
        // A leading plus is no digit, though the standard library takes one.
        (!text.starts_with('+'))
            .then(|| u64::from_str_radix(text, radix).ok())
            .flatten()
            .map(Number::Int)
    };
    let hex_bits = |text: &str, width: usize| {
        (text.len() == width)
            .then(|| u64::from_str_radix(text, 16).ok())
            .flatten()
    };
    match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => digits(&text[2..], 16),
        [b'0', b'f' | b'F', ..] => hex_bits(&text[2..], 8).map(|bits| Number::F32(bits as u32)),
        [b'0', b'd' | b'D', ..] => hex_bits(&text[2..], 16).map(Number::F64),
        [b'0', b'b' | b'B', ..] => digits(&text[2..], 2),
        _ if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => {
            let plain = text.bytes().all(|byte| {
                byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')
            });
            let value = plain.then(|| text.parse::<f64>().ok()).flatten()?;
            value.is_finite().then_some(Number::F64(value.to_bits()))
        }
        [b'0', _, ..] if text != "0U" => digits(&text[1..], 8),
        _ => digits(text, 10),
    }
}

fn bad_number(text: &str) -> String {
    let text = Token::Number(text);
    format!("not a number of PTX, or one that does not fit 64 bits: {text}")
}

/// What a declaration says before its name.
struct Head {
    space: Space,
    linkage: Linkage,
    align: Option<u64>,
    width: u32,
    ty: Type,
    line: u32,
}

// Declarations.
impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        Parser {
            lexer: Lexer::new(text),
            token: Token::End,
            line: 1,
            location: Location::default(),
            padding: 0,
        }
    }

    /// What every module begins with.
    fn beginning(&mut self) -> Result<Module> {
        let mut module = Module::default();
        if !self.accept_dot("version")? {
            return self.expected("`.version`");
        }
        module.version = self.version()?;
        if !self.accept_dot("target")? {
            return self.expected("`.target`");
        }
        (module.target, module.sm) = self.target()?;
        Ok(module)
    }

    fn module(mut self) -> Result<Module> {
        let mut module = self.beginning()?;
        if self.accept_dot("address_size")? {
            let line = self.line;
            if self.integer("64")? != 64 {
                return error(line, "only addresses of 64 bits are known");
            }
        }
        while self.token != Token::End {
            self.top_level(&mut module)?;
        }
        Ok(module)
    }

    fn version(&mut self) -> Result<(u32, u32)> {
        let Token::Number(text) = self.token else {
            return self.expected("a version such as 8.0");
        };
        let parts = text
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let Some(version) = parts else {
            return self.expected("a version such as 8.0");
        };
        self.advance()?;
        Ok(version)
    }

    fn target(&mut self) -> Result<(String, u32)> {
        const WHAT: &str = "an architecture such as sm_80";
        let line = self.line;
        let name = self.word(WHAT)?;
        let number = name
            .strip_prefix("sm_")
            .map(|rest| rest.strip_suffix(['a', 'f']).unwrap_or(rest));
        let Some(sm) = number.and_then(|digits| digits.parse().ok()) else {
            return error(
                line,
                format!("expected {WHAT}, found {}", Token::Word(name)),
            );
        };
        while self.accept(b',')? {
            let line = self.line;
            let option = self.word("an option of the target")?;
            if !matches!(option, "debug" | "texmode_independent" | "texmode_unified") {
                return error(
                    line,
                    format!(
                        "an option of the target that is not known: {}",
                        Token::Word(option)
                    ),
                );
            }
        }
        Ok((name.to_string(), sm))
    }

    fn top_level(&mut self, module: &mut Module) -> Result<()> {
        let line = self.line;
        let linkage = self.linkage()?;
        let Token::Dot(name) = self.token else {
            return self.expected("a directive");
        };
        let bare = linkage == Linkage::Local;
        match name {
            "entry" | "func" => {
                self.advance()?;
                let function = self.function(name == "entry", linkage, line)?;
                module.functions.push(function);
                Ok(())
            }
            "global" | "const" | "shared" => self.variables(linkage, line, &mut module.variables),
            "file" if bare => {
                self.advance()?;
                let index = self.small("the index of a file")?;
                let Token::Text(path) = self.token else {
                    return self.expected("the path of a file");
                };
                self.advance()?;
                module.files.push((index, path.to_string()));
                // Time and size of the file.
                while self.accept(b',')? {
                    self.integer("a number")?;
                }
                Ok(())
            }
            "section" if bare => self.section(),
            "pragma" if bare => self.pragma(),
            "alias" if bare => {
                self.advance()?;
                let alias = self.new_name("a function's other name")?;
                self.expect(b',', "after the other name")?;
                let function = self.new_name("a function")?;
                self.expect(b';', "after `.alias`")?;
                module.aliases.push((alias, function));
                Ok(())
            }
            _ if bare => self.expected("a directive of module scope"),
            _ => self.expected("a function or variable after its linkage"),
        }
    }

    fn linkage(&mut self) -> Result<Linkage> {
        let linkage = match self.token {
            Token::Dot("visible") => Linkage::Visible,
            Token::Dot("extern") => Linkage::Extern,
            Token::Dot("weak") => Linkage::Weak,
            Token::Dot("common") => Linkage::Common,
            _ => return Ok(Linkage::Local),
        };
        self.advance()?;
        Ok(linkage)
    }

    /// `.section name { ... }`: debugging data, passed over.
    fn section(&mut self) -> Result<()> {
        let line = self.line;
        self.advance()?;
        match self.token {
            Token::Dot(_) | Token::Word(_) => self.advance()?,
            _ => return self.expected("the name of a section"),
        };
        self.expect(b'{', "before the section's data")?;
        loop {
            match self.advance()? {
                Token::Sign(b'}') => return Ok(()),
                Token::Sign(b'{') => return error(line, "a section with braces inside"),
                Token::End => return error(line, "a section without its end"),
                _ => {}
            }
        }
    }

    /// `.pragma "a", "b";`: advice to ptxas, which changes no result.
    fn pragma(&mut self) -> Result<()> {
        self.advance()?;
        loop {
            match self.token {
                Token::Text(_) => self.advance()?,
                _ => return self.expected("a string"),
            };
            if !self.accept(b',')? {
                return self.expect(b';', "after `.pragma`");
            }
        }
    }

    /// `.attribute(.managed)`, `.attribute(.unified(1, 2))`: where the driver puts a variable; all memory here is alike.
    fn attribute(&mut self) -> Result<()> {
        self.expect(b'(', "after `.attribute`")?;
        loop {
            if self.accept_dot("unified")? {
                self.expect(b'(', "after `.unified`")?;
                self.integer("half of an identifier")?;
                self.expect(b',', "between the halves of an identifier")?;
                self.integer("half of an identifier")?;
                self.expect(b')', "after an identifier")?;
            } else if !self.accept_dot("managed")? {
                return self.expected("`.managed` or `.unified`");
            }
            if !self.accept(b',')? {
                return self.expect(b')', "after an attribute");
            }
        }
    }

    /// A function after `.entry` or `.func`.
    fn function(&mut self, entry: bool, linkage: Linkage, line: u32) -> Result<Function> {
        if !entry && self.accept_dot("attribute")? {
            self.attribute()?;
        }
        let results = match self.token {
            Token::Sign(b'(') if !entry => self.params()?,
            _ => Vec::new(),
        };
        let name = self.new_name("the function's name")?;
        let params = match self.token {
            Token::Sign(b'(') => self.params()?,
            _ => Vec::new(),
        };
        let mut function = Function {
            name,
            entry,
            linkage,
            results,
            params,
            limits: Limits::default(),
            body: None,
            line,
        };
        loop {
            match self.token {
                Token::Dot("pragma") => self.pragma()?,
                Token::Dot(directive) => {
                    if !self.function_directive(directive, &mut function)? {
                        return self.expected("a directive of a function, its body, or `;`");
                    }
                }
                Token::Sign(b';') => {
                    self.advance()?;
                    return Ok(function);
                }
                Token::Sign(b'{') => {
                    self.location = Location::default();
                    self.advance()?;
                    function.body = Some(self.statements(1)?);
                    return Ok(function);
                }
                _ => return self.expected("the function's body or `;`"),
            }
        }
    }

    /// One directive between parameters and body; false where it is not one.
    fn function_directive(&mut self, directive: &str, function: &mut Function) -> Result<bool> {
        let limits = &mut function.limits;
        match directive {
            "noreturn" if !function.entry => {
                self.advance()?;
            }
            _ if !function.entry => return Ok(false),
            "maxntid" => limits.max_threads = Some(self.three()?),
            "reqntid" => limits.required_threads = Some(self.three()?),
            "minnctapersm" => limits.min_blocks = Some(self.one()?),
            "maxnreg" => limits.max_registers = Some(self.one()?),
            "reqnctapercluster" => limits.required_cluster = Some(self.three()?),
            // Upper bounds of what a launch may ask for; a launch that asks for clusters meets the device's own limits.
            "maxnctapersm" | "maxclusterrank" => {
                self.one()?;
            }
            // Says that a cluster's size is given, by a directive or by the launch.
            "explicitcluster" => {
                self.advance()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A directive's single number.
    fn one(&mut self) -> Result<u32> {
        self.advance()?;
        self.small("a number")
    }

    /// A directive's one to three numbers; those left out are 1.
    fn three(&mut self) -> Result<[u32; 3]> {
        let mut numbers = [self.one()?, 1, 1];
        for number in &mut numbers[1..] {
            if !self.accept(b',')? {
                break;
            }
            *number = self.small("a number")?;
        }
        Ok(numbers)
    }

    /// `(.param .u32 a, .param .align 8 .b8 b[16])`
    fn params(&mut self) -> Result<Vec<Variable>> {
        self.expect(b'(', "before parameters")?;
        let mut params = Vec::new();
        if self.accept(b')')? {
            return Ok(params);
        }
        loop {
            let line = self.line;
            if !self.accept_dot("param")? {
                return self.expected("`.param`");
            }
            let head = self.head(Space::Param, Linkage::Local, line)?;
            params.push(self.declarator(&head)?);
            if !self.accept(b',')? {
                break;
            }
        }
        self.expect(b')', "after parameters")?;
        Ok(params)
    }

    /// `.global .align 4 .b8 a[4] = {1, 2}, b;`, from the space on.
    fn variables(&mut self, linkage: Linkage, line: u32, into: &mut Vec<Variable>) -> Result<()> {
        let space = match self.token {
            Token::Dot("global") => Space::Global,
            Token::Dot("const") => Space::Const,
            Token::Dot("shared") => Space::Shared,
            Token::Dot("local") => Space::Local,
            Token::Dot("param") => Space::Param,
            _ => return self.expected("a state space"),
        };
        self.advance()?;
        let head = self.head(space, linkage, line)?;
        loop {
            let variable = self.declarator(&head)?;
            into.push(variable);
            if !self.accept(b',')? {
                return self.expect(b';', "after a declaration");
            }
        }
    }

    /// Everything of a declaration between its space and its name.
    fn head(&mut self, space: Space, linkage: Linkage, line: u32) -> Result<Head> {
        let (mut align, mut width, mut ty) = (None, 1, None);
        while let Token::Dot(name) = self.token {
            let here = self.line;
            match name {
                "align" => {
                    self.advance()?;
                    align = Some(self.alignment()?);
                }
                "attribute" => {
                    self.advance()?;
                    self.attribute()?;
                }
                "v2" | "v4" if width == 1 && ty.is_none() => {
                    self.advance()?;
                    width = if name == "v2" { 2 } else { 4 };
                }
                // `.ptr .global .align 16`: what a parameter points to. A promise, which gives the parameter itself nothing.
                "ptr" if space == Space::Param && ty.is_some() => {
                    self.advance()?;
                    for pointee in ["global", "const", "shared", "local", "generic"] {
                        if self.accept_dot(pointee)? {
                            break;
                        }
                    }
                    if self.accept_dot("align")? {
                        self.alignment()?;
                    }
                }
                _ => match Type::parse(name) {
                    Some(Type::Pred) => return error(here, "a predicate lives in a register only"),
                    Some(found) if ty.is_none() => {
                        self.advance()?;
                        ty = Some(found);
                    }
                    _ => return self.expected(if ty.is_none() { "a type" } else { "a name" }),
                },
            }
        }
        let Some(ty) = ty else {
            return self.expected("a type");
        };
        Ok(Head {
            space,
            linkage,
            align,
            width,
            ty,
            line,
        })
    }

    fn alignment(&mut self) -> Result<u64> {
        let line = self.line;
        let align = self.integer("an alignment")?;
        if align.is_power_of_two() && align <= 1 << 20 {
            Ok(align)
        } else {
            error(
                line,
                format!("expected an alignment that is a power of two, found {align}"),
            )
        }
    }

    /// A declaration's name, dimensions and initial value.
    fn declarator(&mut self, head: &Head) -> Result<Variable> {
        let line = self.line;
        let name = self.new_name("a variable's name")?;
        // The outermost first; 0 where it is left open.
        let mut dims: Vec<u64> = Vec::new();
        while self.accept(b'[')? {
            if dims.len() == MAX_NESTING {
                return error(
                    line,
                    format!("an array of more than {MAX_NESTING} dimensions"),
                );
            }
            let open = self.token == Token::Sign(b']') && dims.is_empty();
            let here = self.line;
            let size = if open {
                0
            } else {
                self.integer("the size of an array")?
            };
            if size == 0 && !open {
                return error(here, "an array of no elements");
            }
            dims.push(size);
            self.expect(b']', "after the size of an array")?;
        }
        if head.width > 1 {
            dims.push(head.width.into());
        }
        // Elements of one step in each dimension: the product of those further in.
        let open = dims.first() == Some(&0);
        let inner = &dims[usize::from(open)..];
        let product = inner
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size));
        let elements = match product.filter(|elements| *elements <= MAX_BYTES / head.ty.bytes()) {
            Some(elements) => elements,
            None => {
                return error(
                    line,
                    format!("{} is larger than any memory", Token::Word(&name)),
                );
            }
        };
        let mut init = Vec::new();
        let mut rows = 0;
        if self.token == Token::Sign(b'=') {
            if !matches!(head.space, Space::Global | Space::Const)
                || head.linkage == Linkage::Extern
            {
                return error(
                    self.line,
                    "only variables in .global and .const have initial values, and no .extern ones",
                );
            }
            self.advance()?;
            rows = self.initialiser(&dims, 0, head.ty, &mut init)?;
        } else if open && head.linkage != Linkage::Extern && head.space != Space::Param {
            return error(
                line,
                format!(
                    "the size of {} is left open, and it is neither .extern nor has values",
                    Token::Word(&name)
                ),
            );
        }
        let count = if open {
            rows.saturating_mul(elements)
        } else {
            elements
        };
        if count > MAX_BYTES / head.ty.bytes() {
            return error(
                line,
                format!("{} is larger than any memory", Token::Word(&name)),
            );
        }
        let natural = head.ty.bytes() * u64::from(head.width);
        Ok(Variable {
            name,
            space: head.space,
            align: head.align.unwrap_or(natural),
            ty: head.ty,
            count,
            init,
            linkage: head.linkage,
            line: head.line,
        })
    }

    /// The values of one dimension and all within it, from element `start` on; gives how many this dimension has. Each
    /// dimension has its own braces.
    fn initialiser(
        &mut self,
        dims: &[u64],
        start: u64,
        ty: Type,
        into: &mut Vec<Init>,
    ) -> Result<u64> {
        let Some((&size, inner)) = dims.split_first() else {
            // A row before this one may have said less than its elements.
            let missing = start.saturating_sub(into.len() as u64);
            self.padding = self.padding.saturating_add(missing);
            if self.padding > MAX_PADDING {
                return error(self.line, "an initial value far behind the one before it");
            }
            // At most MAX_PADDING further than what is there, so it fits.
            let zero = if ty.float() {
                Init::Float(0.0)
            } else {
                Init::Int(0)
            };
            into.resize(start as usize, zero);
            let value = self.initial_value(ty)?;
            into.push(value);
            return Ok(1);
        };
        self.expect(b'{', "before the values of an array")?;
        let step: u64 = inner.iter().product();
        let mut index = 0;
        if self.accept(b'}')? {
            return Ok(0);
        }
        loop {
            // An open dimension takes what comes.
            if size != 0 && index == size {
                return error(
                    self.line,
                    format!("more than {size} values for an array of {size}"),
                );
            }
            self.initialiser(
                inner,
                start.saturating_add(step.saturating_mul(index)),
                ty,
                into,
            )?;
            index += 1;
            if !self.accept(b',')? {
                self.expect(b'}', "after the values of an array")?;
                return Ok(index);
            }
        }
    }

    /// `5`, `-1`, `0f3F800000`, `1.5`, `name`, `name+4`, `generic(name)+4`
    fn initial_value(&mut self, ty: Type) -> Result<Init> {
        let line = self.line;
        if let Token::Word(name) = self.token {
            if ty.float() {
                return self.expected("a floating-point number");
            }
            self.advance()?;
            let generic = name == "generic" && self.accept(b'(')?;
            let name = if generic {
                let name = self.word("a variable")?;
                self.expect(b')', "after a variable")?;
                name
            } else {
                name
            };
            let offset = self.offset()?;
            return Ok(Init::Address {
                name: name.to_string(),
                offset,
            });
        }
        match self.literal("an initial value")? {
            Operand::Int(_) if ty.float() => error(
                line,
                "an integer as the initial value of a floating-point variable",
            ),
            Operand::Int(value) => Ok(Init::Int(value)),
            Operand::F32(bits) => Ok(Init::Float(widen(bits))),
            Operand::F64(bits) => Ok(Init::Float(f64::from_bits(bits))),
            other => error(line, format!("not an initial value: {other:?}")),
        }
    }
}

/// f32 bits as f64, a NaN's payload and kind kept.
fn widen(bits: u32) -> f64 {
    let value = f32::from_bits(bits);
    if value.is_nan() {
        let sign = u64::from(bits >> 31) << 63;
        f64::from_bits(sign | 0x7ff0_0000_0000_0000 | u64::from(bits & 0x007f_ffff) << 29)
    } else {
        value.into()
    }
}

// Statements.
impl<'a> Parser<'a> {
    /// Statements up to the closing brace, which is consumed.
    fn statements(&mut self, depth: u32) -> Result<Vec<Statement>> {
        if depth > MAX_DEPTH {
            return error(
                self.line,
                format!("blocks nested more than {MAX_DEPTH} deep"),
            );
        }
        let mut statements = Vec::new();
        loop {
            let line = self.line;
            match self.token {
                Token::Sign(b'}') => {
                    self.advance()?;
                    return Ok(statements);
                }
                Token::Sign(b'{') => {
                    self.advance()?;
                    statements.push(Statement::Block(self.statements(depth + 1)?));
                }
                Token::Sign(b'@') => {
                    let guard = self.guard()?;
                    let opcode = self.word("an instruction")?;
                    let instruction = self.instruction(line, Some(guard), opcode)?;
                    statements.push(Statement::Instruction(instruction));
                }
                Token::Word(word) => {
                    self.advance()?;
                    if self.token == Token::Sign(b':') {
                        if word.contains(['.', ':']) {
                            return error(
                                line,
                                format!("expected a label, found {}", Token::Word(word)),
                            );
                        }
                        self.advance()?;
                        self.labelled(word, &mut statements)?;
                    } else {
                        let instruction = self.instruction(line, None, word)?;
                        statements.push(Statement::Instruction(instruction));
                    }
                }
                Token::Dot(directive) => self.directive(directive, line, &mut statements)?,
                _ => return self.expected("a statement or `}`"),
            }
        }
    }

    /// `@p` or `@!p`
    fn guard(&mut self) -> Result<Guard> {
        self.advance()?;
        let negated = self.accept(b'!')?;
        let name = self.word("a predicate")?.to_string();
        Ok(Guard { name, negated })
    }

    /// What follows `name:`, a label or the name of a list.
    fn labelled(&mut self, name: &str, statements: &mut Vec<Statement>) -> Result<()> {
        match self.token {
            Token::Dot("branchtargets") => {
                let labels = self.names("a label")?;
                statements.push(Statement::BranchTargets {
                    name: name.to_string(),
                    labels,
                });
            }
            // Who may be called through a pointer, and with what: a call finds both in the function that it reaches.
            Token::Dot("calltargets") => {
                self.names("a function")?;
            }
            Token::Dot("callprototype") => {
                self.advance()?;
                if self.token == Token::Sign(b'(') {
                    self.params()?;
                }
                if self.word("`_`")? != "_" {
                    return self.expected("`_` in place of the function's name");
                }
                if self.token == Token::Sign(b'(') {
                    self.params()?;
                }
                self.accept_dot("noreturn")?;
                self.expect(b';', "after a prototype")?;
            }
            _ => statements.push(Statement::Label(name.to_string())),
        }
        Ok(())
    }

    /// A directive's list of names: `.branchtargets a, b;`
    fn names(&mut self, what: &str) -> Result<Vec<String>> {
        self.advance()?;
        let mut names = Vec::new();
        loop {
            names.push(self.new_name(what)?);
            if !self.accept(b',')? {
                self.expect(b';', "after a list")?;
                return Ok(names);
            }
        }
    }

    /// A directive inside a body.
    fn directive(
        &mut self,
        directive: &str,
        line: u32,
        statements: &mut Vec<Statement>,
    ) -> Result<()> {
        match directive {
            "reg" => statements.push(self.registers(line)?),
            "local" | "shared" | "param" | "global" | "const" => {
                let mut variables = Vec::new();
                self.variables(Linkage::Local, line, &mut variables)?;
                statements.extend(variables.into_iter().map(Statement::Variable));
            }
            "loc" => self.location()?,
            "pragma" => self.pragma()?,
            _ => return self.expected("a statement"),
        }
        Ok(())
    }

    /// `.reg .b32 %r<6>;` `.reg .pred p, q;` `.reg .v4 .f32 v;`
    fn registers(&mut self, line: u32) -> Result<Statement> {
        self.advance()?;
        let width = match self.token {
            Token::Dot("v2") => 2,
            Token::Dot("v4") => 4,
            _ => 1,
        };
        if width > 1 {
            self.advance()?;
        }
        let ty = match self.token {
            Token::Dot(name) => Type::parse(name),
            _ => None,
        };
        let Some(ty) = ty else {
            return self.expected("a register's type");
        };
        self.advance()?;
        let mut names = Vec::new();
        loop {
            let name = self.new_name("a register's name")?;
            let count = if self.accept(b'<')? {
                let here = self.line;
                let count = self.integer("a number of registers")?;
                if count > MAX_REGISTERS {
                    return error(
                        here,
                        format!(
                            "{count} registers; at most {MAX_REGISTERS} can be declared at once"
                        ),
                    );
                }
                self.expect(b'>', "after a number of registers")?;
                Some(count as u32)
            } else {
                None
            };
            names.push((name, count));
            if !self.accept(b',')? {
                break;
            }
        }
        self.expect(b';', "after registers")?;
        Ok(Statement::Registers {
            ty,
            width,
            names,
            line,
        })
    }

    /// `.loc 1 7 29, function_name $L__info_string0+4, inlined_at 1 19 3`.
    fn location(&mut self) -> Result<()> {
        self.advance()?;
        let file = self.small("the index of a file")?;
        let line = self.small("a line")?;
        self.small("a column")?;
        let mut inlined_at = (0, 0);
        while self.accept(b',')? {
            let here = self.line;
            match self.word("`function_name` or `inlined_at`")? {
                "function_name" => {
                    self.word("a label")?;
                    self.offset()?;
                }
                "inlined_at" => {
                    inlined_at = (self.small("the index of a file")?, self.small("a line")?);
                    self.small("a column")?;
                }
                other => {
                    return error(
                        here,
                        format!(
                            "expected `function_name` or `inlined_at`, found {}",
                            Token::Word(other)
                        ),
                    );
                }
            }
        }
        self.location = Location {
            file,
            line,
            inlined_at,
        };
        Ok(())
    }
}

// Instructions.
impl<'a> Parser<'a> {
    /// The rest of an instruction after the first word of its opcode.
    fn instruction(&mut self, line: u32, guard: Option<Guard>, word: &str) -> Result<Instruction> {
        if !word.starts_with(|first: char| first.is_ascii_lowercase()) || word.contains(['%', '$'])
        {
            return error(
                line,
                format!("expected an instruction, found {}", Token::Word(word)),
            );
        }
        let mut opcode = word.to_string();
        // Modifiers may stand apart: `ld .global .u32`.
        while let Token::Dot(modifier) = self.token {
            opcode.push('.');
            opcode.push_str(modifier);
            self.advance()?;
        }
        let mut operands = Vec::new();
        if self.token != Token::Sign(b';') {
            loop {
                operands.push(self.operand(0)?);
                if !self.accept(b',')? {
                    break;
                }
            }
        }
        self.expect(b';', "after an instruction")?;
        Ok(Instruction {
            line,
            location: self.location,
            guard,
            opcode,
            operands,
        })
    }

    fn operand(&mut self, depth: usize) -> Result<Operand> {
        if depth > MAX_NESTING {
            return error(self.line, "operands nested too deep");
        }
        let first = match self.token {
            Token::Word("WARP_SZ") => {
                self.advance()?;
                Operand::Int(32)
            }
            Token::Word("_") => {
                self.advance()?;
                Operand::Sink
            }
            Token::Word(name) => {
                self.advance()?;
                let name = name.to_string();
                if self.token == Token::Sign(b'+') {
                    let offset = self.offset()?;
                    Operand::Offset { name, offset }
                } else {
                    Operand::Name(name)
                }
            }
            Token::Sign(b'!') => {
                self.advance()?;
                Operand::Not(self.word("a predicate")?.to_string())
            }
            Token::Sign(b'[') => self.address(depth)?,
            Token::Sign(b'{') => {
                self.advance()?;
                Operand::Vector(self.operands(b'}', "after the elements of a vector", depth)?)
            }
            Token::Sign(b'(') => {
                self.advance()?;
                Operand::Group(self.operands(
                    b')',
                    "after the results or arguments of a call",
                    depth,
                )?)
            }
            _ => self.literal("an operand")?,
        };
        if self.accept(b'|')? {
            let second = match self.token {
                Token::Word("_") => Operand::Sink,
                Token::Word(name) => Operand::Name(name.to_string()),
                _ => return self.expected("the second destination"),
            };
            self.advance()?;
            return Ok(Operand::Pair(Box::new(first), Box::new(second)));
        }
        Ok(first)
    }

    /// Operands up to `end`, possibly none.
    fn operands(&mut self, end: u8, after: &str, depth: usize) -> Result<Vec<Operand>> {
        let mut operands = Vec::new();
        if self.accept(end)? {
            return Ok(operands);
        }
        loop {
            operands.push(self.operand(depth + 1)?);
            if !self.accept(b',')? {
                self.expect(end, after)?;
                return Ok(operands);
            }
        }
    }

    /// `[%rd1+16]`, `[a]`, `[123]`, `[map, {%r1, %r2}]`
    fn address(&mut self, depth: usize) -> Result<Operand> {
        self.advance()?;
        let address = match self.token {
            Token::Word(name) => {
                self.advance()?;
                Operand::Address {
                    base: Some(name.to_string()),
                    offset: self.offset()?,
                }
            }
            _ => {
                let negative = self.accept(b'-')?;
                let value = self.integer("a register, a variable or a number")? as i64;
                let value = if negative {
                    value.wrapping_neg()
                } else {
                    value
                };
                Operand::Address {
                    base: None,
                    offset: value.wrapping_add(self.offset()?),
                }
            }
        };
        // A tensor or texture and where in it.
        if self.accept(b',')? {
            let coordinates = self.operand(depth + 1)?;
            self.expect(b']', "after coordinates")?;
            return Ok(Operand::Group(vec![address, coordinates]));
        }
        self.expect(b']', "after an address")?;
        Ok(address)
    }

    /// A number, possibly with a minus.
    fn literal(&mut self, what: &str) -> Result<Operand> {
        let line = self.line;
        let negative = self.accept(b'-')?;
        let Token::Number(text) = self.token else {
            return self.expected(if negative { "a number" } else { what });
        };
        let operand = match number(text) {
            Some(Number::Int(value)) => Operand::Int(if negative {
                value.wrapping_neg()
            } else {
                value
            }),
            Some(Number::F64(bits)) if text.starts_with("0d") || text.starts_with("0D") => {
                if negative {
                    return error(line, "a minus before the bits of a number");
                }
                Operand::F64(bits)
            }
            Some(Number::F64(bits)) => Operand::F64(if negative { bits ^ 1 << 63 } else { bits }),
            Some(Number::F32(_)) if negative => {
                return error(line, "a minus before the bits of a number");
            }
            Some(Number::F32(bits)) => Operand::F32(bits),
            None => return error(line, bad_number(text)),
        };
        self.advance()?;
        Ok(operand)
    }
}
