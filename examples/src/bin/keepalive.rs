//! Keepalive and the maximum age of connections: the server limits the age of its connections and
//! the rate of the clients' PINGs. The client sends keepalive PINGs, and loses no call when its
//! connection is replaced.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin keepalive
//! ```
//!
//! A server that is frozen or unreachable closes no connection. With the parameters here, the
//! client detects it 40 s after the last byte: calls on its connections then fail with
//! UNAVAILABLE, and further calls go to other backends.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rgrpc::io::Address;
use rgrpc::keepalive::{ClientParameters, EnforcementPolicy, ServerParameters};
use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;
use tokio::time::sleep;

mod proto {
    rgrpc::include_protos!();
}

use proto::helloworld::{Greeter, GreeterClient, HelloReply, HelloRequest, register_greeter};

/// A greeter that responds with the number of the call's connection.
#[derive(Default)]
struct Numbering(Mutex<Vec<Address>>);

impl Greeter for Numbering {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let Some(peer) = request.peer() else {
            return Err(Status::internal("a call without a connection"));
        };
        let client = &peer.remote;
        let mut clients = self.0.lock().expect("nothing panics with it");
        let number = match clients.iter().position(|known| known == client) {
            Some(index) => index + 1,
            None => {
                clients.push(client.clone());
                clients.len()
            }
        };
        let message = format!("Hello over connection {number}");
        Ok(Response::new(HelloReply { message }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new()
        // Half an hour is usual, so that clients find added replicas.
        .keepalive(ServerParameters {
            max_connection_age: Some(Duration::from_millis(200)),
            max_connection_age_grace: Some(Duration::from_secs(60)),
            ..ServerParameters::default()
        })
        // The default of one PING in 5 minutes is not enough for the client below.
        .keepalive_enforcement(EnforcementPolicy {
            min_time: Duration::from_secs(20),
            permit_without_stream: false,
        });
    register_greeter(&mut server, Numbering::default())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::builder(address.to_string(), credentials::insecure())
        .keepalive(ClientParameters {
            timeout: Duration::from_secs(10),
            ..ClientParameters::new(Duration::from_secs(30))
        })
        .build()?;
    let greeter = GreeterClient::new(conn.clone());
    let began = Instant::now();
    let (mut calls, mut replies) = (0, BTreeSet::new());
    while began.elapsed() < Duration::from_secs(1) || replies.len() < 3 {
        let reply = greeter.say_hello(HelloRequest::default()).await?;
        calls += 1;
        let message = reply.into_message().message;
        if replies.insert(message.clone()) {
            println!("{message}");
        }
        sleep(Duration::from_millis(5)).await;
    }
    for connection in conn.connections() {
        let server = &connection.peer.remote;
        assert_eq!(connection.streams_failed, 0);
        println!("{} calls to {server} so far", connection.streams_started);
    }
    println!("no call was lost");
    assert!(calls >= replies.len());
    Ok(())
}
