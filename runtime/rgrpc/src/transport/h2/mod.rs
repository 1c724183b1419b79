//! The engine over the `h2` crate.
//!
//! One task for each connection drives `h2`'s connection. The stream objects hold `h2`'s handles,
//! whose state is behind the connection's one mutex. `h2` has these limits: it does not show
//! incoming PINGs. It sends no debug data with GOAWAY, and no GOAWAY when a client closes. It
//! returns connection and stream window together. A server that stops does not see whether a
//! client's SETTINGS have arrived after its preface. Neither side supports an authority with a
//! percent-encoded host.

use std::time::Duration;

mod body;
mod client;
mod client_stream;
mod connection_info;
mod discard;
mod disconnect;
mod error;
mod fields;
mod frame_tap;
mod frame_walker;
mod header_list_limit;
mod piece;
mod sender;
mod server;
mod server_stream;
mod server_tap;

pub(crate) use client::connect;
pub(crate) use fields::check_authority;
pub(crate) use server::ServerConnection;

/// The window of one stream, in octets. It limits the data in flight to a call that does not read.
/// 1 MiB lets one stream fill a fast link with a round trip of a few milliseconds.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The window of a connection, in octets: four streams that no call reads do not stop the others.
/// It is also the maximum that one connection's peer can make this side buffer.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// The largest header list that is accepted, in octets: grpc-go's default.
const MAX_HEADER_LIST: u32 = 16 * 1024 * 1024;

/// The number of streams that the peer opened and reset at once and that `h2` has not returned. A
/// burst of cancelled calls in one read is legal. `h2`'s default of 20 would end the connection.
const MAX_PENDING_RESETS: usize = 1024;

/// The number of streams that this side has reset and whose frames `h2` still ignores, and the
/// duration. A burst of cancelled downloads is legal, and on a slow link the data in flight to them
/// takes its time. `h2`'s defaults are 50 streams and 1 s.
const MAX_REMEMBERED_RESETS: usize = 4096;
const RESET_MEMORY: Duration = Duration::from_secs(10);

/// The number of stream errors after which `h2` ends a connection, over its whole life. A frame for
/// a stream that `h2` no longer remembers is such an error. Errors whose RST_STREAM the peer does
/// not read cost memory, so there is a limit. `h2`'s default of 1,024 is a few cancelled downloads
/// of a long-lived connection.
const MAX_STREAM_ERRORS: usize = 16 * 1024;

/// The maximum cost of unread small DATA frames before `h2` ends the connection. With `h2`'s own
/// default a slow reader of tiny messages loses the connection. The true limit is the stream's
/// window, counted as one-byte frames of about 100 bytes each.
const SMALL_FRAMES_BUDGET: usize = 16 * 1024 * 1024;
