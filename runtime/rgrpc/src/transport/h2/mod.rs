//! The engine over the `h2` crate.
//!
//! One task a connection drives `h2`'s connection; the stream objects hold `h2`'s handles, whose
//! state lies behind the connection's one mutex. What `h2` cannot do is listed here, so that nobody
//! looks for it: it does not show incoming PINGs, it sends no debug data with GOAWAY, nor any
//! GOAWAY when a client closes, it gives connection and stream window back together, a server that
//! stops does not see whether a client's SETTINGS have come after its preface, and neither side
//! takes an authority with a percent-encoded host.

use std::time::Duration;

mod body;
mod client;
mod client_stream;
mod connection_info;
mod discard;
mod error;
mod fields;
mod frame_tap;
mod piece;
mod sender;
mod server;
mod server_stream;
mod settings_tap;

pub(crate) use client::connect;
pub(crate) use fields::check_authority;
pub(crate) use server::ServerConnection;

/// The window of one stream. It bounds what a peer may have in flight to a call that does not
/// read; 1 MiB lets one stream fill a fast link at a few milliseconds of round trip.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The window of a connection: four streams that nobody reads do not stop the others. It is also
/// the most that one connection's peer can make this side buffer.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// The largest header list to accept: grpc-go's default.
const MAX_HEADER_LIST: u32 = 16 * 1024 * 1024;

/// How many streams that the peer opened and reset at once may wait unseen. A burst of cancelled
/// calls in one read is legal; `h2`'s default of 20 would end the connection for it.
const MAX_PENDING_RESETS: usize = 1024;

/// The number of streams that this side has reset and whose frames `h2` still ignores, and for how long
/// it does. A burst of cancelled downloads is legal, and on a slow link what was in flight to them takes
/// its time; `h2`'s defaults are 50 streams and 1 s.
const MAX_REMEMBERED_RESETS: usize = 4096;
const RESET_MEMORY: Duration = Duration::from_secs(10);

/// The number of stream errors after which `h2` ends a connection, over its whole life: a frame for a
/// stream that it does not remember is one. Errors whose RST_STREAM the peer does not take cost memory,
/// so there is a limit; `h2`'s default of 1,024 is a few cancelled downloads of a long-lived connection.
const MAX_STREAM_ERRORS: usize = 16 * 1024;

/// What small DATA frames that nobody has read may cost before `h2` ends the connection. Its own
/// default lets a slow reader of tiny messages lose the connection; the stream's window, counted
/// as one-byte frames of about 100 bytes each, is the true bound.
const SMALL_FRAMES_BUDGET: usize = 16 * 1024 * 1024;
