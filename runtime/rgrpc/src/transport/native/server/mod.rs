//! The server's side of a connection in the native engine.
//!
//! The server makes a [`ServerConnection`] of a connection that has passed its handshake, and serves
//! it on the connection's task: [`Task`] owns the socket and the core. Calls use their
//! [streams](stream::NativeServerStream) from any task.

mod connection_end;
mod keepalive;
mod response;
mod stream;
mod task;

use std::future::Future;
use std::sync::Arc;

use crate::io::Connected;
use crate::transport::{ConnectionPhase, Dispatch, ServerSettings, ServerTransport};
use task::Task;

/// A connection that a server accepted.
pub(crate) struct ServerConnection {
    connected: Connected,
    settings: ServerSettings,
    phase: ConnectionPhase,
}

impl ServerConnection {
    pub(crate) fn new(
        connected: Connected,
        settings: ServerSettings,
        phase: ConnectionPhase,
    ) -> Self {
        Self {
            connected,
            settings,
            phase,
        }
    }
}

impl ServerTransport for ServerConnection {
    fn serve<D: Dispatch>(self, dispatch: Arc<D>) -> impl Future<Output = ()> + Send {
        // Boxed, because a future reserves space for it in each of its states.
        let connection = self.phase.connection().clone();
        let task = Box::new(Task::new(
            self.connected,
            connection,
            &self.settings,
            dispatch,
        ));
        task.run(self.phase)
    }
}
