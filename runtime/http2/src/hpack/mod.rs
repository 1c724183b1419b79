//! HPACK, header compression for HTTP/2 (RFC 7541).
//!
//! A [`Decoder`] and an [`Encoder`] own the dynamic table of one direction each.

mod block_cache;
mod decoder;
mod defect;
mod dynamic_table;
mod encoder;
mod field;
mod hash;
mod huffman;
mod huffman_table;
mod integer;
mod lookup;
mod static_table;
#[cfg(test)]
mod tests;

pub(crate) use block_cache::BlockCache;
pub use decoder::{DecodeError, Decoded, Decoder, Difference, Limits};
pub use defect::Defect;
pub use encoder::Encoder;
pub(crate) use encoder::encode_stateless;
pub use field::{Field, FieldRef};

/// The default size of a dynamic table, in octets (RFC 9113 section 6.5.2).
pub const DEFAULT_TABLE_SIZE: usize = 4_096;

/// The size of a table entry or a field of a header list beyond its name and value, in octets (RFC
/// 7541 section 4.1, RFC 9113 section 6.5.2).
pub(crate) const FIELD_OVERHEAD: usize = 32;
