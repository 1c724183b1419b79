//! A channel of rgrpc whose server is the wire peer.

use rgrpc::io::{BoxedIo, Listener, PipeListener, pipe};
use rgrpc::{ClientConn, ClientConnBuilder, credentials};
use rgrpc_test_support::{Settings, WirePeer, settings};

use crate::{channel_builder, soon};

/// The server side of a channel's connections.
#[derive(Debug)]
pub struct ScriptedServer {
    listener: PipeListener,
}

/// A channel with default options, and the place where its connections arrive.
pub fn scripted() -> (ClientConn, ScriptedServer) {
    scripted_by("passthrough:///stub.test", |builder| builder)
}

/// As [`scripted`], with this target and these options.
///
/// # Panics
/// If the channel cannot be made.
pub fn scripted_by(
    target: &str,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> (ClientConn, ScriptedServer) {
    let (listener, connector) = pipe();
    let builder = channel_builder(target, credentials::insecure()).dialer(connector);
    let conn = options(builder).build().expect("a valid channel");
    (conn, ScriptedServer { listener })
}

impl ScriptedServer {
    /// The next connection, without a word said.
    ///
    /// # Panics
    /// If the channel does not connect.
    pub async fn io(&mut self) -> BoxedIo {
        soon(self.listener.accept())
            .await
            .expect("pipes do not fail")
            .expect("the channel is there")
            .io
    }

    /// The wire peer as the server of the next connection, keeping house.
    pub async fn accept(&mut self) -> WirePeer {
        self.accept_with(settings()).await
    }

    /// As [`accept`](Self::accept), with these SETTINGS.
    pub async fn accept_with(&mut self, settings: Settings) -> WirePeer {
        WirePeer::server_with(self.io().await, settings)
            .await
            .housekeeping()
    }
}
