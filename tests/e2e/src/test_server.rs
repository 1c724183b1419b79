//! A server of rgrpc, reached over in-memory pipes.

use rgrpc::io::{Address, BoxedIo, Dial, PipeConnector, pipe};
use rgrpc::{ClientConn, ServeError, Server, ServerHandle, credentials};
use rgrpc_test_support::{Settings, WirePeer, settings};
use tokio::task::JoinHandle;

use crate::{StubClient, StubService, channel_builder, new_server, register_stub, soon};

/// A server that serves, on a task of its own, until it is dropped or stopped.
#[derive(Debug)]
pub struct TestServer {
    connector: PipeConnector,
    handle: ServerHandle,
    serving: JoinHandle<Result<(), ServeError>>,
}

/// A server with this service and default options.
pub fn serve(service: StubService) -> TestServer {
    serve_with(new_server(), service)
}

/// A server with this service besides what it has.
///
/// # Panics
/// If it has the stub service already.
pub fn serve_with(mut server: Server, service: StubService) -> TestServer {
    register_stub(&mut server, service).expect("a server without the stub service");
    let (listener, connector) = pipe();
    TestServer {
        connector,
        handle: server.handle(),
        serving: tokio::spawn(server.serve_listener(listener)),
    }
}

impl TestServer {
    /// A channel to the server.
    pub fn conn(&self) -> ClientConn {
        channel_builder("passthrough:///stub.test", credentials::insecure())
            .dialer(self.connector.clone())
            .build()
            .expect("a valid target")
    }

    /// A client of the stub service on a channel of its own.
    pub fn client(&self) -> StubClient {
        StubClient::new(self.conn())
    }

    /// A connection to the server on which nothing has been said.
    ///
    /// # Panics
    /// If the server does not accept it.
    pub async fn io(&self) -> BoxedIo {
        let dial = self.connector.dial(Address::Pipe);
        soon(dial).await.expect("the server listens").io
    }

    /// The wire peer as a client of the server, keeping house.
    pub async fn wire_client(&self) -> WirePeer {
        self.wire_client_with(settings()).await
    }

    /// As [`wire_client`](Self::wire_client), with these SETTINGS.
    pub async fn wire_client_with(&self, settings: Settings) -> WirePeer {
        WirePeer::client_with(self.io().await, settings)
            .await
            .housekeeping()
    }

    /// The handle that stops the server.
    pub fn handle(&self) -> &ServerHandle {
        &self.handle
    }

    /// The dialer of the server.
    pub fn connector(&self) -> PipeConnector {
        self.connector.clone()
    }

    /// Waits until serving has ended.
    ///
    /// # Panics
    /// If it fails or does not end.
    pub async fn served(mut self) {
        soon(&mut self.serving)
            .await
            .expect("the accept loop does not panic")
            .expect("the server serves");
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.stop();
    }
}
