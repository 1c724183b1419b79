//! Frames: one file per type of RFC 9113 section 6, each with its parser and its writer.
//!
//! A parser takes the [`Head`] and the whole payload and judges what can be judged without the
//! state of a stream or of the connection: lengths, padding, stream 0 or not. Everything else is
//! the connection's to judge. A writer appends a whole frame to a buffer. Neither allocates.

mod continuation;
mod data;
mod goaway;
mod head;
mod headers;
mod padding;
mod ping;
mod priority;
mod push_promise;
mod rst_stream;
mod settings;
#[cfg(test)]
mod tests;
mod window_update;

pub use continuation::Continuation;
pub use data::Data;
pub use goaway::GoAway;
pub use head::{Head, Kind, MAX_STREAM_ID, flag};
pub use headers::Headers;
pub use ping::Ping;
pub use priority::Priority;
pub use push_promise::PushPromise;
pub use rst_stream::RstStream;
pub use settings::{Setting, SettingsFrame};
pub use window_update::WindowUpdate;
