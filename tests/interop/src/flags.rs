//! A command line in the manner of Go's `flag` package, which gRPC's interop programs share:
//! one or two dashes, the value behind `=` or as the next argument, a switch alone means true.
//!
//! Called by [`client::Options`](crate::client::Options) and
//! [`server::Options`](crate::server::Options), each of which has a table of flags.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// One flag, which sets something in an `O`.
pub(crate) struct Flag<O> {
    name: &'static str,
    help: &'static str,
    kind: Kind<O>,
}

enum Kind<O> {
    /// Takes a value; what it answers to a wrong one says what is wrong with it.
    Value(fn(&mut O, &str) -> Result<(), String>),
    /// A boolean, whose value may be left out.
    Switch(fn(&mut O, bool)),
    /// A boolean of grpc-go's programs that can only be off here, for the reason `help` gives. Its
    /// value may be left out.
    SwitchNotSupported,
    /// A value of grpc-go's programs that can only be empty here, for the reason `help` gives.
    ValueNotSupported,
}

/// The command of a command line.
#[derive(Debug)]
pub enum Command<O> {
    /// To run with these options.
    Run(O),
    /// To print this text, and to do nothing else.
    Help(String),
}

/// An error in a command line.
#[derive(Debug, PartialEq, Eq)]
pub enum FlagError {
    /// An argument that belongs to no flag.
    NotAFlag(String),
    /// There is no flag of this name.
    Unknown(String),
    /// The command line ends before the flag's value.
    NoValue(&'static str),
    /// The flag's value is not of its type.
    BadValue {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// The description of the error.
        problem: String,
    },
    /// The flag exists, and what it asks for cannot be had.
    NotSupported {
        /// The flag.
        flag: &'static str,
        /// Why not.
        reason: String,
    },
}

impl<O> Flag<O> {
    /// A flag with a value: `--name=value`, `--name value`.
    pub(crate) const fn value(
        name: &'static str,
        help: &'static str,
        set: fn(&mut O, &str) -> Result<(), String>,
    ) -> Self {
        Self {
            name,
            help,
            kind: Kind::Value(set),
        }
    }

    /// A boolean: `--name`, `--name=true`, `--name false`.
    pub(crate) const fn switch(
        name: &'static str,
        help: &'static str,
        set: fn(&mut O, bool),
    ) -> Self {
        Self {
            name,
            help,
            kind: Kind::Switch(set),
        }
    }

    /// A boolean of grpc-go's (`--name`, `--name=true`, `--name false`) that is accepted when it is
    /// off.
    pub(crate) const fn switch_not_supported(name: &'static str, reason: &'static str) -> Self {
        Self {
            name,
            help: reason,
            kind: Kind::SwitchNotSupported,
        }
    }

    /// A value of grpc-go's that is accepted when it is empty.
    pub(crate) const fn value_not_supported(name: &'static str, reason: &'static str) -> Self {
        Self {
            name,
            help: reason,
            kind: Kind::ValueNotSupported,
        }
    }

    fn is_switch(&self) -> bool {
        matches!(self.kind, Kind::Switch(_) | Kind::SwitchNotSupported)
    }

    fn apply(&self, options: &mut O, value: &str) -> Result<(), FlagError> {
        let bad_value = |problem| FlagError::BadValue {
            flag: self.name,
            value: value.to_owned(),
            problem,
        };
        let not_a_boolean = || bad_value("neither true nor false".to_owned());
        let not_supported = || FlagError::NotSupported {
            flag: self.name,
            reason: self.help.to_owned(),
        };
        match self.kind {
            Kind::Value(set) => set(options, value).map_err(bad_value),
            Kind::Switch(set) => {
                set(options, boolean(value).ok_or_else(not_a_boolean)?);
                Ok(())
            }
            Kind::SwitchNotSupported => match boolean(value) {
                Some(false) => Ok(()),
                Some(true) => Err(not_supported()),
                None => Err(not_a_boolean()),
            },
            Kind::ValueNotSupported if value.is_empty() => Ok(()),
            Kind::ValueNotSupported => Err(not_supported()),
        }
    }
}

/// Reads a command line without the program's name, into `O`'s defaults.
pub(crate) fn parse<O: Default>(
    about: &str,
    flags: &[Flag<O>],
    arguments: impl IntoIterator<Item = String>,
) -> Result<Command<O>, FlagError> {
    let mut options = O::default();
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        let (name, value) = split(&argument)?;
        if matches!(name, "h" | "help") {
            return Ok(Command::Help(help(about, flags)));
        }
        let flag = flags
            .iter()
            .find(|flag| flag.name == name)
            .ok_or_else(|| FlagError::Unknown(name.to_owned()))?;
        let value = match value {
            Some(value) => value.to_owned(),
            // There are no arguments but flags, so a word that could be a switch's value is it.
            None if flag.is_switch() => arguments
                .next_if(|next| boolean(next).is_some())
                .unwrap_or_else(|| "true".to_owned()),
            None => arguments.next().ok_or(FlagError::NoValue(flag.name))?,
        };
        flag.apply(&mut options, &value)?;
    }
    Ok(Command::Run(options))
}

/// Sets `slot` to what `text` says, for a [`Flag::value`].
pub(crate) fn set<V: FromStr>(slot: &mut V, text: &str) -> Result<(), String>
where
    V::Err: fmt::Display,
{
    *slot = text.parse().map_err(|error: V::Err| error.to_string())?;
    Ok(())
}

/// Takes `-name`, `--name`, `-name=value` or `--name=value` apart.
fn split(argument: &str) -> Result<(&str, Option<&str>), FlagError> {
    let name = argument
        .strip_prefix("--")
        .or_else(|| argument.strip_prefix('-'))
        .filter(|name| !name.is_empty() && !name.starts_with(['-', '=']))
        .ok_or_else(|| FlagError::NotAFlag(argument.to_owned()))?;
    Ok(match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    })
}

/// The words that Go's `strconv.ParseBool` knows.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn help<O>(about: &str, flags: &[Flag<O>]) -> String {
    let mut text = format!("{about}\n\nFlags:\n");
    for flag in flags {
        let value = if flag.is_switch() { "" } else { " VALUE" };
        let not = match flag.kind {
            Kind::Value(_) | Kind::Switch(_) => "",
            Kind::SwitchNotSupported | Kind::ValueNotSupported => "not supported: ",
        };
        text += &format!("  --{}{value}\n        {not}{}\n", flag.name, flag.help);
    }
    text
}

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFlag(argument) => {
                write!(f, "{argument:?} is not a flag; --help lists the flags")
            }
            Self::Unknown(name) => write!(f, "unknown flag --{name}; --help lists the flags"),
            Self::NoValue(flag) => write!(f, "--{flag} needs a value"),
            Self::BadValue {
                flag,
                value,
                problem,
            } => write!(f, "--{flag}={value}: {problem}"),
            Self::NotSupported { flag, reason } => write!(f, "--{flag} is not supported: {reason}"),
        }
    }
}

impl Error for FlagError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Options {
        name: String,
        port: u16,
        tls: bool,
    }

    const FLAGS: &[Flag<Options>] = &[
        Flag::value("name", "a name", |options, text| {
            set(&mut options.name, text)
        }),
        Flag::value("port", "a port", |options, text| {
            set(&mut options.port, text)
        }),
        Flag::switch("tls", "whether", |options, on| options.tls = on),
        Flag::switch_not_supported("alts", "rgrpc has no ALTS"),
        Flag::value_not_supported("scope", "rgrpc has no OAuth"),
    ];

    fn run(line: &str) -> Result<Options, FlagError> {
        let arguments = line.split_whitespace().map(str::to_owned);
        match parse("About.", FLAGS, arguments)? {
            Command::Run(options) => Ok(options),
            Command::Help(text) => panic!("asked for help: {text}"),
        }
    }

    #[test]
    fn a_flag_has_one_dash_or_two_and_its_value_behind_a_sign_or_as_the_next_word() {
        let want = Options {
            name: "a=b".to_owned(),
            port: 80,
            tls: false,
        };
        for line in [
            "--name=a=b --port=80",
            "--name a=b --port 80",
            "-name=a=b -port=80",
            "-name a=b -port 80",
        ] {
            assert_eq!(run(line).as_ref(), Ok(&want), "{line}");
        }
    }

    #[test]
    fn a_switch_may_stand_alone() {
        for (line, on) in [
            ("--alts", true),
            ("--alts --port 1", true),
            ("-alts=1", true),
            ("--alts=true", true),
            ("--alts true", true),
            ("--alts=false", false),
            ("--alts F", false),
            ("--alts 0 --port 1", false),
        ] {
            assert_eq!(run(line).is_err(), on, "{line}");
            let line = line.replace("alts", "tls");
            let options = run(&line).expect("well-formed");
            assert_eq!(options.tls, on, "{line}");
        }
    }

    #[test]
    fn an_unsupported_flag_is_an_error_unless_its_value_asks_for_nothing() {
        for line in ["", "--alts=false", "--scope=", "--alts f --scope="] {
            assert_eq!(run(line), Ok(Options::default()), "{line}");
        }
        for (line, text) in [
            ("--alts", "--alts is not supported: rgrpc has no ALTS"),
            ("--scope x", "--scope is not supported: rgrpc has no OAuth"),
        ] {
            assert_eq!(run(line).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn an_error_names_the_flag_and_what_is_wrong() {
        for (line, text) in [
            ("x", "\"x\" is not a flag; --help lists the flags"),
            ("--alts=0 x", "\"x\" is not a flag; --help lists the flags"),
            ("--", "\"--\" is not a flag; --help lists the flags"),
            (
                "---alts",
                "\"---alts\" is not a flag; --help lists the flags",
            ),
            ("--=1", "\"--=1\" is not a flag; --help lists the flags"),
            ("--prot 1", "unknown flag --prot; --help lists the flags"),
            ("--port", "--port needs a value"),
            ("--port=x", "--port=x: invalid digit found in string"),
            ("--alts=yes", "--alts=yes: neither true nor false"),
            ("--tls=yes", "--tls=yes: neither true nor false"),
        ] {
            assert_eq!(run(line).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn help_lists_every_flag() {
        for argument in ["-h", "--help", "-help"] {
            let Ok(Command::Help(text)) = parse("About.", FLAGS, [argument.to_owned()]) else {
                panic!("{argument} does not help");
            };
            assert!(text.starts_with("About.\n"), "{text}");
            for flag in FLAGS {
                assert!(text.contains(&format!("--{}", flag.name)), "{text}");
            }
        }
    }
}
