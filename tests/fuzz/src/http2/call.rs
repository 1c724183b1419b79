//! A call between two cores: what was sent, and what has arrived.

use bytes::Bytes;

use super::Fields;
use rgrpc_http2::{Role, StreamKey};

/// The field that tells the server which call a request is.
pub(super) const CALL: &[u8] = b"x-call";

/// The state of a call at both ends.
#[derive(Default)]
pub(super) struct Call {
    pub(super) client: Option<StreamKey>,
    pub(super) server: Option<StreamKey>,
    /// From the client to the server.
    pub(super) up: Direction,
    /// From the server to the client.
    pub(super) down: Direction,
    /// Either end has given it up.
    pub(super) given_up: bool,
}

#[derive(Default)]
pub(super) struct Direction {
    pub(super) head_sent: bool,
    pub(super) sent: u64,
    pub(super) send_ended: bool,
    pub(super) received: u64,
    pub(super) unreleased: usize,
    pub(super) receive_ended: bool,
}

impl Call {
    pub(super) fn key(&self, role: Role) -> Option<StreamKey> {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }

    pub(super) fn sending(&mut self, role: Role) -> &mut Direction {
        match role {
            Role::Client => &mut self.up,
            Role::Server => &mut self.down,
        }
    }

    pub(super) fn receiving(&mut self, role: Role) -> &mut Direction {
        match role {
            Role::Client => &mut self.down,
            Role::Server => &mut self.up,
        }
    }

    /// Returns whether everything sent has arrived, in both directions.
    pub(super) fn is_complete(&self) -> bool {
        [&self.up, &self.down]
            .iter()
            .all(|way| way.send_ended && way.receive_ended && way.sent == way.received)
    }
}

/// The content of a call, from this place on: no two places look alike for long.
pub(super) fn content(number: usize, sender: Role, from: u64, length: usize) -> Bytes {
    let seed = 2 * number as u64 + u64::from(sender == Role::Server);
    (from..from + length as u64)
        .map(|place| (place.wrapping_mul(31) ^ place >> 8 ^ seed.wrapping_mul(97)) as u8)
        .collect()
}

/// The number of the call that a request opens.
pub(super) fn call_number(head: &Fields) -> usize {
    let field = head.iter().find(|field| field.name == CALL);
    let value = &field.expect("every request has it").value;
    std::str::from_utf8(value)
        .expect("text")
        .parse()
        .expect("a number")
}
