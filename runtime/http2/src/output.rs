//! What is to be written to the peer.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// A payload from this length on is kept as it is, to be written from where it lies; a shorter one
/// is copied beside the frames around it, which costs less than a slice of its own.
const SEGMENT: usize = 1_024;

/// How much of what is already written may stand in front of what is not.
const MAX_WRITTEN: usize = 32 * 1_024;

/// Octets in the order of the wire: small things in one buffer, large ones between them.
///
/// The caller takes [`chunk`](Self::chunk) or [`slices`](Self::slices), writes what it can of them,
/// and says how much that was with [`advance`](Self::advance).
#[derive(Debug, Default)]
pub struct Output {
    buffer: Vec<u8>,
    /// How much of the buffer is written.
    written: usize,
    segments: VecDeque<Segment>,
    /// The octets of the segments.
    segment_octets: usize,
    /// All octets ever written.
    total_written: u64,
}

#[derive(Debug)]
struct Segment {
    /// The place in the buffer before which the segment stands.
    at: usize,
    octets: Bytes,
}

impl Output {
    /// How many octets wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.buffer.len() - self.written + self.segment_octets
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first octets to write, as many as lie together; empty if nothing waits.
    pub fn chunk(&self) -> &[u8] {
        match self.segments.front() {
            Some(segment) if segment.at == self.written => &segment.octets,
            Some(segment) => &self.buffer[self.written..segment.at],
            None => &self.buffer[self.written..],
        }
    }

    /// Whether all that waits lies together.
    #[inline]
    pub fn is_one_chunk(&self) -> bool {
        self.segments.is_empty()
    }

    /// Fills `slices` with what to write, in order. Returns how many it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut push = |octets: &'a [u8]| {
            if octets.is_empty() {
                return true;
            }
            let Some(slice) = slices.get_mut(filled) else {
                return false;
            };
            *slice = IoSlice::new(octets);
            filled += 1;
            true
        };
        let mut from = self.written;
        for segment in &self.segments {
            if !push(&self.buffer[from..segment.at]) || !push(&segment.octets) {
                return filled;
            }
            from = segment.at;
        }
        push(&self.buffer[from..]);
        filled
    }

    /// The first `count` octets, or all if there are fewer, are written.
    pub fn advance(&mut self, count: usize) {
        let mut left = count.min(self.len());
        self.total_written += left as u64;
        while let Some(segment) = self.segments.front_mut() {
            let before = left.min(segment.at - self.written);
            self.written += before;
            left -= before;
            if self.written < segment.at || left == 0 {
                return;
            }
            let part = left.min(segment.octets.len());
            left -= part;
            self.segment_octets -= part;
            if part < segment.octets.len() {
                bytes::Buf::advance(&mut segment.octets, part);
                return;
            }
            self.segments.pop_front();
        }
        self.written += left;
        if self.written == self.buffer.len() {
            self.buffer.clear();
            self.written = 0;
        } else if self.written > MAX_WRITTEN {
            self.compact();
        }
    }

    /// All octets ever written: a place in the stream of them.
    pub(super) fn total_written(&self) -> u64 {
        self.total_written
    }

    /// The place in the stream of octets where the next one will be.
    pub(super) fn end(&self) -> u64 {
        self.total_written + self.len() as u64
    }

    /// The buffer, to append frames to.
    #[inline]
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Appends a payload, whose frame's head was appended before.
    #[inline]
    pub(super) fn push(&mut self, octets: Bytes) {
        if octets.len() < SEGMENT {
            self.buffer.extend_from_slice(&octets);
        } else {
            self.segment_octets += octets.len();
            self.segments.push_back(Segment {
                at: self.buffer.len(),
                octets,
            });
        }
    }

    /// Gives back the memory that nothing uses now.
    pub(super) fn trim(&mut self) {
        if self.is_empty() {
            self.buffer = Vec::new();
            self.segments = VecDeque::new();
        }
    }

    fn compact(&mut self) {
        self.buffer.drain(..self.written);
        for segment in &mut self.segments {
            segment.at -= self.written;
        }
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small, large, small, large and large, small: and what that is as one string of octets.
    fn filled() -> (Output, Vec<u8>) {
        let mut output = Output::default();
        let mut expected = Vec::new();
        for (length, fill) in [(9, 1), (2_000, 2), (30, 3), (1_024, 4), (5_000, 5), (12, 6)] {
            let octets = vec![fill; length];
            expected.extend_from_slice(&octets);
            output.push(octets.into());
        }
        (output, expected)
    }

    fn gather(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = output.slices(&mut slices);
        slices[..count]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    #[test]
    fn octets_come_out_in_the_order_they_went_in_however_they_are_taken() {
        for step in [1, 7, 9, 10, 1_000, 2_009, 100_000] {
            let (mut output, expected) = filled();
            let mut written = 0;
            while !output.is_empty() {
                assert_eq!(gather(&output), expected[written..], "step {step}");
                assert!(expected[written..].starts_with(output.chunk()));
                assert!(!output.chunk().is_empty());
                output.advance(step);
                written = (written + step).min(expected.len());
                assert_eq!(output.len(), expected.len() - written);
            }
            assert_eq!(output.total_written(), expected.len() as u64);
        }
    }

    #[test]
    fn what_is_appended_while_some_is_unwritten_follows_it() {
        let (mut output, mut expected) = filled();
        output.advance(1_500);
        output.push(vec![7; 3_000].into());
        output.push(vec![8; 3].into());
        expected.extend([7; 3_000]);
        expected.extend([8; 3]);
        assert_eq!(gather(&output), expected[1_500..]);
    }

    #[test]
    fn fewer_slices_than_there_are_hold_the_first() {
        let (output, expected) = filled();
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(output.slices(&mut slices), 2);
        assert_eq!(slices[0].len() + slices[1].len(), 2_009);
        assert_eq!(slices[1][..], expected[9..2_009]);
    }

    #[test]
    fn what_is_written_does_not_pile_up_behind_what_is_not() {
        let mut output = Output::default();
        for _ in 0..1_000 {
            output.push(vec![1; 1_000].into());
            output.advance(999);
        }
        assert!(output.buffer.len() < 3 * MAX_WRITTEN);
        assert_eq!(output.len(), 1_000);
    }

    #[test]
    fn a_long_payload_is_not_copied() {
        let mut output = Output::default();
        let payload = Bytes::from(vec![1; SEGMENT]);
        output.push(payload.clone());
        assert_eq!(output.chunk().as_ptr(), payload.as_ptr());
    }
}
