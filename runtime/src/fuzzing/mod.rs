//! What the fuzz targets in `tests/fuzz` run: one function for each, from arbitrary octets to the
//! private parts of this crate that read what a peer, or a user's configuration, sends.
//!
//! Not an API: the module is compiled with the feature `fuzzing` alone, and hidden. A function
//! returns when all held that has to hold for any input, and panics when something did not.

mod choices;
mod compression;
mod frames;
mod hpack;
mod http2;
mod message_framing;
mod metadata;
mod request_head;
mod response_head;
mod target;
mod timeout;

use choices::Choices;

pub use compression::compression;
pub use frames::frames;
pub use hpack::hpack;
pub use http2::{http2_client, http2_pair, http2_server};
pub use message_framing::message_framing;
pub use metadata::metadata;
pub use request_head::request_head;
pub use response_head::response_head;
pub use target::target;
pub use timeout::timeout;
