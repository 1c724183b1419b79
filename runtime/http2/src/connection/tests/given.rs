//! Where a server's stream 1 has got to when a test begins.

use super::*;

/// What the connection is when the offending frames come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given {
    /// Nothing has been asked for.
    NoStream,
    /// Stream 1 is open.
    Open,
    /// The client has ended stream 1; the server has not answered.
    HalfClosedRemote,
    /// Stream 1 has ended in both directions.
    Ended,
    /// The client has reset stream 1.
    ResetByPeer,
    /// The server has reset stream 1.
    ResetLocally,
}

impl Given {
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
