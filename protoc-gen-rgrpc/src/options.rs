//! The options, and the parser of a plugin parameter.
//!
//! `--rgrpc_opt=…` and [`Builder`](crate::Builder) both yield [`Options`]. Both set an option by
//! its name and a text, so a value is checked in one place, when it is set.

use syn::parse::Parser;

use crate::error::Error;
use crate::well_known;

/// All options with one line of help, in the order of `--help`.
pub(crate) const KNOWN: &[(&str, &str)] = &[
    (
        "messages",
        "true|false: generate the messages and enums (default true)",
    ),
    (
        "client",
        "true|false: generate the client stubs (default true)",
    ),
    (
        "server",
        "true|false: generate the service traits and descriptors (default true)",
    ),
    (
        "require_methods",
        "true|false: require every method of a service trait (default false)",
    ),
    (
        "file_descriptor_set",
        "true|false: embed the encoded file descriptors (default true)",
    ),
    (
        "type_names",
        "true|false: implement prost::Name for messages, which Any needs (default false)",
    ),
    (
        "mod_file",
        "NAME: name of the file that includes all others; none if empty (default mod.rs)",
    ),
    (
        "runtime_path",
        "RUST_PATH: path of the runtime crate (default ::rgrpc)",
    ),
    (
        "extern_path",
        ".PROTO.PATH=RUST_PATH: use existing types; repeatable",
    ),
    (
        "bytes",
        "PROTO_PATH: use bytes::Bytes instead of Vec<u8> for matching fields; repeatable",
    ),
    ("boxed", "PROTO_PATH: box matching fields; repeatable"),
    (
        "type_attribute",
        "PROTO_PATH=ATTRIBUTE: add an attribute to matching types; repeatable",
    ),
    (
        "field_attribute",
        "PROTO_PATH=ATTRIBUTE: add an attribute to matching fields; repeatable",
    ),
];

/// The options of code generation. Values are valid by construction.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) messages: bool,
    pub(crate) client: bool,
    pub(crate) server: bool,
    pub(crate) require_methods: bool,
    pub(crate) file_descriptor_set: bool,
    pub(crate) type_names: bool,
    pub(crate) mod_file: Option<String>,
    pub(crate) runtime_path: String,
    pub(crate) extern_paths: Vec<(String, String)>,
    pub(crate) bytes: Vec<String>,
    pub(crate) boxed: Vec<String>,
    pub(crate) type_attributes: Vec<(String, String)>,
    pub(crate) field_attributes: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            messages: true,
            client: true,
            server: true,
            require_methods: false,
            file_descriptor_set: true,
            type_names: false,
            mod_file: Some("mod.rs".to_owned()),
            runtime_path: "::rgrpc".to_owned(),
            extern_paths: Vec::new(),
            bytes: Vec::new(),
            boxed: Vec::new(),
            type_attributes: Vec::new(),
            field_attributes: Vec::new(),
        }
    }
}

impl Options {
    /// Parses a plugin parameter: `key=value` pairs separated by commas. A comma within brackets or
    /// quotes belongs to the value, so `type_attribute=.=#[derive(Eq, Hash)]` needs no escape. A
    /// boolean option may omit `=true`.
    pub(crate) fn parse(parameter: &str) -> Result<Self, Error> {
        let mut options = Self::default();
        for pair in split(parameter)? {
            let (option, value) = pair.split_once('=').unwrap_or((pair, ""));
            options.set(option, value)?;
        }
        Ok(options)
    }

    /// Sets one option. Repeatable options accumulate.
    pub(crate) fn set(&mut self, option: &str, value: &str) -> Result<(), Error> {
        let problem = |problem: String| Error::option(option, problem);
        match option {
            "messages" => self.messages = switch(value).map_err(problem)?,
            "client" => self.client = switch(value).map_err(problem)?,
            "server" => self.server = switch(value).map_err(problem)?,
            "require_methods" => self.require_methods = switch(value).map_err(problem)?,
            "file_descriptor_set" => self.file_descriptor_set = switch(value).map_err(problem)?,
            "type_names" => self.type_names = switch(value).map_err(problem)?,
            "mod_file" => self.mod_file = file_name(value).map_err(problem)?,
            "runtime_path" => self.runtime_path = rust_path(value).map_err(problem)?,
            "extern_path" => {
                let (proto, rust) = pair(value, "RUST_PATH").map_err(problem)?;
                if !proto.starts_with('.') {
                    return Err(problem(format!(
                        "`{proto}` must be a full name with a leading dot, such as `.google.type`"
                    )));
                }
                let proto = proto_path(proto).map_err(problem)?;
                if self.extern_paths.iter().any(|(known, _)| *known == proto) {
                    return Err(problem(format!("`{proto}` is given twice")));
                }
                self.extern_paths
                    .push((proto, rust_path(rust).map_err(problem)?));
            }
            "bytes" => self.bytes.push(proto_path(value).map_err(problem)?),
            "boxed" => self.boxed.push(proto_path(value).map_err(problem)?),
            "type_attribute" => self
                .type_attributes
                .push(attribute(value).map_err(problem)?),
            "field_attribute" => self
                .field_attributes
                .push(attribute(value).map_err(problem)?),
            _ => {
                let known: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
                return Err(problem(format!(
                    "unknown; the options are {}",
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Returns whether the message or enum `name` (with a leading dot) already exists and is not
    /// generated: it is the user's own, or a well-known type of the runtime.
    pub(crate) fn is_extern(&self, name: &str) -> bool {
        let covers = |path: &str| {
            path == "."
                || name
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        well_known::is_well_known(name) || self.extern_paths.iter().any(|(path, _)| covers(path))
    }
}

/// Splits at the commas outside brackets and string literals.
fn split(parameter: &str) -> Result<Vec<&str>, Error> {
    let mut pairs = Vec::new();
    let mut start = 0;
    let mut open = Vec::new();
    let mut characters = parameter.char_indices();
    while let Some((at, character)) = characters.next() {
        match (open.last(), character) {
            (Some('"'), '\\') => {
                characters.next();
            }
            (Some(&closing), _) if closing == character => {
                open.pop();
            }
            (Some('"'), _) => {}
            (_, '(') => open.push(')'),
            (_, '[') => open.push(']'),
            (_, '{') => open.push('}'),
            (_, '"') => open.push('"'),
            (None, ',') => {
                pairs.push(&parameter[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = &parameter[start..];
    if let Some(closing) = open.last() {
        let option = last.split('=').next().unwrap_or(last);
        return Err(Error::option(
            option.trim(),
            format!("`{closing}` is missing in `{last}`"),
        ));
    }
    pairs.push(last);
    Ok(pairs
        .into_iter()
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .collect())
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("`{value}` is neither true nor false")),
    }
}

/// Parses the name of a file in the output folder itself, because generated code is found beside
/// it.
fn file_name(value: &str) -> Result<Option<String>, String> {
    let is_name = value.ends_with(".rs")
        && !value.ends_with(".pb.rs")
        && !value.ends_with(".grpc.rs")
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    match value {
        "" => Ok(None),
        _ if is_name => Ok(Some(value.to_owned())),
        _ => Err(format!(
            "`{value}` is not the name of a Rust file, such as `mod.rs`"
        )),
    }
}

fn pair<'a>(value: &'a str, second: &str) -> Result<(&'a str, &'a str), String> {
    value
        .split_once('=')
        .map(|(path, rest)| (path.trim(), rest.trim()))
        .ok_or_else(|| format!("`{value}` must be PROTO_PATH={second}"))
}

/// Parses a path that matches elements: `.` for all, `.pkg.Message` from the root, `Message.field`
/// as a suffix.
fn proto_path(value: &str) -> Result<String, String> {
    let is_name = |part: &str| {
        part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && part.starts_with(|c: char| !c.is_ascii_digit())
    };
    let parts = value.strip_prefix('.').unwrap_or(value);
    if value == "." || (!parts.is_empty() && parts.split('.').all(is_name)) {
        return Ok(value.to_owned());
    }
    Err(format!(
        "`{value}` is not a path of Protobuf names; `.` alone matches everything"
    ))
}

fn rust_path(value: &str) -> Result<String, String> {
    // It may be a type, not only a path: `extern_path=.pkg.Nothing=()` is valid.
    let compact: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    match syn::parse_str::<syn::Type>(&compact) {
        Ok(syn::Type::Path(_) | syn::Type::Tuple(_)) => Ok(compact),
        _ => Err(format!(
            "`{value}` is not a Rust path, such as `::my_crate::proto`"
        )),
    }
}

fn attribute(value: &str) -> Result<(String, String), String> {
    let (path, attribute) = pair(value, "ATTRIBUTE")?;
    match syn::Attribute::parse_outer.parse_str(attribute) {
        Ok(attributes) if !attributes.is_empty() => Ok((proto_path(path)?, attribute.to_owned())),
        _ => Err(format!(
            "`{attribute}` is not a Rust attribute, such as `#[derive(Hash)]`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_brackets_or_quotes_belongs_to_the_value() {
        for (parameter, expected) in [
            ("", vec![]),
            ("client", vec!["client"]),
            (
                "client=false, server=true,",
                vec!["client=false", "server=true"],
            ),
            (
                "type_attribute=.=#[derive(Eq, Hash)],client",
                vec!["type_attribute=.=#[derive(Eq, Hash)]", "client"],
            ),
            (r#"a=#[doc = "],\""],b"#, vec![r#"a=#[doc = "],\""]"#, "b"]),
        ] {
            assert_eq!(split(parameter).expect(parameter), expected, "{parameter}");
        }
    }

    #[test]
    fn every_known_option_is_accepted_and_takes_effect() {
        for (name, _) in KNOWN {
            let value = match *name {
                "mod_file" => "proto.rs",
                "runtime_path" => "crate::runtime",
                "extern_path" => ".a=::b",
                "bytes" | "boxed" => ".a.B.c",
                "type_attribute" | "field_attribute" => ".a=#[cfg(all())]",
                "require_methods" | "type_names" => "true",
                _ => "false",
            };
            let mut options = Options::default();
            options.set(name, value).expect(name);
            assert_ne!(
                format!("{options:?}"),
                format!("{:?}", Options::default()),
                "{name}"
            );
        }
    }

    #[test]
    fn repeated_options_add_up() {
        let options = Options::parse("bytes=.a,bytes=.b,extern_path=.c=::c,extern_path=.d=::d")
            .expect("valid");
        assert_eq!(options.bytes, [".a", ".b"]);
        assert_eq!(options.extern_paths.len(), 2);
    }

    #[test]
    fn an_invalid_option_is_an_error_with_its_name_and_the_problem() {
        for (parameter, words) in [
            (
                "clients=false",
                "option `clients`: unknown; the options are messages, client, server",
            ),
            (
                "client=no",
                "option `client`: `no` is neither true nor false",
            ),
            (
                "extern_path=.a",
                "option `extern_path`: `.a` must be PROTO_PATH=RUST_PATH",
            ),
            (
                "extern_path=a=::b",
                "option `extern_path`: `a` must be a full name with a leading dot",
            ),
            (
                "extern_path=.a=::b,extern_path=.a=::c",
                "option `extern_path`: `.a` is given twice",
            ),
            (
                "extern_path=.a=b-c",
                "option `extern_path`: `b-c` is not a Rust path",
            ),
            (
                "mod_file=sub/mod.rs",
                "option `mod_file`: `sub/mod.rs` is not the name of a Rust file",
            ),
            (
                "runtime_path=",
                "option `runtime_path`: `` is not a Rust path",
            ),
            (
                "bytes=",
                "option `bytes`: `` is not a path of Protobuf names",
            ),
            ("boxed=a..b", "option `boxed`: `a..b` is not a path"),
            (
                "type_attribute=.=derive(Eq)",
                "option `type_attribute`: `derive(Eq)` is not a Rust attribute",
            ),
            (
                "field_attribute=.a",
                "option `field_attribute`: `.a` must be PROTO_PATH=ATTRIBUTE",
            ),
            (
                "type_attribute=.=#[derive(Eq)",
                "option `type_attribute`: `]` is missing",
            ),
        ] {
            let error = Options::parse(parameter).expect_err(parameter).to_string();
            assert!(error.starts_with(words), "{parameter}: {error}");
        }
    }

    #[test]
    fn an_extern_path_matches_whole_parts_of_a_name() {
        let options = Options::parse("extern_path=.shared.Date=::shared::Date").expect("valid");
        for (name, expected) in [
            (".shared.Date", true),
            (".shared.Date.Era", true),
            (".shared.Dates", false),
            (".shared.Time", false),
            (".google.protobuf.Empty", true),
            (".google.protobufs.Empty", false),
        ] {
            assert_eq!(options.is_extern(name), expected, "{name}");
        }
    }
}
