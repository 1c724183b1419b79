//! Transport credentials of a program's own: client and server prove to each other by HMAC that
//! they have the same pre-shared key, and the stream after the handshake detects changes. A handler
//! reads the id of the key. A client with a wrong key is refused, and both sides say why.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin psk_handshake
//! ```
//!
//! It shows the seam, and is no replacement for TLS. It does **not** protect:
//!
//! - the privacy of anything: all bytes can be read on the way, the key's id included. So the
//!   security level is `IntegrityOnly`, and per-RPC credentials that need privacy are not sent;
//! - recorded connections against whoever learns the key later: there is no forward secrecy;
//! - a key with little entropy: a recorded handshake allows guesses offline. Keys are 32 random
//!   bytes, not passwords;
//! - the set of known ids: an unknown one has a response of its own;
//! - the end of the stream: a connection that is cut ends early, which HTTP/2 detects for each
//!   call.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

mod handshake;
mod records;

use std::error::Error;
use std::io;

use rgrpc::credentials::{
    ChannelCredentials, MetadataFuture, PerRpcCredentials, RequestInfo, ServerCredentials,
};
use rgrpc::{ClientConn, Metadata, Request, Response, Server, Status};
use tokio::net::TcpListener;

use handshake::{KeyId, PskClient, PskServer};

rgrpc::include_proto!("helloworld");

/// A greeter that uses the id of the client's key.
struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let auth = request.context().map(|call| &call.peer().auth);
        let Some((auth, KeyId(id))) = auth.and_then(|auth| Some((auth, auth.details()?))) else {
            return Err(Status::unauthenticated("the connection has no key"));
        };
        let message = format!(
            "Hello, {id}! Your connection has {}.",
            auth.security_level()
        );
        Ok(Response::new(HelloReply { message }))
    }
}

/// A token that is only sent where nobody else can read it, which is the default.
struct Token;

impl PerRpcCredentials for Token {
    fn metadata<'a>(&'a self, _: RequestInfo<'a>) -> MetadataFuture<'a> {
        Box::pin(async {
            let mut metadata = Metadata::new();
            let appended = metadata.append("authorization", "Bearer secret");
            appended.map_err(|error| Status::internal(error.to_string()))?;
            Ok(metadata)
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The server logs refused connections.
    tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_writer(io::stdout)
        .init();
    // A real program reads its keys from files that only it can read.
    let (key, wrong) = ([7; 32], [8; 32]);

    let credentials = ServerCredentials::new(PskServer::new([("ada", &key[..])]));
    let mut server = Server::new().credentials(credentials);
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = format!("ipv4:{}", listener.local_addr()?);
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(listener));

    greet(
        &target,
        ChannelCredentials::new(PskClient::new("ada", &key)),
    )
    .await?;
    greet(
        &target,
        ChannelCredentials::new(PskClient::new("ada", &wrong)),
    )
    .await?;

    // Handshake and token in one object. The token needs more than the connection has.
    let bundle = ChannelCredentials::new(PskClient::new("ada", &key));
    greet(&target, bundle.with_per_rpc_credentials(Token)).await?;

    handle.graceful_stop().await;
    serving.await??;
    Ok(())
}

async fn greet(target: &str, credentials: ChannelCredentials) -> Result<(), Box<dyn Error>> {
    let greeter = GreeterClient::new(ClientConn::new(target, credentials)?);
    match greeter.say_hello(HelloRequest::default()).await {
        Ok(reply) => println!("client: {}", reply.message().message),
        Err(status) => println!("client: {status}"),
    }
    Ok(())
}
