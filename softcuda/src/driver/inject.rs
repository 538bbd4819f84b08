//! Calls that fail on purpose, so that a program's handling of errors can be tested: `launch:120=719,init=803`.

use super::codes::Code;

/// Kinds of call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `cuInit`
    Init,
    /// Every way to get device or page-locked memory.
    Alloc,
    /// Every way to give it back.
    Free,
    /// Copies and fills.
    Copy,
    /// Kernels and graphs.
    Launch,
    /// Waiting for a stream, an event or a context.
    Sync,
    /// Loading a module.
    Module,
    /// Making a stream or an event.
    Create,
}

const NAMES: [(&str, Call); 8] = [
    ("init", Call::Init),
    ("alloc", Call::Alloc),
    ("free", Call::Free),
    ("copy", Call::Copy),
    ("launch", Call::Launch),
    ("sync", Call::Sync),
    ("module", Call::Module),
    ("create", Call::Create),
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    call: Call,
    /// Which such call fails, from 1; 0: every one.
    which: u64,
    code: Code,
    met: u64,
}

/// The failures that are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failures {
    rules: Vec<Rule>,
}

impl Failures {
    /// Reads `call:n=code`, or `call=code` for every such call, separated by commas. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Failures, String> {
        let mut rules = Vec::new();
        for rule in text
            .split(',')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
        {
            let (call, code) = rule
                .split_once('=')
                .ok_or_else(|| format!("`{rule}` has no `=code`"))?;
            let (call, which) = match call.split_once(':') {
                Some((call, which)) => (call, which.parse().ok().filter(|&which| which > 0)),
                None => (call, Some(0)),
            };
            let which = which.ok_or_else(|| format!("`{rule}`: calls are counted from 1"))?;
            let call = NAMES
                .iter()
                .find(|(name, _)| *name == call)
                .map(|&(_, call)| call);
            let names = NAMES.map(|(name, _)| name).join(", ");
            let call = call.ok_or_else(|| format!("`{rule}` names none of {names}"))?;
            let code = code
                .parse()
                .ok()
                .filter(|&code| code > 0)
                .ok_or_else(|| format!("`{rule}`: no result code"))?;
            rules.push(Rule {
                call,
                which,
                code: Code(code),
                met: 0,
            });
        }
        Ok(Failures { rules })
    }

    /// Counts one call and fails it if a rule says so.
    pub fn check(&mut self, call: Call) -> Result<(), Code> {
        let mut failure = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.call == call) {
            rule.met += 1;
            if rule.which == 0 || rule.which == rule.met {
                failure = Some(rule.code);
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_call_fails() {
        let mut failures = Failures::parse("launch:2=719, alloc:1=2,init=803").unwrap();
        assert_eq!(failures.check(Call::Launch), Ok(()));
        assert_eq!(failures.check(Call::Alloc), Err(Code::OUT_OF_MEMORY));
        assert_eq!(failures.check(Call::Alloc), Ok(()));
        assert_eq!(failures.check(Call::Launch), Err(Code::LAUNCH_FAILED));
        assert_eq!(failures.check(Call::Launch), Ok(()));
        assert_eq!(failures.check(Call::Init), Err(Code(803)));
        assert_eq!(failures.check(Call::Init), Err(Code(803)));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "launch",
            "launch:0=1",
            "launch:x=1",
            "fly:1=1",
            "launch:1=0",
            "launch:1=x",
        ] {
            assert!(Failures::parse(text).is_err(), "{text}");
        }
    }
}
