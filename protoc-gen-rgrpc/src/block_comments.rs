//! Block comments, with the same text for all compilers.
//!
//! `protoc` and `buf` remove the blanks and one star at the start of each line of a block comment.
//! The embedded compiler also removes all blank lines, so that paragraphs merge: [`restored`]
//! parses such a file again with its blank lines marked. `protoc` removes only ASCII blanks, the
//! others remove all blanks: [`trim`] removes the rest.
//!
//! Called by the embedded compiler and by the normal form of descriptors.

use prost_types::{FileDescriptorProto, SourceCodeInfo};
use protox::file::File;

/// The mark of a blank line: a character that Unicode reserves for private use.
const MARK: char = '\u{e0b1}';

/// The blanks that `protoc` removes at the start of a comment's line.
const BLANKS: [char; 5] = [' ', '\t', '\u{b}', '\u{c}', '\r'];

/// Returns the source information of a file with the blank lines of its block comments, or `None`
/// if it has no such comment.
pub(crate) fn restored(name: &str, source: &str) -> Option<SourceCodeInfo> {
    let marked = marked(source)?;
    let parsed = File::from_source(name, &marked).ok()?;
    let mut info = parsed.file_descriptor_proto().source_code_info.clone()?;
    for_each_comment(&mut info, |text| text.retain(|c| c != MARK));
    Some(info)
}

/// Removes the blanks that are not ASCII at the start of each comment's line.
pub(crate) fn trim(file: &mut FileDescriptorProto) {
    let is_other_blank = |c: char| c.is_whitespace() && !c.is_ascii();
    if let Some(info) = &mut file.source_code_info {
        for_each_comment(info, |text| {
            if text.lines().any(|line| line.starts_with(is_other_blank)) {
                let lines = text.lines().map(|line| match line {
                    line if line.starts_with(is_other_blank) => line.trim_start(),
                    line => line,
                });
                *text = lines.map(|line| format!("{line}\n")).collect();
            }
        });
    }
}

fn for_each_comment(info: &mut SourceCodeInfo, mut change: impl FnMut(&mut String)) {
    for location in &mut info.location {
        let comments = [
            &mut location.leading_comments,
            &mut location.trailing_comments,
        ];
        comments.into_iter().flatten().for_each(&mut change);
    }
}

/// Returns the source with a mark on each blank line of a block comment, or `None` without such a
/// line.
fn marked(source: &str) -> Option<String> {
    if source.contains(MARK) {
        return None;
    }
    let mut output = String::with_capacity(source.len());
    let mut rest = source;
    let mut found = false;
    while let Some(at) = rest.find(['"', '\'', '/']) {
        let (before, token) = rest.split_at(at);
        output.push_str(before);
        let length = if token.starts_with("/*") {
            let length = token.find("*/").map_or(token.len(), |end| end + 2);
            for (number, line) in token[..length].split_inclusive('\n').enumerate() {
                if number > 0 && line.ends_with('\n') && is_blank(line) {
                    found = true;
                    output.push(MARK);
                    output.push_str(if line.ends_with("\r\n") { "\r\n" } else { "\n" });
                } else {
                    output.push_str(line);
                }
            }
            rest = &token[length..];
            continue;
        } else if token.starts_with("//") {
            token.find('\n').unwrap_or(token.len())
        } else if token.starts_with('/') {
            1
        } else {
            literal(token)
        };
        output.push_str(&token[..length]);
        rest = &token[length..];
    }
    output.push_str(rest);
    found.then_some(output)
}

fn is_blank(line: &str) -> bool {
    line.trim_end_matches('\n')
        .chars()
        .all(|c| BLANKS.contains(&c))
}

/// Returns the length of the string literal at the start of a text. A literal ends at the end of
/// its line at the latest.
fn literal(text: &str) -> usize {
    let mut characters = text.char_indices();
    let quote = characters.next().map(|(_, quote)| quote);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '\n' => return at,
            _ if Some(character) == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blank_lines_of_block_comments_are_marked() {
        for (source, expected) in [
            ("/* a\n\n b */", Some("/* a\n#\n b */")),
            ("/*\n \t\r\n*/ x", Some("/*\n#\r\n*/ x")),
            ("x = \"/*\\\"\n\n*/\";", None),
            ("x = '/*';\n\n/* a\n\n*/", Some("x = '/*';\n\n/* a\n#\n*/")),
            ("// \" /*\n\n", None),
            ("/* a */\n\n/ \"\n\n/*", None),
            ("/* a\n *\n */", None),
            ("/* unterminated\n\n", Some("/* unterminated\n#\n")),
        ] {
            let marked = marked(source).map(|text| text.replace(MARK, "#"));
            assert_eq!(marked.as_deref(), expected, "{source:?}");
        }
    }

    #[test]
    fn a_comment_keeps_its_blank_lines() {
        let source = "/* One.\n\n * Two.\n   \n */\nmessage M {}\n";
        let info = restored("a.proto", source).expect("blank lines");
        let comments: Vec<_> = info
            .location
            .iter()
            .filter_map(|location| location.leading_comments.as_deref())
            .collect();
        assert_eq!(comments, [" One.\n\n Two.\n\n"]);
    }

    #[test]
    fn non_ascii_blanks_at_the_start_of_a_line_are_removed() {
        let mut file = FileDescriptorProto {
            source_code_info: Some(SourceCodeInfo {
                location: vec![prost_types::source_code_info::Location {
                    leading_comments: Some(" a\n\u{a0} b\n  \u{a0}c\n".to_owned()),
                    ..Default::default()
                }],
            }),
            ..FileDescriptorProto::default()
        };
        trim(&mut file);
        let info = file.source_code_info.expect("kept");
        let comment = info.location[0].leading_comments.as_deref();
        assert_eq!(comment, Some(" a\nb\n  \u{a0}c\n"));
    }
}
