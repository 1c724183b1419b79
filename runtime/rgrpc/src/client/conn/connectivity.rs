//! The connectivity API of a channel: its state, waiting for a state, connecting and the backoff.
//!
//! Called by users, on their tasks.
//!
//! Source: `doc/connectivity-semantics-and-api.md` of the gRPC documents.

use std::pin::pin;

use tokio::time::{Instant, timeout_at};

use super::ClientConn;
use crate::client::connectivity::closed;
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;
use crate::task::current_runtime;

impl ClientConn {
    /// The connectivity state of the channel now.
    ///
    /// A call does not need to ask: it connects, waits and fails as its options say. By the time a
    /// caller looks at the answer the state may be another.
    ///
    /// Source: grpc-go `ClientConn.GetState`.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.shared().picker.state()
    }

    /// Waits until the state is another than `from`; the output is that state. Ready at once when
    /// it is another already.
    ///
    /// The latest state wins: one that lasted only a moment may not be seen, and when the channel
    /// has left `from` and come back to it before the task that waits ran, the wait goes on. No
    /// state follows [`Shutdown`](ConnectivityState::Shutdown), so waiting for that never ends.
    ///
    /// Does not make the channel connect; [`connect`](Self::connect) does. Cancel-safe.
    ///
    /// Source: grpc-go `ClientConn.WaitForStateChange`.
    pub async fn wait_for_state_change(&self, from: ConnectivityState) -> ConnectivityState {
        loop {
            let mut changed = pin!(self.shared().picker.changed());
            // Registered before looking, so that no change is missed.
            changed.as_mut().enable();
            let state = self.state();
            if state != from {
                return state;
            }
            changed.await;
        }
    }

    /// Makes an idle channel connect now, as a call would; does nothing in other states. Does not
    /// wait: the state changes when the channel's task gets to it.
    ///
    /// A channel that has been [idle](crate::ClientConnBuilder::idle_timeout) or has lost its
    /// connection reconnects.
    ///
    /// Source: grpc-go `ClientConn.Connect`.
    ///
    /// # Errors
    /// INTERNAL outside of a tokio runtime, where the channel's task cannot be started.
    pub fn connect(&self) -> Result<(), Status> {
        if !self.is_closed() {
            self.start()?;
            self.shared().task.exit_idle();
        }
        Ok(())
    }

    /// Connects, and waits until the channel is [`Ready`](ConnectivityState::Ready), for programs
    /// that need their server when they start. Failed attempts do not end the wait.
    ///
    /// Cancel-safe: dropping the future only stops the waiting.
    ///
    /// Source: grpc-go's deprecated `WithBlock`, as a method.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED when the channel is not ready at `deadline`; the text says why the last
    /// attempt to connect failed, or that none has ended. CANCELLED when the channel is closed.
    /// INTERNAL outside of a tokio runtime.
    pub async fn wait_ready(&self, deadline: Instant) -> Result<(), Status> {
        current_runtime("a channel was waited for")?;
        let ready = async {
            loop {
                let state = self.state();
                match state {
                    ConnectivityState::Ready => return Ok(()),
                    ConnectivityState::Shutdown => return Err(closed()),
                    ConnectivityState::Idle => self.connect()?,
                    ConnectivityState::Connecting | ConnectivityState::TransientFailure => {}
                }
                self.wait_for_state_change(state).await;
            }
        };
        timeout_at(deadline, ready)
            .await
            .unwrap_or_else(|_| Err(self.not_ready()))
    }

    /// The status of a wait whose deadline has passed.
    fn not_ready(&self) -> Status {
        let target = self.target();
        Status::deadline_exceeded(match self.shared().unconnected().failure {
            Some(failure) => {
                format!("the channel to {target} was not ready in time; last: {failure}")
            }
            None => format!(
                "the channel to {target} was not ready in time: it is {}, and no attempt to \
                 connect has failed",
                self.state()
            ),
        })
    }

    /// The number of calls that wait at this moment because the server allows no more streams: a
    /// reason for [more connections](crate::ClientConnBuilder::max_connections_per_subchannel), or
    /// for a larger limit on the server. On [`Transport::H2`](crate::Transport) calls are only
    /// counted that wait for one of several connections.
    #[must_use]
    pub fn calls_waiting_for_streams(&self) -> usize {
        self.shared().calls_waiting_for_streams()
    }

    /// Ends the wait between attempts to connect, if the channel is in one, and makes further waits
    /// begin again at the [base delay](crate::BackoffConfig::base_delay), also when an attempt is
    /// under way: for when the network is known to have come back.
    ///
    /// Source: grpc-go `ClientConn.ResetConnectBackoff`.
    pub fn reset_connect_backoff(&self) {
        self.shared().task.reset_backoff();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_names_of_the_documents() {
        for (state, name) in [
            (ConnectivityState::Idle, "IDLE"),
            (ConnectivityState::Connecting, "CONNECTING"),
            (ConnectivityState::Ready, "READY"),
            (ConnectivityState::TransientFailure, "TRANSIENT_FAILURE"),
            (ConnectivityState::Shutdown, "SHUTDOWN"),
        ] {
            assert_eq!(state.to_string(), name);
        }
    }
}
