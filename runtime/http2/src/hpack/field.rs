//! Header fields: received and to be sent.

use bytes::Bytes;

use super::{Defect, FIELD_OVERHEAD};

/// A received header field. The name and the value may contain any octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: Bytes,
    /// The value.
    pub value: Bytes,
    /// `true` if an intermediary must keep the field out of dynamic tables as well (RFC 7541
    /// section 6.2.3).
    pub never_indexed: bool,
    /// The defect that makes the field malformed, if any.
    pub defect: Option<Defect>,
}

impl Field {
    /// Returns the field in borrowed form.
    #[inline]
    pub fn as_ref(&self) -> FieldRef<'_> {
        FieldRef {
            name: &self.name,
            value: &self.value,
            never_indexed: self.never_indexed,
        }
    }
}

/// A header field to send. The name must be in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRef<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// `true` to keep a secret out of the dynamic tables of this and all further connections (RFC
    /// 7541 section 7.1.3). The fields `authorization`, `proxy-authorization`, `cookie` and
    /// `set-cookie` are always kept out.
    pub never_indexed: bool,
}

impl<'a> FieldRef<'a> {
    /// Creates a field that is not a secret.
    #[inline]
    pub const fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self {
            name,
            value,
            never_indexed: false,
        }
    }

    /// Returns the field's size in a dynamic table and in a header list: name, value and 32 octets.
    #[inline]
    pub const fn size(self) -> usize {
        self.name.len() + self.value.len() + FIELD_OVERHEAD
    }

    /// Returns an owned copy of the field.
    pub fn to_field(self) -> Field {
        Field {
            name: Bytes::copy_from_slice(self.name),
            value: Bytes::copy_from_slice(self.value),
            never_indexed: self.never_indexed,
            defect: None,
        }
    }
}
