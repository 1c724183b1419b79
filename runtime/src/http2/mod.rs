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
mod config;
pub(crate) mod connection;
mod error;
mod event;
mod flow;
pub(crate) mod frame;
pub(crate) mod hpack;
mod message;
mod output;
mod recurring;
mod role;
mod scheduler;
mod settings;
mod static_block;
mod stream;

pub(crate) use block::{Block, NoFields};
pub(crate) use budget::{Allowance, BudgetConfig};
pub(crate) use config::Config;
pub(crate) use connection::{Before, Connection, OpenError, Payload, SendError, Stats};
pub(crate) use error::{ConnectionError, ErrorCode};
pub(crate) use event::Event;
pub(crate) use flow::Reading;
pub(crate) use frame::Head;
pub(crate) use hpack::{Difference, Field, FieldRef};

pub(crate) use message::HeadKind;
pub(crate) use output::Output;
pub(crate) use recurring::Recurring;
pub(crate) use role::Role;
pub(crate) use settings::PeerSettings;
pub(crate) use static_block::StaticBlock;
pub(crate) use stream::StreamKey;
