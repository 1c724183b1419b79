//! The record of what an end received, and its comparison with the script.

use std::collections::BTreeMap;

use super::content::Content;
use super::script::{Call, Exchange, Fields};
use crate::Role;

/// The record of one end, by the number of the call.
pub(super) type Transcript = BTreeMap<usize, Received>;

/// The record of one end in one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) head: Option<Fields>,
    pub(super) octets: u64,
    /// The offset of the first content that differs from the sent content.
    pub(super) damaged_at: Option<u64>,
    pub(super) end: Option<End>,
    /// The code of the other end's RST_STREAM.
    pub(super) reset: Option<u32>,
}

/// The way in which the other end ended its direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    EndStream,
    Trailers(Fields),
}

impl Received {
    /// Records received content, which `sender` sent.
    pub(super) fn data(&mut self, number: usize, sender: Role, part: &[u8]) {
        let expected = Content::of(number, sender).part(self.octets, part.len());
        if part != expected && self.damaged_at.is_none() {
            self.damaged_at = Some(self.octets);
        }
        self.octets += part.len() as u64;
    }

    /// Records END_STREAM if it is set.
    pub(super) fn end_if(&mut self, end_stream: bool) {
        if end_stream && self.end.is_none() {
            self.end = Some(End::EndStream);
        }
    }

    /// Returns `true` if the head and this many octets have arrived.
    pub(super) fn has(&self, octets: u64) -> bool {
        self.head.is_some() && self.octets >= octets
    }

    /// Returns `true` if this record is possible for a call that was interrupted at any point.
    fn is_prefix_of(&self, whole: &Self) -> bool {
        self.octets <= whole.octets
            && self.damaged_at.is_none()
            && (self.head.is_none() || self.head == whole.head)
            && (self.end.is_none() || self.end == whole.end)
    }
}

/// Panics if an end received something other than the other end sent.
pub(super) fn check(exchange: &Exchange, role: Role, mut transcript: Transcript) {
    for call in exchange.calls() {
        let received = transcript.remove(&call.number).unwrap_or_default();
        let expected = call.expected_at(role);
        if call.abrupt {
            assert!(
                received.is_prefix_of(&expected),
                "the {role:?} received {received:?} of {expected:?} in {call:#?}"
            );
        } else {
            assert_eq!(
                received, expected,
                "what the {role:?} has received in {call:#?}"
            );
        }
    }
    assert!(transcript.is_empty(), "calls that are not in the script");
}

/// Returns the number of the call that a request opens.
pub(super) fn call_number(head: &Fields) -> usize {
    let field = head.iter().find(|(name, _)| name == Call::NUMBER);
    let (_, value) = field.expect("every request has its number");
    value.parse().expect("a number")
}
