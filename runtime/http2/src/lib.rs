//! HTTP/2 as a protocol core without IO (RFC 9113, RFC 7541): bytes in, events out, bytes to send,
//! and a deadline to be woken at.
//!
//! A [`Connection`] is one end of a connection, client or server. The transport's native engine
//! owns one per socket, on one task, and nobody else ever sees it: there is no lock and no channel
//! in here, no socket, no clock (the time is an argument) and no gRPC. What the engine does in a
//! loop:
//!
//! 1. read from the socket into a buffer;
//! 2. call [`Connection::next_event`] until it returns `None`, and act on each [`Event`], which
//!    includes calling the sending operations;
//! 3. write what [`Connection::output`] has, and go on with 2 if that woke a sender;
//! 4. wait for the socket, for a caller, or for [`Connection::next_deadline`], which is followed by
//!    [`Connection::handle_timeout`].
//!
//! An error of the connection comes out of 2 or 4, with the GOAWAY already in the output. An error
//! of a stream is an event; its RST_STREAM is in the output.
//!
//! Where things are: `frame` parses and writes frames, `hpack` header blocks, `message` says which
//! header lists are well-formed. `stream` holds the states and the store of streams, `flow` the
//! windows, `bdp` what sizes them, `scheduler` whose turn it is to send. `budget` bounds what a
//! hostile peer can do. `connection` puts them together: one file for what comes in, one for header
//! blocks, one for what goes out, one for what concerns the connection as a whole.

mod bdp;
mod block;
mod budget;
mod bytes_queue;
mod config;
mod connection;
mod error;
mod event;
mod flow;
pub mod frame;
pub mod hpack;
mod message;
mod output;
mod recurring;
mod role;
mod scheduler;
mod settings;
mod static_block;
mod stream;

pub use block::{Block, NoFields};
pub use budget::{Allowance, BudgetConfig};
pub use bytes_queue::BytesQueue;
pub use config::Config;
pub use connection::{Before, Connection, OpenError, PREFACE, Payload, ReadHead, SendError, Stats};
pub use error::{ConnectionError, ErrorCode};
pub use event::Event;
pub use flow::Reading;
pub use hpack::{Difference, Field, FieldRef};
pub use message::HeadKind;
pub use output::Output;
pub use recurring::Recurring;
pub use role::Role;
pub use settings::PeerSettings;
pub use static_block::StaticBlock;
pub use stream::StreamKey;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
