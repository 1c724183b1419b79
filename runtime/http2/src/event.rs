//! What a connection tells its owner.

use bytes::Bytes;

use super::error::ErrorCode;
use super::message::HeadKind;
use super::stream::StreamKey;

/// Something happened.
///
/// The stream of an event can be named by its key until the next call of
/// [`next_event`](super::Connection::next_event), also where the event is the stream's last.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<H> {
    /// A well-formed header list. On a server one of kind [`HeadKind::Request`] is a new stream.
    Headers {
        /// The stream.
        key: StreamKey,
        /// Its id on the wire.
        id: u32,
        /// What the list is.
        kind: HeadKind,
        /// What the owner's function made of the list.
        head: H,
        /// Nothing follows on this stream.
        end_stream: bool,
    },
    /// Content, as much as one frame had. Once it is read, as many octets are to be
    /// [released](super::Connection::release); padding has been returned already.
    Data {
        /// The stream.
        key: StreamKey,
        /// The content. It shares the memory of the input it came in, and keeps all of that alive.
        data: Bytes,
        /// Nothing follows on this stream.
        end_stream: bool,
    },
    /// The peer has reset the stream.
    Reset {
        /// The stream.
        key: StreamKey,
        /// The peer's reason.
        code: ErrorCode,
    },
    /// The peer did something wrong on the stream, which was reset for it.
    StreamError {
        /// The stream.
        key: StreamKey,
        /// The code it was reset with.
        code: ErrorCode,
        /// What was wrong.
        reason: &'static str,
    },
    /// The peer's GOAWAY says that it did nothing for this stream, and never will: whatever was to
    /// be done on it can be done on another connection. Also a stream that had not been sent yet.
    Refused {
        /// The stream.
        key: StreamKey,
    },
    /// A stream that waited for the peer's limit has been sent.
    Opened {
        /// The stream.
        key: StreamKey,
        /// Its id on the wire.
        id: u32,
    },
    /// Fewer octets wait on the stream than its sender asked for with
    /// [`wake_when_below`](super::Connection::wake_when_below).
    SendReady {
        /// The stream.
        key: StreamKey,
    },
    /// The peer will take no more streams. [`Refused`](Self::Refused) follows for each that it did
    /// not take up.
    GoAway {
        /// The last stream it did, or might still do, something for.
        last_id: u32,
        /// Why.
        code: ErrorCode,
        /// What it has to say about it.
        debug: Bytes,
    },
    /// The peer sent a PING, which was answered.
    Ping {
        /// Its opaque data.
        payload: [u8; 8],
    },
    /// The peer answered a [`ping`](super::Connection::ping).
    Pong {
        /// The opaque data of the ping.
        payload: [u8; 8],
    },
    /// The peer sent settings, which are in force:
    /// [`peer_settings`](super::Connection::peer_settings).
    PeerSettings,
    /// The peer acknowledged our settings.
    SettingsAcked,
}
