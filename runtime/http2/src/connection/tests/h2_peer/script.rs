//! What the two ends of a connection are to do, and what each is to hear of it.

use std::fmt;

use bytes::Bytes;

use super::content::Content;
use super::heard::{End, Heard};
use crate::{Config, ErrorCode, Role};

/// A header list as its receiver knows it: by name, and for a name in the order of its values.
pub(super) type Fields = Vec<(String, String)>;

/// All that happens on a connection.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) client: Options,
    pub(super) server: Options,
    /// How many octets the connection holds in each direction.
    pub(super) pipe: usize,
    /// Calls that are made at the same time, once all of the wave before are over.
    pub(super) waves: Vec<Vec<Call>>,
    pub(super) ending: Ending,
}

/// How a connection ends: gracefully.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client goes away when all calls are over.
    ClientLeaves,
    /// The server begins to drain when it has got the last call.
    ServerDrains,
}

/// What an end announces, and how it sends; both implementations take of it what they have.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) stream_window: u32,
    pub(super) connection_window: u32,
    pub(super) max_frame_size: u32,
    pub(super) max_concurrent_streams: Option<u32>,
    pub(super) header_table_size: u32,
    /// How much h2 buffers for a stream.
    pub(super) send_buffer: usize,
    /// What the core does that h2 has no option for.
    pub(super) core: Config,
}

/// One call: what either end does on its stream.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) number: usize,
    pub(super) client: Side,
    pub(super) server: Side,
    /// It ends in the middle of something: what has arrived by then is not determined.
    pub(super) abrupt: bool,
}

/// What one end says in a call.
#[derive(Default)]
pub(super) struct Side {
    pub(super) head: Fields,
    pub(super) trailers: Fields,
    pub(super) steps: Vec<Step>,
}

/// What an end does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Sends its header list; a client opens the stream with it.
    Head { end_stream: bool },
    /// Sends content.
    Data { octets: usize, end_stream: bool },
    /// Ends with trailers.
    Trailers,
    /// Waits for the head of the other end, and for this much content in all.
    Await { octets: u64 },
    /// Waits for the end of what the other end sends.
    AwaitEnd,
    /// Resets the stream.
    Reset { code: u32 },
    /// A server that has answered wants no more of the request (RFC 9113 section 8.1).
    Leave,
}

/// The steps: header lists are long, and rarely what a failure is about.
impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.fmt(f)
    }
}

impl Exchange {
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.waves.iter().flatten()
    }

    pub(super) fn call(&self, number: usize) -> &Call {
        self.calls()
            .find(|call| call.number == number)
            .expect("a call of this exchange")
    }

    /// How many streams the client opens before it knows how many it may: no more than that, or the
    /// server refuses some.
    pub(super) fn streams_at_first(&self) -> u32 {
        self.server.max_concurrent_streams.unwrap_or(100)
    }

    /// Whether the server begins to drain with this call.
    pub(super) fn drains_at(&self, number: usize) -> bool {
        let last = self.calls().last().map(|call| call.number);
        self.ending == Ending::ServerDrains && last == Some(number)
    }
}

impl Options {
    /// Whether windows are smaller than those that hold until SETTINGS have arrived. A server on h2
    /// that has got content by then, and returned less than half of the larger window for it, owes
    /// its client the whole of the smaller one and never says so: content has to wait for SETTINGS.
    pub(super) fn shrinks_windows(&self) -> bool {
        self.stream_window < 65_535
    }

    /// The core's configuration.
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
    /// The request's field that has the number of its call.
    pub(super) const NUMBER: &str = "x-call";

    pub(super) fn side(&self, role: Role) -> &Side {
        match role {
            Role::Client => &self.client,
            Role::Server => &self.server,
        }
    }

    /// What the end of this role sends, from an offset on.
    pub(super) fn content(&self, sender: Role, offset: u64, octets: usize) -> Bytes {
        Content::of(self.number, sender).part(offset, octets)
    }

    /// What this end is to have heard when the call is over.
    pub(super) fn to_be_heard_by(&self, role: Role) -> Heard {
        let said = self.side(other(role));
        let mut heard = Heard::default();
        for step in &said.steps {
            match *step {
                Step::Head { end_stream } => {
                    heard.head = Some(said.head.clone());
                    heard.end_if(end_stream);
                }
                Step::Data { octets, end_stream } => {
                    heard.octets += octets as u64;
                    heard.end_if(end_stream);
                }
                Step::Trailers => heard.end = Some(End::Trailers(said.trailers.clone())),
                Step::Reset { code } => heard.reset = Some(code),
                Step::Leave => heard.reset = Some(ErrorCode::NO_ERROR.0),
                Step::Await { .. } | Step::AwaitEnd => {}
            }
        }
        heard
    }
}

/// The end that an end talks to.
pub(super) fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}
