//! The header block of HEADERS and PUSH_PROMISE, and its fragments (RFC 9113 section 4.3).

use bytes::Bytes;

use crate::header_list::HeaderList;
use crate::hpack;

use super::{RawFrame, flag, kind};

/// Header fields, their encoding, and the cuts between the frames that carry it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderBlock {
    /// The decoded fields.
    pub fields: HeaderList,
    /// The octets. When sending, `None` means that `fields` are written as plain literals; a block
    /// that was received always has them.
    pub encoded: Option<Bytes>,
    /// The lengths of all fragments but the last: empty means one frame.
    pub cuts: Vec<usize>,
}

impl HeaderBlock {
    /// A block as it was read.
    pub(crate) fn received(fields: HeaderList, fragments: &[Bytes]) -> Self {
        let mut cuts: Vec<usize> = fragments.iter().map(Bytes::len).collect();
        cuts.pop();
        Self {
            fields,
            encoded: Some(fragments.concat().into()),
            cuts,
        }
    }

    /// The octets on the wire.
    pub fn octets(&self) -> Bytes {
        self.encoded
            .clone()
            .unwrap_or_else(|| hpack::encode(&self.fields).into())
    }

    /// The octets as the frames carry them, at least one fragment.
    fn fragments(&self) -> Vec<Bytes> {
        let mut rest = self.octets();
        let mut fragments: Vec<Bytes> = self
            .cuts
            .iter()
            .map(|&length| rest.split_to(length.min(rest.len())))
            .collect();
        fragments.push(rest);
        fragments
    }

    /// The frames of the block: `opening` makes the first from its fragment, CONTINUATIONs follow.
    /// `end_headers` is set on the last.
    pub(crate) fn frames(
        &self,
        stream_id: u32,
        end_headers: bool,
        opening: impl FnOnce(&Bytes) -> RawFrame,
    ) -> Vec<RawFrame> {
        let fragments = self.fragments();
        let mut frames = vec![opening(&fragments[0])];
        frames.extend(
            fragments[1..]
                .iter()
                .map(|fragment| RawFrame::new(kind::CONTINUATION, 0, stream_id, fragment)),
        );
        if end_headers && let Some(last) = frames.last_mut() {
            last.flags |= flag::END_HEADERS;
        }
        frames
    }
}
