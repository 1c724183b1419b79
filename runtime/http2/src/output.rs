//! The octets to write to the peer.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// The minimum length of a payload that is kept without a copy, in octets.
///
/// Copying a shorter payload into the buffer costs less than a slice of its own.
const SEGMENT: usize = 1_024;

/// The maximum number of written octets at the front of the buffer before it is compacted.
const MAX_WRITTEN: usize = 32 * 1_024;

/// The octets that wait to be written to the peer, in order.
///
/// The owner takes [`chunk`](Self::chunk) or [`slices`](Self::slices), writes as much of them as
/// the socket accepts, and reports the number of octets with [`advance`](Self::advance).
#[derive(Debug, Default)]
pub struct Output {
    /// Frame heads, control frames and short payloads.
    buffer: Vec<u8>,
    /// The length of the written part at the front of the buffer.
    written: usize,
    /// Long payloads, which are not copied.
    segments: VecDeque<Segment>,
    /// The total length of the segments.
    segment_octets: usize,
    /// The number of octets written since the connection was created.
    total_written: u64,
}

#[derive(Debug)]
struct Segment {
    /// The offset in the buffer at which the segment is inserted.
    at: usize,
    octets: Bytes,
}

impl Output {
    /// Returns the number of waiting octets.
    #[inline]
    pub fn len(&self) -> usize {
        self.buffer.len() - self.written + self.segment_octets
    }

    /// Returns `true` if no octets wait.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the first contiguous octets to write. The slice is empty if nothing waits.
    #[inline]
    pub fn chunk(&self) -> &[u8] {
        match self.segments.front() {
            Some(segment) if segment.at == self.written => &segment.octets,
            Some(segment) => &self.buffer[self.written..segment.at],
            None => &self.buffer[self.written..],
        }
    }

    /// Returns `true` if [`chunk`](Self::chunk) returns all waiting octets.
    #[inline]
    pub fn is_one_chunk(&self) -> bool {
        self.chunk().len() == self.len()
    }

    /// Fills `slices` with the octets to write, in order, for a vectored write. Returns the number
    /// of filled slices.
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

    /// Removes the first `count` octets, which have been written. Removes all octets if there are
    /// fewer.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        if self.segments.is_empty() && count >= self.len() {
            // The usual case: everything was one chunk, and the socket accepted all of it.
            self.total_written += self.len() as u64;
            self.buffer.clear();
            self.written = 0;
        } else {
            self.advance_part(count);
        }
    }

    fn advance_part(&mut self, count: usize) {
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

    /// Returns the number of octets written since the connection was created.
    #[inline]
    pub(super) fn total_written(&self) -> u64 {
        self.total_written
    }

    /// Returns [`total_written`](Self::total_written) as it will be when everything is written.
    #[inline]
    pub(super) fn end(&self) -> u64 {
        self.total_written + self.len() as u64
    }

    /// Returns the buffer, to append frames to.
    #[inline]
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Appends a payload. The frame head precedes it in the buffer.
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

    /// Frees unused memory.
    pub(super) fn shrink(&mut self) {
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

    /// An output of short and long payloads, and the same octets in one vector.
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
    fn octets_come_out_in_order_for_every_size_of_write() {
        for step in [1, 7, 9, 10, 1_000, 2_009, 100_000] {
            let (mut output, expected) = filled();
            let mut written = 0;
            while !output.is_empty() {
                assert_eq!(gather(&output), expected[written..], "step {step}");
                assert!(expected[written..].starts_with(output.chunk()));
                assert!(!output.chunk().is_empty());
                assert_eq!(output.is_one_chunk(), output.chunk().len() == output.len());
                output.advance(step);
                written = (written + step).min(expected.len());
                assert_eq!(output.len(), expected.len() - written);
            }
            assert_eq!(output.total_written(), expected.len() as u64);
        }
    }

    #[test]
    fn octets_appended_after_a_partial_write_follow_the_rest() {
        let (mut output, mut expected) = filled();
        output.advance(1_500);
        output.push(vec![7; 3_000].into());
        output.push(vec![8; 3].into());
        expected.extend([7; 3_000]);
        expected.extend([8; 3]);
        assert_eq!(gather(&output), expected[1_500..]);
    }

    #[test]
    fn too_few_slices_hold_the_first_octets() {
        let (output, expected) = filled();
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(output.slices(&mut slices), 2);
        assert_eq!(slices[0].len() + slices[1].len(), 2_009);
        assert_eq!(slices[1][..], expected[9..2_009]);
    }

    #[test]
    fn written_octets_do_not_accumulate_in_the_buffer() {
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
