//! The code blocks of a comment that rustdoc would compile and run.
//!
//! rustdoc tests every indented block, and every fenced block whose info string names no other
//! language. rustdoc's own parser finds the blocks, so that lists, quotes, headings and fences have
//! the same meaning here. After the changes it looks for remaining blocks.
//!
//! Called for each comment, by `comments.rs`.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The maximum number of rounds of changes, after which the whole text becomes one block. A change
/// can create another block, for example when a list item ends earlier.
const ROUNDS: usize = 4;

/// The Markdown extensions of rustdoc. rustdoc's versions differ in whether they look for tests
/// with these extensions or without.
const EXTENSIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_SMART_PUNCTUATION);

/// A code block of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodeBlock {
    /// The range from its first character to its last.
    pub(super) range: Range<usize>,
    /// The marks that open the block; empty for an indented block.
    pub(super) fence: Option<Range<usize>>,
    /// The info string after the marks.
    info: Range<usize>,
    /// The code of each line that is not blank, without the indentation that Markdown removes.
    lines: Vec<Range<usize>>,
}

/// Returns the code blocks of a text, in order.
pub(super) fn find(text: &str) -> Vec<CodeBlock> {
    find_with(EXTENSIONS, text)
}

fn find_with(extensions: Options, text: &str) -> Vec<CodeBlock> {
    let mut blocks: Vec<CodeBlock> = Vec::new();
    let mut is_inside = false;
    for (event, range) in Parser::new_ext(text, extensions).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                is_inside = true;
                blocks.push(CodeBlock::new(text, range, &kind));
            }
            Event::End(TagEnd::CodeBlock) => is_inside = false,
            Event::Text(_) if is_inside => {
                if let Some(block) = blocks.last_mut()
                    && !text[range.clone()].trim().is_empty()
                {
                    block.lines.push(range);
                }
            }
            _ => {}
        }
    }
    blocks
}

/// Returns the text with every block that rustdoc would test marked as plain text.
pub(super) fn without_doctests(mut text: String) -> String {
    for _ in 0..ROUNDS {
        let tests = tests(&text);
        if tests.is_empty() {
            return text;
        }
        // In reverse order, so that the offsets stay valid.
        for block in tests.iter().rev() {
            block.mark(&mut text);
        }
    }
    if tests(&text).is_empty() {
        return text;
    }
    let fence = fence_around(&text);
    format!("{fence}text\n{text}\n{fence}")
}

/// Returns the blocks that rustdoc would test with its extensions or, if there are none, without
/// them.
fn tests(text: &str) -> Vec<CodeBlock> {
    [EXTENSIONS, Options::empty()]
        .into_iter()
        .map(|extensions| find_with(extensions, text))
        .map(|mut blocks| {
            blocks.retain(|block| block.is_test(text));
            blocks
        })
        .find(|tests| !tests.is_empty())
        .unwrap_or_default()
}

impl CodeBlock {
    fn new(text: &str, range: Range<usize>, kind: &CodeBlockKind<'_>) -> Self {
        let (fence, info) = match kind {
            CodeBlockKind::Indented => (None, range.start..range.start),
            CodeBlockKind::Fenced(_) => {
                let block = &text[range.clone()];
                let opening = block.lines().next().unwrap_or_default();
                let indent = opening.len() - opening.trim_start().len();
                let marks = opening[indent..]
                    .find(|c| c != '`' && c != '~')
                    .unwrap_or(opening.len() - indent);
                let fence = range.start + indent..range.start + indent + marks;
                let info = fence.end..range.start + opening.len();
                (Some(fence), info)
            }
        };
        Self {
            range,
            fence,
            info,
            lines: Vec::new(),
        }
    }

    /// Returns whether the last character of the text is code of this block.
    pub(super) fn ends_with_code(&self, text: &str) -> bool {
        self.lines.last().is_some_and(|line| line.end == text.len())
    }

    /// Returns whether rustdoc would test the block, or might.
    fn is_test(&self, text: &str) -> bool {
        self.fence.is_none() || !is_other_language(&text[self.info.clone()])
    }

    /// Marks the block as plain text, or with the first word of its info string as the language.
    fn mark(&self, text: &mut String) {
        if self.fence.is_some() {
            let word = text[self.info.clone()]
                .split_whitespace()
                .next()
                .filter(|word| is_other_language(word))
                .unwrap_or("text")
                .to_owned();
            text.replace_range(self.info.clone(), &word);
        } else {
            self.put_into_fence(text);
        }
    }

    /// Replaces the indentation of the block by a fence.
    fn put_into_fence(&self, text: &mut String) {
        let (Some(first), Some(last)) = (self.lines.first(), self.lines.last()) else {
            return;
        };
        let fence = fence_around(&text[first.start..last.end]);
        let start = line_start(text, first.start);
        let end = start + text[start..last.end].trim_end_matches('\n').len();
        let opening = container(&text[start..first.start]).to_owned();
        // The later lines are within the block's list item and begin none.
        let inner: String = opening
            .chars()
            .map(|c| if c == '>' { '>' } else { ' ' })
            .collect();
        let mut fenced = format!("{opening}{fence}text");
        let mut lines = self.lines.iter().peekable();
        let mut at = start;
        for line in text[start..end].split('\n') {
            let range = at..at + line.len() + 1;
            at = range.end;
            fenced.push('\n');
            match lines.next_if(|code| range.contains(&code.start)) {
                Some(code) => {
                    let prefix = if range.start == start {
                        &inner
                    } else {
                        container(&text[range.start..code.start])
                    };
                    fenced.push_str(prefix);
                    fenced.push_str(text[code.clone()].trim_end_matches('\n'));
                }
                None => fenced.push_str(line.trim_end()),
            }
        }
        text.replace_range(start..end, &format!("{fenced}\n{inner}{fence}"));
    }
}

/// Returns the marks of the quotes and list items around a line of code, without the four spaces
/// that make it code.
fn container(before: &str) -> &str {
    before.strip_suffix("    ").unwrap_or(before)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Returns a fence that no line of the text closes.
fn fence_around(text: &str) -> String {
    let longest = text
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    "`".repeat(3.max(longest + 1))
}

/// Returns whether rustdoc reads an info string as one word that names a language other than Rust.
fn is_other_language(info: &str) -> bool {
    const ATTRIBUTES: [&str; 9] = [
        "compilefail",
        "custom",
        "ignore",
        "norun",
        "shouldpanic",
        "standalone",
        "standalonecrate",
        "testharness",
        "edition",
    ];
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-+#".contains(c);
    if info.is_empty() || !info.chars().all(is_word) {
        return false;
    }
    // rustdoc also warns of words that resemble one of its own.
    let plain: String = info
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let is_error_code = plain
        .strip_prefix('e')
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()));
    !plain.is_empty()
        && !is_error_code
        && !plain.starts_with("rust")
        && !ATTRIBUTES
            .iter()
            .any(|attribute| plain.starts_with(attribute))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_block_that_rustdoc_would_test_becomes_text() {
        for (text, expected) in [
            // Indented.
            ("    x", "```text\nx\n```"),
            ("# H\n    x", "# H\n```text\nx\n```"),
            ("---\n    x\n\n      y", "---\n```text\nx\n\n  y\n```"),
            ("```c\n```\n    x", "```c\n```\n```text\nx\n```"),
            ("    ```\n    x", "````text\n```\nx\n````"),
            ("a\n    b", "a\n    b"),
            // In containers.
            (
                "- a\n\n      x\n      y",
                "- a\n\n  ```text\n  x\n  y\n  ```",
            ),
            ("-     x\n      y", "- ```text\n  x\n  y\n  ```"),
            ("1.     x", "1. ```text\n   x\n   ```"),
            (">     x\n>\n>     y", "> ```text\n> x\n>\n> y\n> ```"),
            ("- >     x", "- > ```text\n  > x\n  > ```"),
            ("- ```\n  x\n  ```", "- ```text\n  x\n  ```"),
            ("> ~~~ rust\n> x\n> ~~~", "> ~~~text\n> x\n> ~~~"),
            // Fenced, by info string.
            ("```\nx\n```", "```text\nx\n```"),
            ("```{.rust}\nx\n```", "```text\nx\n```"),
            ("```ignore-windows\nx\n```", "```text\nx\n```"),
            ("```should_panic text\nx\n```", "```text\nx\n```"),
            ("```compile_fail,E0425\nx\n```", "```text\nx\n```"),
            ("```E0425\nx\n```", "```text\nx\n```"),
            ("```edition2021\nx\n```", "```text\nx\n```"),
            ("```json rust\nx\n```", "```json\nx\n```"),
            ("```proto\nx\n```", "```proto\nx\n```"),
            // No blocks.
            ("```word```", "```word```"),
            ("a ```\nb", "a ```\nb"),
        ] {
            assert_eq!(without_doctests(text.to_owned()), expected, "{text:?}");
        }
    }
}
