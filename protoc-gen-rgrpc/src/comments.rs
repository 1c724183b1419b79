//! The comments of a `.proto` file, as Rust documentation.
//!
//! Compilers agree on the element that a comment belongs to, but not on the rest of
//! `SourceCodeInfo`: its order, its duplicates, superfluous locations. [`clean`] replaces it by one
//! location for each element that can have a doc comment. The result is the same for every compiler
//! and complete, which prost-build relies on.
//!
//! rustdoc reads the text as Markdown, which its author did not intend. Indented blocks and bare
//! fences would become failing doctests; [`code_block`] marks them as text. A `<placeholder>` would
//! be an unclosed HTML tag, and `[brackets]` a broken link. prost-build escapes URLs.
//!
//! Called when descriptors get their normal form (`descriptor.rs`).

mod code_block;

use std::collections::{BTreeMap, BTreeSet};

use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, SourceCodeInfo};

/// The field numbers of descriptor.proto that form the path of a location.
mod tag {
    pub(super) const FILE_MESSAGE: i32 = 4;
    pub(super) const FILE_ENUM: i32 = 5;
    pub(super) const FILE_SERVICE: i32 = 6;
    pub(super) const MESSAGE_FIELD: i32 = 2;
    pub(super) const MESSAGE_NESTED: i32 = 3;
    pub(super) const MESSAGE_ENUM: i32 = 4;
    pub(super) const MESSAGE_ONEOF: i32 = 8;
    pub(super) const ENUM_VALUE: i32 = 2;
    pub(super) const SERVICE_METHOD: i32 = 2;
}

/// Replaces the file's source information, if any, by the cleaned comments of its elements.
pub(crate) fn clean(file: &mut FileDescriptorProto) {
    let Some(source) = file.source_code_info.take() else {
        return;
    };
    let mut comments = BTreeMap::new();
    for location in &source.location {
        if location.leading_comments.is_some() || location.trailing_comments.is_some() {
            comments.entry(location.path.as_slice()).or_insert(location);
        }
    }
    let location = elements(file)
        .into_iter()
        .map(|path| {
            let comment = comments.get(path.as_slice());
            Location {
                leading_comments: comment.and_then(|comment| documentation(comment)),
                span: vec![0, 0, 0],
                path,
                ..Location::default()
            }
        })
        .collect();
    file.source_code_info = Some(SourceCodeInfo { location });
}

/// Joins the leading and the trailing comment, which form one text in rustdoc.
fn documentation(comment: &Location) -> Option<String> {
    let leading = comment.leading_comments.as_deref().and_then(markdown);
    let trailing = comment.trailing_comments.as_deref().and_then(markdown);
    match (leading, trailing) {
        (Some(leading), Some(trailing)) => Some(code_block::without_doctests(format!(
            "{leading}\n\n{trailing}"
        ))),
        (leading, trailing) => leading.or(trailing),
    }
}

/// Returns the paths of all elements that can have a doc comment.
fn elements(file: &FileDescriptorProto) -> Vec<Vec<i32>> {
    let mut paths = Vec::new();
    for (path, message) in children(&[], tag::FILE_MESSAGE, &file.message_type) {
        message_elements(path, message, &mut paths);
    }
    for (path, enumeration) in children(&[], tag::FILE_ENUM, &file.enum_type) {
        enum_elements(path, enumeration, &mut paths);
    }
    for (path, service) in children(&[], tag::FILE_SERVICE, &file.service) {
        paths.extend(children(&path, tag::SERVICE_METHOD, &service.method).map(|(path, _)| path));
        paths.push(path);
    }
    paths
}

fn message_elements(path: Vec<i32>, message: &DescriptorProto, paths: &mut Vec<Vec<i32>>) {
    paths.extend(children(&path, tag::MESSAGE_FIELD, &message.field).map(|(path, _)| path));
    paths.extend(children(&path, tag::MESSAGE_ONEOF, &message.oneof_decl).map(|(path, _)| path));
    for (path, nested) in children(&path, tag::MESSAGE_NESTED, &message.nested_type) {
        message_elements(path, nested, paths);
    }
    for (path, enumeration) in children(&path, tag::MESSAGE_ENUM, &message.enum_type) {
        enum_elements(path, enumeration, paths);
    }
    paths.push(path);
}

fn enum_elements(path: Vec<i32>, enumeration: &EnumDescriptorProto, paths: &mut Vec<Vec<i32>>) {
    paths.extend(children(&path, tag::ENUM_VALUE, &enumeration.value).map(|(path, _)| path));
    paths.push(path);
}

fn children<'a, T>(
    parent: &'a [i32],
    tag: i32,
    elements: &'a [T],
) -> impl Iterator<Item = (Vec<i32>, &'a T)> {
    (0..)
        .zip(elements)
        .map(move |(index, element)| ([parent, &[tag, index]].concat(), element))
}

/// Converts a comment into equivalent Markdown without doctests, or `None` if it is blank.
fn markdown(comment: &str) -> Option<String> {
    let lines = unindent(comment);
    if lines.is_empty() {
        return None;
    }
    let code = code_lines(&lines.join("\n"));
    let lines: Vec<String> = lines
        .into_iter()
        .enumerate()
        .map(|(at, line)| {
            if code.contains(&at) {
                line
            } else {
                escape(&line)
            }
        })
        .collect();
    Some(closed(code_block::without_doctests(lines.join("\n"))))
}

/// Returns the numbers of the lines inside code blocks.
fn code_lines(text: &str) -> BTreeSet<usize> {
    let line_of = |at: usize| text[..at].matches('\n').count();
    code_block::find(text)
        .iter()
        .flat_map(|block| {
            let end = block.range.start + text[block.range.clone()].trim_end().len();
            line_of(block.range.start)..=line_of(end)
        })
        .collect()
}

/// Closes a fenced block that extends to the end, so that it does not include later text.
fn closed(mut text: String) -> String {
    let followed = format!("{text}\n\n.");
    if let Some(last) = code_block::find(&followed).last()
        && last.ends_with_code(&followed)
        && let Some(fence) = &last.fence
    {
        text.push('\n');
        text.push_str(&followed[fence.clone()]);
    }
    text
}

/// Returns the lines without their common indentation, trailing blanks, and blank lines at either
/// end.
fn unindent(comment: &str) -> Vec<String> {
    // A carriage return also ends a line. rustc denies it in a doc comment.
    let comment = comment.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<String> = comment
        .split('\n')
        .map(|line| {
            line.trim_end()
                .replace('\t', "    ")
                .replace(BIDIRECTIONAL, "")
        })
        .collect();
    let indent = |line: &String| line.len() - line.trim_start_matches(' ').len();
    let common = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(indent)
        .min()
        .unwrap_or(0);
    let first = lines
        .iter()
        .position(|line| !line.is_empty())
        .unwrap_or(lines.len());
    let last = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(first, |last| last + 1);
    lines[first..last]
        .iter()
        .map(|line| line.get(common..).unwrap_or(""))
        .map(|line| match line.strip_prefix(' ') {
            // prost-build takes one space as the separator between the slashes and the text.
            Some(text) if !text.starts_with(' ') => text.to_owned(),
            _ => line.to_owned(),
        })
        .collect()
}

/// The control characters that change the direction of text. rustc denies them in comments.
const BIDIRECTIONAL: [char; 9] = [
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}',
    '\u{2069}',
];

/// Escapes the text outside `code` that rustdoc would read as an HTML tag or as a link to an item.
/// An autolink loses its brackets, because prost-build adds them to every URL. A reference such as
/// `[Rule][google.api.Rule]` becomes its text.
fn escape(line: &str) -> String {
    let mut output = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['`', '<', '[', '\\']) {
        let (before, marked) = rest.split_at(at);
        output.push_str(before);
        let (text, taken) = match marked.as_bytes()[0] {
            b'`' => code_span(marked),
            b'<' => angle_bracket(marked),
            b'[' => square_bracket(marked),
            // A backslash, which escapes the next character.
            _ => {
                let end = 1 + marked[1..].chars().next().map_or(0, char::len_utf8);
                (&marked[..end], end)
            }
        };
        output.push_str(text);
        rest = &marked[taken..];
    }
    output.push_str(rest);
    output
}

/// Returns the output for the code span at the start of `text`, and the length of the span.
fn code_span(text: &str) -> (&str, usize) {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let end = text[ticks..]
        .find(&text[..ticks])
        .map_or(ticks, |end| end + 2 * ticks);
    (&text[..end], end)
}

fn angle_bracket(text: &str) -> (&str, usize) {
    let is_tag = text[1..].starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
    match text.find('>') {
        Some(end) if text[1..].starts_with("http") => (&text[1..end], end + 1),
        _ if is_tag => ("\\<", 1),
        _ => ("<", 1),
    }
}

fn square_bracket(text: &str) -> (&str, usize) {
    let end = text.find(']').map(|end| end + 1);
    let target = |end: usize| text[end..].find([')', ']']).map(|length| end + length + 1);
    match end.map(|end| (end, text[end..].chars().next(), target(end))) {
        Some((_, Some('('), Some(whole))) => (&text[..whole], whole),
        Some((end, Some('['), Some(whole))) => (&text[1..end - 1], whole),
        _ => ("\\[", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_becomes_markdown_without_doctests_or_html() {
        for (comment, expected) in [
            (" One line.\n", "One line."),
            ("\n  First.\n\n    Nested.\r\n\n", "First.\n\n  Nested."),
            (
                " Run:\n\n     let x = 1;\n\n     x\n Done.\n",
                "Run:\n\n```text\nlet x = 1;\n\nx\n```\nDone.",
            ),
            (" Wrapped\n       text\n", "Wrapped\n      text"),
            (" ```\n code\n ```\n after", "```text\ncode\n```\nafter"),
            (" ```rust,no_run\n <T>\n", "```text\n<T>\n```"),
            (" ```proto\n a\n ```\n", "```proto\na\n```"),
            (" ~~~\n ```\n ~~~\n <b>\n", "~~~text\n```\n~~~\n\\<b>"),
            (
                " a <service> in `Vec<T>`, 1 < 2\n",
                "a \\<service> in `Vec<T>`, 1 < 2",
            ),
            (
                " see <https://grpc.io/> and `open <x>\n",
                "see https://grpc.io/ and `open \\<x>",
            ),
            (
                " a[0] or [a][0] or [Rule][google.api.Rule].",
                "a\\[0] or a or Rule.",
            ),
            (
                " [text](https://grpc.io) \\[b\\] [open `[x]`",
                "[text](https://grpc.io) \\[b\\] \\[open `[x]`",
            ),
            (
                "\u{3000}\u{3000}wide\n\u{3000}blank\n",
                "\u{3000}\u{3000}wide\n\u{3000}blank",
            ),
            ("\tTab.\n\n\t\tcode\n", "Tab.\n\n```text\ncode\n```"),
        ] {
            assert_eq!(markdown(comment).as_deref(), Some(expected), "{comment:?}");
        }
        assert_eq!(markdown(" \n\n"), None);
    }

    /// Returns the documentation that rustdoc reads from the code of prost-build.
    fn as_rustdoc_reads(leading: &str) -> String {
        let comments = prost_build::Comments {
            leading: leading.lines().map(str::to_owned).collect(),
            ..Default::default()
        };
        let mut code = String::new();
        comments.append_with_indent(0, &mut code);
        let lines: Vec<&str> = code
            .lines()
            .map(|line| line.strip_prefix("///").expect("a doc comment"))
            .collect();
        let common = lines
            .iter()
            .filter(|line| !line.is_empty())
            .map(|line| line.len() - line.trim_start().len())
            .min()
            .unwrap_or(0);
        let lines: Vec<&str> = lines
            .iter()
            .map(|line| line.get(common..).unwrap_or_default())
            .collect();
        lines.join("\n")
    }

    /// Random comments of difficult Markdown, the same ones in each run.
    fn difficult_comments() -> impl Iterator<Item = String> {
        const PREFIXES: [&str; 14] = [
            "", "", " ", "  ", "   ", "    ", "     ", "      ", "\t", "- ", "> ", "1. ", "* ", ">",
        ];
        const BODIES: [&str; 36] = [
            "",
            "",
            "text",
            "text",
            "```",
            "```",
            "~~~",
            "````",
            "```rust",
            "```{.rust}",
            "``` text",
            "~~~ compile_fail,E0425",
            "```ignore-windows",
            "```should_panic text",
            "```word```",
            "# Heading",
            "---",
            "===",
            "<div>",
            "</div>",
            "<!--",
            "-->",
            "<pre>",
            "<script>",
            "[a]: b",
            "[^1]: note",
            "`open",
            "``",
            "| a | b |",
            "|---|---|",
            "https://grpc.io/a_b",
            "\\",
            "[x][y]",
            "* * *",
            "```c",
            "-",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap_or_default()
        };
        (0..4_000).map(move |_| {
            let mut comment = String::new();
            for _ in 0..1 + random(9) {
                for _ in 0..random(4) {
                    comment.push_str(PREFIXES[random(PREFIXES.len())]);
                }
                comment.push_str(BODIES[random(BODIES.len())]);
                comment.push('\n');
            }
            comment
        })
    }

    #[test]
    fn no_comment_becomes_a_doctest() {
        let mut comments = difficult_comments();
        while let (Some(leading), Some(trailing)) = (comments.next(), comments.next()) {
            for (leading, trailing) in [(leading.clone(), None), (leading, Some(trailing))] {
                let location = Location {
                    leading_comments: Some(leading),
                    trailing_comments: trailing,
                    ..Location::default()
                };
                let read = as_rustdoc_reads(&documentation(&location).unwrap_or_default());
                assert_eq!(
                    code_block::without_doctests(read.clone()),
                    read,
                    "{location:?}"
                );
            }
        }
    }

    #[test]
    fn characters_that_rustc_denies_in_a_comment_are_removed() {
        let text = markdown(" a\rb \u{202e}c\u{2066}\r\n d\u{202c}\n").expect("not blank");
        assert_eq!(text, "a\nb c\nd");
    }

    #[test]
    fn every_element_gets_one_location_and_the_first_comment_of_its_path_wins() {
        let message = DescriptorProto {
            field: vec![Default::default()],
            enum_type: vec![EnumDescriptorProto {
                value: vec![Default::default()],
                ..Default::default()
            }],
            ..Default::default()
        };
        let comment = |path: &[i32], text: &str| Location {
            path: path.to_vec(),
            leading_comments: Some(text.to_owned()),
            ..Location::default()
        };
        let mut file = FileDescriptorProto {
            message_type: vec![message],
            source_code_info: Some(SourceCodeInfo {
                location: vec![
                    comment(&[4, 0], " A.\n"),
                    comment(&[4, 0], " B.\n"),
                    comment(&[12], " S.\n"),
                ],
            }),
            ..Default::default()
        };
        clean(&mut file);
        let locations = file.source_code_info.expect("was there").location;
        let paths: Vec<_> = locations.iter().map(|l| l.path.as_slice()).collect();
        assert_eq!(
            paths,
            [
                &[4, 0, 2, 0][..],
                &[4, 0, 4, 0, 2, 0],
                &[4, 0, 4, 0],
                &[4, 0]
            ]
        );
        assert_eq!(locations[3].leading_comments.as_deref(), Some("A."));
    }
}
