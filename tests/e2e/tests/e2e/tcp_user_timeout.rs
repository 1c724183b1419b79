//! The option `tcp_user_timeout` of channels and servers reaches their sockets.
#![cfg(target_os = "linux")]

use std::io;
use std::net;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::io::{Address, Connected, Dial, Listener, SystemDialer};
use rgrpc::keepalive::{ClientParameters, ServerParameters};
use rgrpc::{ClientConnBuilder, Server, Transport, credentials};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, channel_builder, msg, new_server, register_stub, soon,
};
use rustix::net::sockopt::tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};

/// A second handle of each socket that was made.
#[derive(Clone, Default)]
struct Sockets(Arc<Mutex<Vec<net::TcpStream>>>);

impl Sockets {
    fn keep(&self, stream: TcpStream) -> io::Result<TcpStream> {
        let stream = stream.into_std()?;
        let copy = stream.try_clone()?;
        self.0.lock().expect("no panic").push(copy);
        TcpStream::from_std(stream)
    }

    /// In milliseconds; 0 for that of the system.
    fn timeouts(&self) -> Vec<u32> {
        let sockets = self.0.lock().expect("no panic");
        let timeouts = sockets.iter().map(tcp_user_timeout);
        timeouts.map(|timeout| timeout.expect("a socket")).collect()
    }
}

/// Accepts, and keeps a handle.
struct Keeping(TcpListener, Sockets);

impl Listener for Keeping {
    async fn accept(&mut self) -> io::Result<Option<Connected>> {
        let (stream, _) = self.0.accept().await?;
        let peer = rgrpc::io::Peer::new(Address::Pipe, Address::Pipe);
        let stream = self.1.keep(stream)?;
        Ok(Some(Connected::new(Box::new(stream), peer)))
    }

    fn local_address(&self) -> Address {
        Address::Pipe
    }
}

/// The user timeouts of the dialed and the accepted sockets of a channel and a server with these
/// options, in milliseconds.
async fn timeouts(
    channel: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
    server: impl FnOnce(Server) -> Server,
) -> (Vec<u32>, Vec<u32>) {
    let (dialed, accepted) = (Sockets::default(), Sockets::default());
    let mut server = server(new_server());
    register_stub(&mut server, StubService::echo()).expect("an empty server");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = Address::Tcp(listener.local_addr().expect("bound"));
    let handle = server.handle();
    tokio::spawn(server.serve_listener(Keeping(listener, accepted.clone())));

    let keep = dialed.clone();
    let dialer = FnDialer::new(move |_| {
        let (dial, keep) = (SystemDialer::default().dial(address.clone()), keep.clone());
        async move {
            let connected = dial.await?;
            let any: Box<dyn std::any::Any> = connected.io;
            let stream = any.downcast::<TcpStream>().expect("a socket of TCP");
            let stream = keep.keep(*stream)?;
            Ok(Connected::new(Box::new(stream), connected.peer))
        }
    });
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
    let conn = channel(builder.dialer(dialer)).build();
    let client = StubClient::new(conn.expect("a valid channel"));
    soon(client.unary(msg("")).into_future())
        .await
        .expect("it works");
    handle.stop();
    (dialed.timeouts(), accepted.timeouts())
}

#[tokio::test]
async fn sockets_have_a_user_timeout_of_20_s_another_one_or_that_of_the_system() {
    let second = Duration::from_secs(1);
    let default = timeouts(|builder| builder, |server| server).await;
    assert_eq!(default, (vec![20_000], vec![20_000]));
    for (option, expected) in [
        (Some(3 * second), 3_000),
        (Some(Duration::ZERO), 0),
        (None, 0),
    ] {
        let set = timeouts(
            |builder| builder.tcp_user_timeout(option),
            |server| server.tcp_user_timeout(option),
        );
        assert_eq!(set.await, (vec![expected], vec![expected]), "{option:?}");
    }
}

#[tokio::test]
async fn the_user_timeout_is_that_of_keepalive_unless_it_has_an_option_of_its_own() {
    let second = Duration::from_secs(1);
    let client = ClientParameters {
        timeout: 7 * second,
        ..ClientParameters::new(60 * second)
    };
    let server = ServerParameters {
        timeout: 8 * second,
        ..ServerParameters::default()
    };
    let channel =
        |builder: ClientConnBuilder| builder.transport(Transport::Native).keepalive(client);
    let serve = |it: Server| it.transport(Transport::Native).keepalive(server);
    assert_eq!(timeouts(channel, serve).await, (vec![7_000], vec![8_000]));

    // The order of the options does not matter.
    let set = timeouts(
        |builder| channel(builder.tcp_user_timeout(second)),
        |server| serve(server.tcp_user_timeout(2 * second)),
    );
    assert_eq!(set.await, (vec![1_000], vec![2_000]));

    // A keepalive that never sends a PING has no say.
    let never = ClientParameters {
        time: Duration::MAX,
        ..client
    };
    let channel =
        |builder: ClientConnBuilder| builder.transport(Transport::Native).keepalive(never);
    let (dialed, _) = timeouts(channel, |server| server).await;
    assert_eq!(dialed, [20_000]);
}
