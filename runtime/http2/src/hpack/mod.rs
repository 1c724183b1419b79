//! HPACK, header compression for HTTP/2 (RFC 7541).
//!
//! [`Decoder`] and [`Encoder`] each own one direction's dynamic table. [`BlockCache`] remembers
//! what whole blocks meant, so that a call whose header fields are those of the call before needs
//! no decoding.

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

pub use block_cache::BlockCache;
pub use decoder::{Decoder, Difference, Limits};
pub use defect::Defect;
pub use encoder::{Encoder, encode_stateless};
pub use field::{Field, FieldRef};

/// The size of a dynamic table until a setting says otherwise (RFC 9113 section 6.5.2).
pub const DEFAULT_TABLE_SIZE: usize = 4_096;

/// What an entry, and a field of a header list, weighs beyond its octets (RFC 7541 section 4.1, RFC
/// 9113 section 6.5.2).
pub const FIELD_OVERHEAD: usize = 32;
