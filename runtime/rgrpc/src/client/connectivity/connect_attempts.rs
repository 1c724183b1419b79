//! A channel's attempts to connect, as the texts of deadlines tell of them.
//!
//! Kept by the registry, written by the channel's task.

use std::collections::BTreeMap;
use std::fmt;

use super::event::ConnectionId;
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;

/// The attempts to connect that are under way, and the last failure.
#[derive(Debug, Default)]
pub(in crate::client) struct ChannelConnectAttempts {
    under_way: BTreeMap<ConnectionId, Address>,
    /// The failure of the last one, unless one has succeeded since.
    last_failure: Option<String>,
}

impl ChannelConnectAttempts {
    pub(in crate::client) fn begin(&mut self, id: ConnectionId, address: Address) {
        self.under_way.insert(id, address);
    }

    /// One has succeeded.
    pub(in crate::client) fn succeeded(&mut self, id: ConnectionId) {
        self.under_way.remove(&id);
        self.last_failure = None;
    }

    /// One has failed; `why` names the address.
    pub(in crate::client) fn failed(&mut self, id: ConnectionId, why: String) {
        self.under_way.remove(&id);
        self.last_failure = Some(why);
    }

    /// One was given up.
    pub(in crate::client) fn give_up(&mut self, id: ConnectionId) {
        self.under_way.remove(&id);
    }

    /// The reason why there is no connection in a channel of this state.
    pub(in crate::client) fn unconnected(&self, state: ConnectivityState) -> Unconnected {
        Unconnected {
            state,
            failure: self.last_failure.clone(),
            under_way: self.under_way.values().cloned().collect(),
        }
    }
}

/// The reason why a call has no connection.
#[derive(Clone, Debug)]
pub(in crate::client) struct Unconnected {
    pub(in crate::client) state: ConnectivityState,
    /// The failure of an attempt to connect.
    pub(in crate::client) failure: Option<String>,
    /// The addresses that are being connected to, the first one first.
    pub(in crate::client) under_way: Vec<Address>,
}

impl fmt::Display for Unconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the channel is {}", self.state)?;
        match &self.under_way[..] {
            [] => {}
            [address] => write!(f, ", trying {address}")?,
            [address, others @ ..] => write!(f, ", trying {address} and {} more", others.len())?,
        }
        match &self.failure {
            Some(failure) => write!(f, "; last: {failure}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ConnectivityState::{Connecting, Idle, TransientFailure};

    use super::*;

    fn address(name: &str) -> Address {
        Address::Name(name.to_owned())
    }

    #[test]
    fn a_call_without_a_connection_says_what_is_connected_to_and_what_has_failed() {
        for (state, under_way, failure, expected) in [
            (Idle, &[][..], None, "the channel is IDLE"),
            (
                Connecting,
                &["a"],
                None,
                "the channel is CONNECTING, trying a",
            ),
            (
                Connecting,
                &["a", "b", "c"],
                Some("d: refused"),
                "the channel is CONNECTING, trying a and 2 more; last: d: refused",
            ),
            (
                TransientFailure,
                &[],
                Some("d: refused"),
                "the channel is TRANSIENT_FAILURE; last: d: refused",
            ),
        ] {
            let unconnected = Unconnected {
                state,
                failure: failure.map(str::to_owned),
                under_way: under_way.iter().map(|name| address(name)).collect(),
            };
            assert_eq!(unconnected.to_string(), expected);
        }
    }

    #[test]
    fn attempts_are_under_way_until_they_end_and_the_last_failure_counts_until_one_succeeds() {
        let seen = |attempts: &ChannelConnectAttempts| attempts.unconnected(Connecting).to_string();
        let [first, second, third] = [1, 2, 3].map(ConnectionId);
        let mut attempts = ChannelConnectAttempts::default();
        for (id, name) in [(first, "a"), (second, "b"), (third, "c")] {
            attempts.begin(id, address(name));
        }
        attempts.failed(first, "a: refused".to_owned());
        let expected = "the channel is CONNECTING, trying b and 1 more; last: a: refused";
        assert_eq!(seen(&attempts), expected);
        attempts.give_up(second);
        let expected = "the channel is CONNECTING, trying c; last: a: refused";
        assert_eq!(seen(&attempts), expected);
        attempts.succeeded(third);
        assert_eq!(seen(&attempts), "the channel is CONNECTING");
    }
}
