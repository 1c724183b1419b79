//! Header blocks encoded ahead of time.

use bytes::Bytes;

use super::frame::Head;
use super::hpack::{self, FieldRef};

/// Fields encoded without reference to a dynamic table, so that the octets are right on every
/// connection at any time. For what goes out with every call: sending one copies a few octets.
#[derive(Clone, Debug)]
pub struct StaticBlock {
    /// The encoded fields, behind the room of a frame's head: then all of a frame but its head can
    /// be copied at once.
    framed: Bytes,
    list_size: usize,
}

impl StaticBlock {
    /// Encodes fields; their names have to be in lower case.
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

    /// The encoded fields: a piece of a header block.
    #[inline]
    pub fn octets(&self) -> &[u8] {
        &self.framed[Head::LEN..]
    }

    /// The encoded fields, behind as many octets as a frame's head takes.
    #[inline]
    pub fn framed(&self) -> &[u8] {
        &self.framed
    }

    /// What the fields count in a header list (RFC 9113 section 6.5.2).
    #[inline]
    pub fn list_size(&self) -> usize {
        self.list_size
    }
}
