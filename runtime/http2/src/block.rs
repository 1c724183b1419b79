//! A header list to send.

use super::cached_headers::CachedHeaders;
use super::hpack::{Encoder, Field, FieldRef};
use super::static_block::StaticBlock;

/// The fields of a HEADERS frame to send: a [`StaticBlock`] or [`CachedHeaders`], then further
/// fields.
///
/// Both parts are optional. The further fields are iterated twice, first to compute their size, so
/// their iterator must implement `Clone`.
#[derive(Clone, Debug)]
pub struct Block<'a, I> {
    first: First<'a>,
    fields: I,
}

/// The first part of a block.
#[derive(Clone, Copy, Debug)]
enum First<'a> {
    Nothing,
    Static(&'a StaticBlock),
    Cached(&'a CachedHeaders),
}

/// The iterator type of a block without further fields.
pub type NoFields = std::iter::Empty<FieldRef<'static>>;

impl<'a> Block<'a, NoFields> {
    /// Creates a block of fields that are already encoded.
    #[inline]
    pub fn prepared(prepared: &'a StaticBlock) -> Self {
        Self {
            first: First::Static(prepared),
            fields: std::iter::empty(),
        }
    }

    /// Creates a block of fields that this connection sends often.
    #[inline]
    pub fn cached(cached: &'a CachedHeaders) -> Self {
        Self {
            first: First::Cached(cached),
            fields: std::iter::empty(),
        }
    }

    /// Adds fields after the first part.
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
    /// Creates a block of fields that are encoded when the block is sent.
    pub fn fields<'f>(fields: impl IntoIterator<Item = FieldRef<'f>, IntoIter = I>) -> Self {
        Self {
            first: First::Nothing,
            fields: fields.into_iter(),
        }
    }
}

impl<'f, I: Iterator<Item = FieldRef<'f>> + Clone> Block<'_, I> {
    /// Returns the size of the header list, in octets including 32 for each field (RFC 9113 section
    /// 6.5.2).
    #[inline]
    pub fn list_size(&self) -> usize {
        let first = match self.first {
            First::Nothing => 0,
            First::Static(prepared) => prepared.list_size(),
            First::Cached(cached) => cached.list_size(),
        };
        first + self.fields.clone().map(FieldRef::size).sum::<usize>()
    }

    /// Appends the encoded header block to `out`.
    #[inline]
    pub(super) fn encode(&self, encoder: &mut Encoder, out: &mut Vec<u8>) {
        encoder.begin(out);
        match self.first {
            First::Nothing => {}
            First::Static(prepared) => out.extend_from_slice(prepared.octets()),
            First::Cached(cached) => cached.encode(encoder, out),
        }
        for field in self.fields.clone() {
            encoder.encode(field, out);
        }
    }

    /// Returns the encoded block with space for a frame head before it, if no encoding is
    /// necessary: all fields are static, and no dynamic table size update is pending.
    #[inline]
    pub(super) fn framed(&self, encoder: &Encoder) -> Option<&[u8]> {
        match self.first {
            First::Static(prepared)
                if !encoder.has_pending_resize() && self.fields.clone().next().is_none() =>
            {
                Some(prepared.framed())
            }
            _ => None,
        }
    }

    /// Creates an owned copy of the block, which waits until it can be sent.
    ///
    /// The copy is not encoded yet: blocks must be encoded in the order in which they are sent,
    /// because encoding changes the dynamic table.
    pub(super) fn to_owned(&self) -> OwnedBlock {
        let (prepared, mut fields) = match self.first {
            First::Nothing => (None, Vec::new()),
            First::Static(prepared) => (Some(prepared.clone()), Vec::new()),
            First::Cached(cached) => (None, cached.fields().map(FieldRef::to_field).collect()),
        };
        fields.extend(self.fields.clone().map(FieldRef::to_field));
        OwnedBlock { prepared, fields }
    }
}

/// A [`Block`] with its own memory, which waits to be sent.
#[derive(Clone, Debug)]
pub(super) struct OwnedBlock {
    prepared: Option<StaticBlock>,
    fields: Vec<Field>,
}

impl OwnedBlock {
    /// Returns the block for encoding.
    pub(super) fn borrow(&self) -> Block<'_, impl Iterator<Item = FieldRef<'_>> + Clone> {
        Block {
            first: self.prepared.as_ref().map_or(First::Nothing, First::Static),
            fields: self.fields.iter().map(Field::as_ref),
        }
    }
}
