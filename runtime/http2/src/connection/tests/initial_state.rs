//! The state of a server's stream 1 at the beginning of a test.

use super::*;

/// The state of stream 1 before the tested frames arrive.
#[derive(Clone, Copy, Debug)]
pub(super) enum InitialState {
    /// There is no stream.
    NoStream,
    /// The stream is open.
    Open,
    /// The client has ended the stream, and the server has not responded.
    HalfClosedRemote,
    /// Both ends have ended the stream.
    Ended,
    /// The client has reset the stream.
    ResetByPeer,
    /// The server has reset the stream.
    ResetLocally,
}

impl InitialState {
    /// Creates a server in this state.
    pub(super) fn server(self) -> Wire {
        let mut wire = Wire::server(Config::default());
        match self {
            Self::NoStream => {}
            Self::Open => drop(wire.request(1, false)),
            Self::HalfClosedRemote => drop(wire.request(1, true)),
            Self::Ended => {
                let key = wire.request(1, true);
                let head = response_block();
                let sent = wire.core.send_headers(key, &prepared(&head), true);
                assert_eq!(sent, Ok(()));
            }
            Self::ResetByPeer => {
                wire.request(1, false);
                wire.receive(rst_stream(1, ErrorCode::CANCEL));
            }
            Self::ResetLocally => {
                let key = wire.request(1, false);
                wire.core.reset(key, ErrorCode::CANCEL);
            }
        }
        wire.sent();
        wire
    }
}
