//! The events that a connection reports to its owner.

use bytes::Bytes;

use super::error::ErrorCode;
use super::message::HeadKind;
use super::stream::StreamKey;

/// An event of a connection, returned by [`Connection::next_event`](super::Connection::next_event).
///
/// `H` is the owner's form of a header list, see [`ReadHead`](super::ReadHead).
///
/// The key of the event's stream stays valid at least until the next call of `next_event`, even if
/// the event is the last one of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<H> {
    /// The peer sent a well-formed header list.
    ///
    /// On a server, a list of kind [`HeadKind::Request`] opens a new stream.
    Headers {
        /// The stream.
        key: StreamKey,
        /// The stream's id on the wire.
        id: u32,
        /// The kind of the header list.
        kind: HeadKind,
        /// The result of the owner's [`ReadHead`](super::ReadHead) for the list.
        head: H,
        /// `true` if the peer sends nothing more on this stream.
        end_stream: bool,
    },
    /// The peer sent the content of one DATA frame.
    ///
    /// When the application has read it, the owner returns the flow-control credit with
    /// [`release`](super::Connection::release) or [`read`](super::Connection::read). The connection
    /// has already returned the credit for padding.
    Data {
        /// The stream.
        key: StreamKey,
        /// The content, without padding. It shares the memory of the input buffer.
        data: Bytes,
        /// `true` if the peer sends nothing more on this stream.
        end_stream: bool,
    },
    /// The peer reset the stream. This is the stream's last event.
    Reset {
        /// The stream.
        key: StreamKey,
        /// The error code of the peer's RST_STREAM.
        code: ErrorCode,
    },
    /// The peer violated the protocol on the stream, so the connection reset the stream. This is
    /// the stream's last event.
    StreamError {
        /// The stream.
        key: StreamKey,
        /// The error code of our RST_STREAM.
        code: ErrorCode,
        /// A description of the violation.
        reason: &'static str,
    },
    /// The peer did not process the stream, and will not: it can be retried on another connection.
    /// This is the stream's last event.
    ///
    /// The stream is above the last stream id of the peer's GOAWAY (RFC 9113 section 6.8), or it
    /// was still waiting to be opened when the peer sent GOAWAY or when the stream ids ran out.
    Refused {
        /// The stream.
        key: StreamKey,
    },
    /// A stream that waited for the peer's limit of concurrent streams has been opened.
    Opened {
        /// The stream.
        key: StreamKey,
        /// The stream's id on the wire.
        id: u32,
    },
    /// The stream's queued content fell below the number of octets that was passed to
    /// [`wake_when_below`](super::Connection::wake_when_below).
    SendReady {
        /// The stream.
        key: StreamKey,
    },
    /// The peer sent GOAWAY and accepts no new streams.
    ///
    /// A [`Refused`](Self::Refused) event follows for each stream that the peer did not process.
    GoAway {
        /// The last stream id that the peer processed or may still process.
        last_id: u32,
        /// The error code of the GOAWAY.
        code: ErrorCode,
        /// The debug data of the GOAWAY.
        debug: Bytes,
    },
    /// The peer sent a PING. The connection has queued the acknowledgement.
    Ping {
        /// The opaque data of the PING.
        payload: [u8; 8],
    },
    /// The peer acknowledged a [`ping`](super::Connection::ping).
    Pong {
        /// The opaque data of the PING.
        payload: [u8; 8],
    },
    /// The peer sent SETTINGS, which now apply. See
    /// [`peer_settings`](super::Connection::peer_settings).
    PeerSettings,
    /// The peer acknowledged our SETTINGS.
    SettingsAcked,
}
