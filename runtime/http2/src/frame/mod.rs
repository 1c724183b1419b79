//! The frames of RFC 9113 section 6, with their parsers and writers.
//!
//! A parser takes the [`Head`] and the whole payload. It checks lengths, padding and the use of
//! stream 0; the [`Connection`](crate::Connection) checks the rules that depend on state. A writer
//! appends a whole frame to a buffer. Parsers do not allocate.

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
