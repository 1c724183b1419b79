//! Header blocks that are encoded in advance.

use bytes::Bytes;

use super::frame::Head;
use super::hpack::{self, FieldRef};

/// Header fields encoded in advance, without the dynamic table.
///
/// The octets are valid on every connection at any time. Sending a static block only copies its
/// octets, so it suits the headers and trailers of most responses.
#[derive(Clone, Debug)]
pub struct StaticBlock {
    /// Space for a frame head, then the encoded fields. The whole frame is copied at once.
    framed: Bytes,
    list_size: usize,
}

impl StaticBlock {
    /// Encodes fields. Their names must be in lower case.
    pub fn new<'a>(fields: impl IntoIterator<Item = FieldRef<'a>>) -> Self {
        let mut octets = vec![0; Head::LEN];
        let mut list_size = 0;
        for field in fields {
            list_size += field.size();
            hpack::encode_stateless(field, &mut octets);
        }
        Self {
            framed: octets.into(),
            list_size,
        }
    }

    /// Returns the encoded fields, which are a fragment of a header block.
    #[inline]
    pub fn octets(&self) -> &[u8] {
        &self.framed[Head::LEN..]
    }

    /// Returns space for a frame head, followed by the encoded fields.
    #[inline]
    pub(super) fn framed(&self) -> &[u8] {
        &self.framed
    }

    /// Returns the fields' size in a header list, in octets including 32 for each field (RFC 9113
    /// section 6.5.2).
    #[inline]
    pub fn list_size(&self) -> usize {
        self.list_size
    }
}
