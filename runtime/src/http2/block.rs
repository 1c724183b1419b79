//! A header list on its way out.

use super::hpack::{Encoder, Field, FieldRef};
use super::static_block::StaticBlock;

/// The fields of a HEADERS frame to send: a [`StaticBlock`], any other fields, or both in this order.
/// The fields are walked twice, once to know their size, so their iterator has to be cloneable.
#[derive(Clone, Debug)]
pub(crate) struct Block<'a, I> {
    prepared: Option<&'a StaticBlock>,
    fields: I,
}

/// No fields beside a [`StaticBlock`].
pub(crate) type NoFields = std::iter::Empty<FieldRef<'static>>;

impl<'a> Block<'a, NoFields> {
    /// Only what was encoded ahead of time.
    #[inline]
    pub(crate) fn prepared(prepared: &'a StaticBlock) -> Self {
        Self {
            prepared: Some(prepared),
            fields: std::iter::empty(),
        }
    }

    /// These fields after what was encoded ahead of time.
    pub(crate) fn with<'f, I>(self, fields: I) -> Block<'a, I::IntoIter>
    where
        I: IntoIterator<Item = FieldRef<'f>>,
    {
        Block {
            prepared: self.prepared,
            fields: fields.into_iter(),
        }
    }
}

impl<I> Block<'_, I> {
    /// These fields.
    pub(crate) fn fields<'f>(fields: impl IntoIterator<Item = FieldRef<'f>, IntoIter = I>) -> Self {
        Self {
            prepared: None,
            fields: fields.into_iter(),
        }
    }
}

impl<'f, I: Iterator<Item = FieldRef<'f>> + Clone> Block<'_, I> {
    /// What the fields count in a header list (RFC 9113 section 6.5.2).
    #[inline]
    pub(super) fn list_size(&self) -> usize {
        let prepared = self.prepared.map_or(0, StaticBlock::list_size);
        prepared + self.fields.clone().map(FieldRef::size).sum::<usize>()
    }

    /// Appends the header block.
    #[inline]
    pub(super) fn encode(&self, encoder: &mut Encoder, out: &mut Vec<u8>) {
        encoder.begin(out);
        if let Some(prepared) = self.prepared {
            out.extend_from_slice(prepared.octets());
        }
        for field in self.fields.clone() {
            encoder.encode(field, out);
        }
    }

    /// The whole block behind the room of a frame's head, if it is ready as it is: nothing to encode
    /// in it, and nothing to say to the peer before it.
    #[inline]
    pub(super) fn framed(&self, encoder: &Encoder) -> Option<&[u8]> {
        match self.prepared {
            Some(prepared) if encoder.is_settled() && self.fields.clone().next().is_none() => {
                Some(prepared.framed())
            }
            _ => None,
        }
    }

    /// The block with fields of its own, to wait until it can be sent: it has to be encoded in the
    /// order of the wire, because the dynamic table depends on that.
    pub(super) fn to_owned(&self) -> OwnedBlock {
        OwnedBlock {
            prepared: self.prepared.cloned(),
            fields: self.fields.clone().map(FieldRef::to_field).collect(),
        }
    }
}

/// A [`Block`] that waits.
#[derive(Clone, Debug)]
pub(super) struct OwnedBlock {
    prepared: Option<StaticBlock>,
    fields: Vec<Field>,
}

impl OwnedBlock {
    /// The block, to be encoded.
    pub(super) fn borrow(&self) -> Block<'_, impl Iterator<Item = FieldRef<'_>> + Clone> {
        Block {
            prepared: self.prepared.as_ref(),
            fields: self.fields.iter().map(Field::as_ref),
        }
    }
}
