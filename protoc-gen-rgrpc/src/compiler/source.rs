//! The files of a schema, in the form that protox accepts.
//!
//! Called by the embedded compiler for each file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use prost_types::FileDescriptorProto;
use protox::file::{File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use super::adapt;

/// A resolver that finds files below include folders and adapts them. Clones share the files that
/// were read.
#[derive(Clone)]
pub(super) struct Sources(Rc<Inner>);

struct Inner {
    includes: Vec<(PathBuf, IncludeFileResolver)>,
    google: GoogleFileResolver,
    loaded: RefCell<BTreeMap<String, Rc<Source>>>,
}

/// A file that was read.
struct Source {
    file: File,
    /// The path of the file; `None` for a well-known file, which is embedded.
    path: Option<PathBuf>,
    is_editions: bool,
}

impl Sources {
    pub(super) fn new(includes: &[impl AsRef<Path>]) -> Self {
        let folder = |include: &Path| {
            let resolver = IncludeFileResolver::new(include.to_owned());
            (include.to_owned(), resolver)
        };
        Self(Rc::new(Inner {
            includes: includes.iter().map(|path| folder(path.as_ref())).collect(),
            google: GoogleFileResolver::new(),
            loaded: RefCell::default(),
        }))
    }

    /// Returns the paths of the files that were read from disk.
    pub(super) fn read(&self) -> Vec<PathBuf> {
        let loaded = self.0.loaded.borrow();
        loaded
            .values()
            .filter_map(|source| source.path.clone())
            .collect()
    }

    pub(super) fn is_editions(&self, name: &str) -> bool {
        let loaded = self.0.loaded.borrow();
        // A file that does not parse is not included.
        loaded.get(name).map_or_else(
            || {
                self.path(name)
                    .and_then(|path| fs::read(path).ok())
                    .is_some_and(|bytes| text(&bytes).1)
            },
            |source| source.is_editions,
        )
    }

    /// Reverts the changes in the descriptor of a file.
    pub(super) fn restore(&self, file: &mut FileDescriptorProto) {
        if let Some(source) = self.0.loaded.borrow().get(file.name()) {
            adapt::restore(file, source.file.file_descriptor_proto());
            if let Some(text) = source.file.source() {
                super::restore_comments(file, text);
            }
            if source.is_editions {
                file.syntax = Some("editions".to_owned());
            }
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let paths = self
            .0
            .includes
            .iter()
            .map(|(include, _)| include.join(name));
        paths.into_iter().find(|path| path.is_file())
    }

    fn load(&self, name: &str) -> Result<Rc<Source>, protox::Error> {
        if let Some(source) = self.0.loaded.borrow().get(name) {
            return Ok(Rc::clone(source));
        }
        let source = match self.path(name) {
            Some(path) => {
                let (text, is_editions) = text(&fs::read(&path).map_err(protox::Error::new)?);
                Source {
                    file: File::from_source(name, &text)?,
                    path: Some(path),
                    is_editions,
                }
            }
            None => Source {
                file: self.0.google.open_file(name)?,
                path: None,
                is_editions: false,
            },
        };
        let source = Rc::new(source);
        self.0
            .loaded
            .borrow_mut()
            .insert(name.to_owned(), Rc::clone(&source));
        Ok(source)
    }

    /// Returns the file, then its imports, then the public imports of those.
    fn visible(&self, source: Rc<Source>) -> Result<Vec<Rc<Source>>, protox::Error> {
        let mut visible = vec![source];
        let mut at = 0;
        while let Some(source) = visible.get(at) {
            let descriptor = source.file.file_descriptor_proto();
            let imports: Vec<String> = if at == 0 {
                descriptor.dependency.clone()
            } else {
                let public = descriptor.public_dependency.iter();
                public
                    .filter_map(|index| descriptor.dependency.get(usize::try_from(*index).ok()?))
                    .cloned()
                    .collect()
            };
            for import in imports {
                let is_known = |source: &Rc<Source>| source.file.name() == import;
                if !visible.iter().any(is_known) {
                    visible.push(self.load(&import)?);
                }
            }
            at += 1;
        }
        Ok(visible)
    }
}

impl FileResolver for Sources {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        let mut includes = self.0.includes.iter();
        includes.find_map(|(_, resolver)| resolver.resolve_path(path))
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let source = self.load(name)?;
        // An import that fails to load is opened next, and fails again with its place.
        let Ok(visible) = self.visible(Rc::clone(&source)) else {
            return Ok(source.file.clone());
        };
        let visible: Vec<&FileDescriptorProto> = visible
            .iter()
            .map(|source| source.file.file_descriptor_proto())
            .collect();
        let mut adapted = adapt::adapt(&visible);
        if source.is_editions {
            // The file is parsed as proto3, because fields have no labels, and linked as proto2,
            // because enums may begin with any number.
            adapted.syntax = None;
        }
        if adapted == *source.file.file_descriptor_proto() {
            return Ok(source.file.clone());
        }
        Ok(File::from_file_descriptor_proto(adapted))
    }
}

/// Returns the text of a file in the form that protox accepts, and whether it is a file of
/// editions.
fn text(bytes: &[u8]) -> (String, bool) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Bytes that are not UTF-8 are valid in comments. Elsewhere they become a character that no
    // name contains.
    let original = String::from_utf8_lossy(bytes);
    let mut text = String::with_capacity(original.len());
    let mut is_editions = false;
    let mut statement: Vec<&str> = Vec::new();
    // The number of braces around a position in the value of an option.
    let mut depth = 0_usize;
    for token in tokens(&original) {
        if token.trim().is_empty() || token.starts_with("//") || token.starts_with("/*") {
            text.push_str(token);
            continue;
        }
        statement.push(token);
        match statement.as_slice() {
            [.., "=", "{"] => depth = 1,
            [.., "{"] if depth > 0 => depth += 1,
            [.., "}"] => depth = depth.saturating_sub(1),
            _ => {}
        }
        match statement.as_slice() {
            ["edition"] => text.push_str("syntax"),
            ["edition", "=", _] => {
                is_editions = true;
                text.push_str("\"proto3\"");
            }
            // The visibility of a type, or the type of a field.
            ["export" | "local"] if is_editions => {}
            ["export" | "local", "message" | "enum"] if is_editions => text.push_str(token),
            [name @ ("export" | "local"), _] if is_editions => {
                let space = if matches!(token, "." | "=") { "" } else { " " };
                text.push_str(&format!("{name}{space}{token}"));
            }
            ["import", "option"] if is_editions => {}
            // The generator uses none of these defaults, and `features` is removed.
            [.., "[" | ",", "default"] if is_editions && depth == 0 => text.push_str("features"),
            // In editions, reserved names are identifiers.
            ["reserved", .., name] if is_editions && is_identifier(name) && *name != "reserved" => {
                let is_range = *name == "to" || *name == "max";
                text.push_str(&if is_range {
                    token.to_owned()
                } else {
                    format!("\"{name}\"")
                });
            }
            // The parser has no negative infinity, but accepts numbers that overflow to it.
            [.., option, "=", "-", "inf"] if *option != "default" || is_editions => {
                text.push_str("1e999");
            }
            [.., option, "=", "-", "nan"] if *option != "default" || is_editions => {
                text.push_str("0.0");
            }
            // The parser accepts options after a range, but not after a number.
            ["extensions", .., before, number, "["] if is_number(number) && *before != "to" => {
                text.push_str(&format!(" to {number} ["));
            }
            ["extensions", number, "["] if is_number(number) => {
                text.push_str(&format!(" to {number} ["));
            }
            // In the value of an option, a list needs no colon before it.
            [.., before, name, "["]
                if depth > 0 && is_identifier(name) && !is_value_after(before) =>
            {
                text.push_str(": [");
            }
            [name, "["] if depth > 0 && is_identifier(name) => text.push_str(": ["),
            // An integer that is too large is written as a floating-point number.
            [.., number] if is_number(number) && is_too_large(number) => {
                text.push_str(&format!("{number}.0"));
            }
            _ => text.push_str(token),
        }
        if matches!(token, ";" | "{" | "}") {
            statement.clear();
        }
    }
    (text, is_editions)
}

fn is_identifier(token: &str) -> bool {
    token.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
}

fn is_number(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_digit())
}

fn is_too_large(number: &str) -> bool {
    number.chars().all(|c| c.is_ascii_digit()) && number.parse::<u64>().is_err()
}

/// Returns whether a name after this token is a value, not the name of a field.
fn is_value_after(token: &str) -> bool {
    matches!(token, ":" | "-" | "[" | ".")
}

/// Splits a `.proto` file into words, strings, comments, blanks and other characters.
fn tokens(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' || first == '\'' {
            string_length(rest, first)
        } else if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if first.is_whitespace() {
            rest.find(|c: char| !c.is_whitespace())
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

/// Returns the length of the string at the start of `text`, including its quotes.
fn string_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '\n' => return at,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_that_protox_refuses_is_changed() {
        for (original, expected) in [
            (
                &b"\xef\xbb\xbfsyntax = \"proto3\"; // caf\xe9 -inf"[..],
                "syntax = \"proto3\"; // caf\u{fffd} -inf",
            ),
            (
                b"optional double d = 1 [(o) = -inf, default = -inf, (p)=- nan, (s) = \"= -inf\"];",
                "optional double d = 1 [(o) = -1e999, default = -inf, (p)=- 0.0, (s) = \"= -inf\"];",
            ),
            (
                b"/* edition */ edition = \"2023\"; message M { reserved a, 'b'; reserved 1 to max; }",
                "/* edition */ syntax = \"proto3\"; message M { reserved \"a\", 'b'; reserved 1 to max; }",
            ),
            (
                b"extensions 4 [a = b]; extensions 5, 0x6 /**/ [a = b]; extensions 7 to 8 [a = b];",
                "extensions 4  to 4 [a = b]; extensions 5, 0x6 /**/  to 0x6 [a = b]; extensions 7 to 8 [a = b];",
            ),
            (
                b"option (o) = { a [1] b: { c <x [2]> } d: E [e]: 1 }; int32 x = 1 [d = true];",
                "option (o) = { a : [1] b: { c <x : [2]> } d: E [e]: 1 }; int32 x = 1 [d = true];",
            ),
            (
                b"[default = 18446744073709551615] [default = 18446744073709551616]",
                "[default = 18446744073709551615] [default = 18446744073709551616.0]",
            ),
            (b"\"unclosed\\\"", "\"unclosed\\\""),
        ] {
            assert_eq!(text(original).0, expected);
        }
    }
}
