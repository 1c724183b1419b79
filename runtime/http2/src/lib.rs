//! HTTP/2 as a protocol core without IO (RFC 9113, RFC 7541).
//!
//! The core takes received bytes and the time, and returns events, bytes to send and a deadline. It
//! has no socket, no clock, no task, no lock, and no knowledge of gRPC.
//!
//! A [`Connection`] is one end of a connection, client or server. Its owner, for example the native
//! engine of rgrpc, has one per socket, on one task, and runs this loop:
//!
//! 1. Read from the socket into a buffer.
//! 2. Call [`Connection::next_event`] until it returns `None`, and handle each [`Event`]. The
//!    sending functions may be called here.
//! 3. Write the bytes of [`Connection::output`]. Continue with step 2 if the write caused events.
//! 4. Wait for the socket, for the application, or for [`Connection::next_deadline`]. Call
//!    [`Connection::handle_timeout`] when the deadline has passed.
//!
//! Steps 2 and 4 return connection errors (RFC 9113 section 5.4.1); the GOAWAY is then already in
//! the output. A stream error (section 5.4.2) is an event; its RST_STREAM is in the output.
//!
//! # Modules
//!
//! - `frame`: parsing and writing of frames.
//! - `hpack`: header compression.
//! - `message`: validation of header lists.
//! - `stream`: the states of streams, and their storage.
//! - `flow`: flow-control windows; `bdp`: the estimator that sizes them.
//! - `scheduler`: the order in which streams send.
//! - `budget`: limits for hostile peers.
//! - `connection`: the connection itself. Its files are `receive` (frames), `headers` (received
//!   header blocks), `send`, `streams` (opening and closing) and `control` (SETTINGS, PING,
//!   GOAWAY).

mod bdp;
mod block;
mod budget;
mod bytes_queue;
mod cached_headers;
mod config;
mod connection;
mod error;
mod event;
mod flow;
pub mod frame;
pub mod hpack;
mod message;
mod output;
mod role;
mod scheduler;
mod settings;
mod static_block;
mod stream;

pub use block::{Block, NoFields};
pub use budget::{Allowance, BudgetConfig};
pub use bytes_queue::BytesQueue;
pub use cached_headers::CachedHeaders;
pub use config::Config;
pub use connection::{
    Connection, Content, OpenError, PREFACE, PreviousHead, ReadHead, SendError, Stats,
};
pub use error::{ConnectionError, ErrorCode, Fault, StreamError};
pub use event::Event;
pub use flow::Reading;
pub use hpack::{Difference, Field, FieldRef};
pub use message::HeadKind;
pub use output::Output;
pub use role::Role;
pub use settings::PeerSettings;
pub use static_block::StaticBlock;
pub use stream::StreamKey;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
