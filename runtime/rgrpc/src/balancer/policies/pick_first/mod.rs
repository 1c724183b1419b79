//! `pick_first`, the default policy: connects to the first reachable address, and sends all calls
//! to it.
//!
//! It is also the leaf of the policies over several endpoints: they have a [`PickFirst::leaf`] for
//! each endpoint. No other policy of this crate connects.
//!
//! ```text
//!  endpoints ─► address_list ─► PickFirst ─► SubConns, Picker
//!                                  │  ▲
//!           states of connections  ▼  │  addresses to connect to, and the failure of all
//!                             AddressAttempts
//! ```
//!
//! Source: gRFCs A61 (Happy Eyeballs, the leaf, health), A62 (TRANSIENT_FAILURE is kept until
//! READY, shuffling), A113 (weights); RFC 8305; grpc-go's package `pickfirst`.

mod address_attempts;
mod address_list;
mod builder;
mod picker;
mod policy;

pub use builder::{PickFirstBuilder, PickFirstConfig};
pub use policy::PickFirst;

#[cfg(test)]
mod tests;
