//! The transcript of a connection, both ways: the text of a failed expectation.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::frame::RawFrame;
use crate::header_list::HeaderList;

/// The maximum number of lines; a flood removes the oldest.
const LINES: usize = 400;

/// The frames of one connection, as the peer saw them. Its `Display` is one line a frame:
///
/// ```text
///    0.4 ms  -> SETTINGS stream=0 len=0
///    0.9 ms  <- HEADERS stream=1 len=54 END_HEADERS
///                   :status: 200
///    1.1 ms  -> PING stream=0 len=8 "01234567"  (10000 times)
/// ```
pub struct Transcript {
    start: Instant,
    lines: VecDeque<Line>,
    forgotten: usize,
}

struct Line {
    at: Duration,
    mark: &'static str,
    text: String,
    times: usize,
}

impl Transcript {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            lines: VecDeque::new(),
            forgotten: 0,
        }
    }

    /// A frame that the peer sent.
    pub(crate) fn sent(&mut self, raw: &RawFrame) {
        self.push("->", raw.to_string());
    }

    /// A frame that the peer sent many times over.
    pub(crate) fn flooded(&mut self, raw: &RawFrame, times: usize) {
        self.push("->", raw.to_string());
        if let Some(line) = self.lines.back_mut() {
            line.times += times - 1;
        }
    }

    /// A frame that the peer read.
    pub(crate) fn received(&mut self, raw: &RawFrame) {
        self.push("<-", raw.to_string());
    }

    /// The fields of the header block above.
    pub(crate) fn fields(&mut self, fields: &HeaderList) {
        for line in fields.to_string().lines() {
            self.push("", format!("    {line}"));
        }
    }

    /// Something that is no frame.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.push("--", text.into());
    }

    fn push(&mut self, mark: &'static str, text: String) {
        if let Some(last) = self.lines.back_mut()
            && !mark.is_empty()
            && (last.mark, &last.text) == (mark, &text)
        {
            last.times += 1;
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
            self.forgotten += 1;
        }
        self.lines.push_back(Line {
            at: self.start.elapsed(),
            mark,
            text,
            times: 1,
        });
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            writeln!(f, "    (nothing yet)")?;
        }
        if self.forgotten > 0 {
            writeln!(f, "    ({} earlier lines left out)", self.forgotten)?;
        }
        for line in &self.lines {
            match line.mark {
                "" => write!(f, "{:>18}{}", "", line.text)?,
                mark => {
                    let millis = line.at.as_secs_f64() * 1e3;
                    write!(f, "{millis:>9.1} ms  {mark:<2} {}", line.text)?;
                }
            }
            match line.times {
                1 => writeln!(f)?,
                times => writeln!(f, "  ({times} times)")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{WireFrame, ping, settings};

    #[test]
    fn equal_frames_in_a_row_take_one_line() {
        let mut transcript = Transcript::new();
        transcript.sent(&settings().raw());
        for _ in 0..3 {
            transcript.sent(&ping(*b"01234567").raw());
        }
        transcript.received(&ping(*b"01234567").raw());
        let text = transcript.to_string();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains("-> PING stream=0 len=8 \"01234567\"  (3 times)"),
            "{text}"
        );
    }

    #[test]
    fn a_flood_pushes_the_oldest_lines_out() {
        let mut transcript = Transcript::new();
        for count in 0..LINES + 2 {
            transcript.note(format!("note {count}."));
        }
        let text = transcript.to_string();
        assert!(text.contains("(2 earlier lines left out)"), "{text}");
        assert!(!text.contains("note 1."), "{text}");
        assert!(text.contains("note 2."), "{text}");
    }
}
