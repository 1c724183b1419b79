//! `pick_first`, the default policy: connects to the first address that it can, and sends all calls
//! there.
//!
//! It is also the leaf of the policies that keep a connection to each endpoint: they hold a
//! [`PickFirst::leaf`] for each. So this is the only policy of this crate that connects.
//!
//! ```text
//!  endpoints ─► address_list ─► PickFirst ─► SubConns, Picker
//!                                  │  ▲
//!           what became of which   ▼  │  which to connect, and when all have failed
//!                                Attempts
//! ```
//!
//! Source: gRFCs A61 (Happy Eyeballs, the leaf, health), A62 (TRANSIENT_FAILURE is kept until
//! READY, shuffling), A113 (weights); RFC 8305; grpc-go's package `pickfirst`.

mod address_list;
mod attempts;
mod builder;
mod picker;
mod policy;

pub use builder::{PickFirstBuilder, PickFirstConfig};
pub use policy::PickFirst;

#[cfg(test)]
mod tests;
