//! A header list on its way out.

use super::hpack::{Encoder, Field, FieldRef};
use super::recurring::Recurring;
use super::static_block::StaticBlock;

/// The fields of a HEADERS frame to send: some that need no encoding, any others, or both in this
/// order. The others are walked twice, once to know their size, so their iterator has to be
/// cloneable.
#[derive(Clone, Debug)]
pub struct Block<'a, I> {
    first: First<'a>,
    fields: I,
}

/// What a block begins with.
#[derive(Clone, Copy, Debug)]
enum First<'a> {
    Nothing,
    Static(&'a StaticBlock),
    Recurring(&'a Recurring),
}

/// No fields beside the first.
pub type NoFields = std::iter::Empty<FieldRef<'static>>;

impl<'a> Block<'a, NoFields> {
    /// Only what was encoded ahead of time.
    #[inline]
    pub fn prepared(prepared: &'a StaticBlock) -> Self {
        Self {
            first: First::Static(prepared),
            fields: std::iter::empty(),
        }
    }

    /// Only what this connection has often sent before.
    #[inline]
    pub fn recurring(recurring: &'a Recurring) -> Self {
        Self {
            first: First::Recurring(recurring),
            fields: std::iter::empty(),
        }
    }

    /// These fields after the first.
    pub fn with<'f, I>(self, fields: I) -> Block<'a, I::IntoIter>
    where
        I: IntoIterator<Item = FieldRef<'f>>,
    {
        Block {
            first: self.first,
            fields: fields.into_iter(),
        }
    }
}

impl<I> Block<'_, I> {
    /// These fields.
    pub fn fields<'f>(fields: impl IntoIterator<Item = FieldRef<'f>, IntoIter = I>) -> Self {
        Self {
            first: First::Nothing,
            fields: fields.into_iter(),
        }
    }
}

impl<'f, I: Iterator<Item = FieldRef<'f>> + Clone> Block<'_, I> {
    /// What the fields count in a header list (RFC 9113 section 6.5.2).
    #[inline]
    pub fn list_size(&self) -> usize {
        let first = match self.first {
            First::Nothing => 0,
            First::Static(prepared) => prepared.list_size(),
            First::Recurring(recurring) => recurring.list_size(),
        };
        first + self.fields.clone().map(FieldRef::size).sum::<usize>()
    }

    /// Appends the header block.
    #[inline]
    pub(super) fn encode(&self, encoder: &mut Encoder, out: &mut Vec<u8>) {
        encoder.begin(out);
        match self.first {
            First::Nothing => {}
            First::Static(prepared) => out.extend_from_slice(prepared.octets()),
            First::Recurring(recurring) => recurring.encode(encoder, out),
        }
        for field in self.fields.clone() {
            encoder.encode(field, out);
        }
    }

    /// The whole block behind the room of a frame's head, if it is ready as it is: nothing to
    /// encode in it, and nothing to say to the peer before it.
    #[inline]
    pub(super) fn framed(&self, encoder: &Encoder) -> Option<&[u8]> {
        match self.first {
            First::Static(prepared)
                if encoder.is_settled() && self.fields.clone().next().is_none() =>
            {
                Some(prepared.framed())
            }
            _ => None,
        }
    }

    /// The block with fields of its own, to wait until it can be sent: it has to be encoded in the
    /// order of the wire, because the dynamic table depends on that.
    pub(super) fn to_owned(&self) -> OwnedBlock {
        let (prepared, mut fields) = match self.first {
            First::Nothing => (None, Vec::new()),
            First::Static(prepared) => (Some(prepared.clone()), Vec::new()),
            First::Recurring(recurring) => {
                (None, recurring.fields().map(FieldRef::to_field).collect())
            }
        };
        fields.extend(self.fields.clone().map(FieldRef::to_field));
        OwnedBlock { prepared, fields }
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
            first: self.prepared.as_ref().map_or(First::Nothing, First::Static),
            fields: self.fields.iter().map(Field::as_ref),
        }
    }
}
