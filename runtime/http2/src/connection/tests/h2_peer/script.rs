//! The script of an exchange: the steps of both ends, and what each end must receive.

use std::fmt;

use bytes::Bytes;

use super::content::Content;
use super::received::{End, Received};
use crate::{Config, ErrorCode, Role};

/// A header list, sorted by name. Fields with the same name keep their order.
pub(super) type Fields = Vec<(String, String)>;

/// The script of a connection.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) client: Options,
    pub(super) server: Options,
    /// The capacity of the connection in each direction, in octets.
    pub(super) pipe: usize,
    /// Groups of concurrent calls. A group begins when all calls of the previous group have ended.
    pub(super) waves: Vec<Vec<Call>>,
    pub(super) ending: Ending,
}

/// The way in which a connection closes gracefully.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client closes the connection when all calls have ended.
    ClientLeaves,
    /// The server begins to drain when it has received the last call.
    ServerDrains,
}

/// The options of an end. Each implementation uses those that it supports.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) stream_window: u32,
    pub(super) connection_window: u32,
    pub(super) max_frame_size: u32,
    pub(super) max_concurrent_streams: Option<u32>,
    pub(super) header_table_size: u32,
    /// The maximum send buffer of a stream in h2, in octets.
    pub(super) send_buffer: usize,
    /// The options that only the core has.
    pub(super) core: Config,
}

/// One call: the steps of both ends on its stream.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) number: usize,
    pub(super) client: Side,
    pub(super) server: Side,
    /// `true` if a reset interrupts the call, so that any part of it may arrive.
    pub(super) abrupt: bool,
}

/// The fields and the steps of one end in a call.
#[derive(Default)]
pub(super) struct Side {
    pub(super) head: Fields,
    pub(super) trailers: Fields,
    pub(super) steps: Vec<Step>,
}

/// A step of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Sends the head. A client opens the stream with it.
    Head { end_stream: bool },
    /// Sends content.
    Data { octets: usize, end_stream: bool },
    /// Sends trailers.
    Trailers,
    /// Waits for the head of the other end, and for this total of content.
    Await { octets: u64 },
    /// Waits for the end of the other direction.
    AwaitEnd,
    /// Resets the stream.
    Reset { code: u32 },
    /// Resets the stream with NO_ERROR after a whole response (RFC 9113 section 8.1).
    Leave,
}

/// Prints only the steps, because header lists are long and rarely the cause of a failure.
impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.fmt(f)
    }
}

impl Exchange {
    /// Returns all calls.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.waves.iter().flatten()
    }

    /// Returns the call with this number.
    pub(super) fn call(&self, number: usize) -> &Call {
        self.calls()
            .find(|call| call.number == number)
            .expect("a call of this exchange")
    }

    /// Returns the number of streams that the client may open before the server's SETTINGS arrive,
    /// so that the server refuses none.
    pub(super) fn streams_at_first(&self) -> u32 {
        self.server.max_concurrent_streams.unwrap_or(100)
    }

    /// Returns `true` if the server begins to drain with this call.
    pub(super) fn drains_at(&self, number: usize) -> bool {
        let last = self.calls().last().map(|call| call.number);
        self.ending == Ending::ServerDrains && last == Some(number)
    }
}

impl Options {
    /// Returns `true` if the stream window is smaller than the default, which applies until
    /// SETTINGS have arrived.
    ///
    /// Content must then wait for SETTINGS: if an h2 server has received content by then and has
    /// returned less than half of the larger window, it never returns the credit of the smaller
    /// one.
    pub(super) fn shrinks_windows(&self) -> bool {
        self.stream_window < 65_535
    }

    /// Returns the configuration of the core.
    pub(super) fn config(&self) -> Config {
        Config {
            stream_window: self.stream_window,
            connection_window: self.connection_window,
            max_frame_size: self.max_frame_size,
            max_concurrent_streams: self.max_concurrent_streams,
            header_table_size: self.header_table_size,
            ..self.core.clone()
        }
    }
}

impl Call {
    /// The name of the request field with the number of the call.
    pub(super) const NUMBER: &str = "x-call";

    /// Returns the side of this role.
    pub(super) fn side(&self, role: Role) -> &Side {
        match role {
            Role::Client => &self.client,
            Role::Server => &self.server,
        }
    }

    /// Returns a part of the content that `sender` sends.
    pub(super) fn content(&self, sender: Role, offset: u64, octets: usize) -> Bytes {
        Content::of(self.number, sender).part(offset, octets)
    }

    /// Returns what the end with this role must have received at the end of the call.
    pub(super) fn expected_at(&self, role: Role) -> Received {
        let sent = self.side(other(role));
        let mut received = Received::default();
        for step in &sent.steps {
            match *step {
                Step::Head { end_stream } => {
                    received.head = Some(sent.head.clone());
                    received.end_if(end_stream);
                }
                Step::Data { octets, end_stream } => {
                    received.octets += octets as u64;
                    received.end_if(end_stream);
                }
                Step::Trailers => received.end = Some(End::Trailers(sent.trailers.clone())),
                Step::Reset { code } => received.reset = Some(code),
                Step::Leave => received.reset = Some(ErrorCode::NO_ERROR.0),
                Step::Await { .. } | Step::AwaitEnd => {}
            }
        }
        received
    }
}

/// Returns the other role.
pub(super) fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}
