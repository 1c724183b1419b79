//! What an end has heard on a stream.

use std::collections::BTreeMap;

use super::content::Content;
use super::script::{Call, Exchange, Fields};
use crate::Role;

/// What one end has heard, by the number of the call.
pub(super) type Transcript = BTreeMap<usize, Heard>;

/// What one end has heard in one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) head: Option<Fields>,
    pub(super) octets: u64,
    /// Where the first content was that is not what was sent.
    pub(super) damaged_at: Option<u64>,
    pub(super) end: Option<End>,
    /// The code of the other end's RST_STREAM.
    pub(super) reset: Option<u32>,
}

/// How the other end stopped sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    EndStream,
    Trailers(Fields),
}

impl Heard {
    /// A part of what this end sends has arrived.
    pub(super) fn data(&mut self, number: usize, sender: Role, part: &[u8]) {
        let expected = Content::of(number, sender).part(self.octets, part.len());
        if part != expected && self.damaged_at.is_none() {
            self.damaged_at = Some(self.octets);
        }
        self.octets += part.len() as u64;
    }

    /// END_STREAM may have come.
    pub(super) fn end_if(&mut self, end_stream: bool) {
        if end_stream && self.end.is_none() {
            self.end = Some(End::EndStream);
        }
    }

    /// Whether the other end has begun, and sent this much.
    pub(super) fn has(&self, octets: u64) -> bool {
        self.head.is_some() && self.octets >= octets
    }

    /// Whether this may have been heard when the call was cut off anywhere.
    fn is_cut_from(&self, whole: &Self) -> bool {
        self.octets <= whole.octets
            && self.damaged_at.is_none()
            && (self.head.is_none() || self.head == whole.head)
            && (self.end.is_none() || self.end == whole.end)
    }
}

/// Fails if an end has heard something else than the other end said.
pub(super) fn check(exchange: &Exchange, role: Role, mut transcript: Transcript) {
    for call in exchange.calls() {
        let heard = transcript.remove(&call.number).unwrap_or_default();
        let expected = call.to_be_heard_by(role);
        if call.abrupt {
            assert!(
                heard.is_cut_from(&expected),
                "the {role:?} has heard {heard:?} of {expected:?} in {call:#?}"
            );
        } else {
            assert_eq!(heard, expected, "what the {role:?} has heard in {call:#?}");
        }
    }
    assert!(transcript.is_empty(), "calls that nobody made");
}

/// The number of the call that a request opens.
pub(super) fn call_number(head: &Fields) -> usize {
    let field = head.iter().find(|(name, _)| name == Call::NUMBER);
    let (_, value) = field.expect("every request has its number");
    value.parse().expect("a number")
}
