//! The fuzz targets of what is private in the crate `rgrpc`: one function for each, from arbitrary
//! octets to the code that reads what a peer, or a user's configuration, sends.
//!
//! `rgrpc` compiles this module as its own when it is built with `--cfg rgrpc_fuzzing`. A function
//! returns when all that has to hold for any input held, and panics when something did not.

#[path = "../choices.rs"]
pub mod choices;
mod compression;
mod message_framing;
mod metadata;
mod request_head;
mod response_head;
mod target;
mod timeout;

use choices::Choices;

pub use compression::compression;
pub use message_framing::message_framing;
pub use metadata::metadata;
pub use request_head::request_head;
pub use response_head::response_head;
pub use target::target;
pub use timeout::timeout;
