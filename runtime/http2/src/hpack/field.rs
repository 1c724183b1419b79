//! A header field: what is decoded, and what is to be encoded.

use bytes::Bytes;

use super::{Defect, FIELD_OVERHEAD};

/// A field as it was received. Name and value are any octets; their meaning is judged elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: Bytes,
    /// The value.
    pub value: Bytes,
    /// Whoever passes the field on has to keep it out of dynamic tables as well (RFC 7541 section
    /// 6.2.3).
    pub never_indexed: bool,
    /// What no field may have.
    pub defect: Option<Defect>,
}

impl Field {
    /// The field, borrowed.
    pub fn as_ref(&self) -> FieldRef<'_> {
        FieldRef {
            name: &self.name,
            value: &self.value,
            never_indexed: self.never_indexed,
        }
    }
}

/// A field to be sent. The name has to be in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRef<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// Keep the value out of the dynamic tables, here and wherever it is passed on to: for secrets
    /// (RFC 7541 section 7.1.3). Some names are treated so whatever this says.
    pub never_indexed: bool,
}

impl<'a> FieldRef<'a> {
    /// A field that is no secret.
    pub const fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self {
            name,
            value,
            never_indexed: false,
        }
    }

    /// What the field counts in a dynamic table and in a header list.
    pub const fn size(self) -> usize {
        self.name.len() + self.value.len() + FIELD_OVERHEAD
    }

    /// The field with octets of its own.
    pub fn to_field(self) -> Field {
        Field {
            name: Bytes::copy_from_slice(self.name),
            value: Bytes::copy_from_slice(self.value),
            never_indexed: self.never_indexed,
            defect: None,
        }
    }
}
