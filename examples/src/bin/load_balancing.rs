//! Three servers share the calls of one client, and one of them stops and comes back: which server
//! a call goes to is what the policy says that the service config names, and no call fails.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin load_balancing
//! ```
//!
//! The servers' addresses are told by a `ManualResolver`, as a registry would find them, and the
//! service config comes with them: whoever runs the servers decides how their clients spread calls.

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use rgrpc::io::Address;
use rgrpc::resolver::{ManualResolver, ResolverState};
use rgrpc::{BackoffConfig, ClientConn, Request, Response, Server, Status, credentials};
use rgrpc::{RegisterError, ServerHandle};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::sleep;

rgrpc::include_proto!("helloworld");

/// Each call goes to the next server of those that a connection is ready to.
const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// All calls go to the first server that can be reached. This is the policy where none is named.
const PICK_FIRST: &str = r#"{"loadBalancingConfig": [{"pick_first": {}}]}"#;

/// How many calls are counted: every number of servers here shares them evenly.
const CALLS: usize = 30;

/// Answers with its name.
struct Named(&'static str);

impl Greeter for Named {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let message = self.0.to_owned();
        Ok(Response::new(HelloReply { message }))
    }
}

/// Starts a server. Returns what it is stopped by.
fn start(name: &'static str, listener: TcpListener) -> Result<ServerHandle, RegisterError> {
    let mut server = Server::new();
    register_greeter(&mut server, Named(name))?;
    let handle = server.handle();
    tokio::spawn(server.serve_listener(listener));
    Ok(handle)
}

/// An address that others cannot take, and at which nobody listens yet.
fn taken(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that have ended here do not count.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// How many calls each server answers.
async fn count(greeter: &GreeterClient) -> Result<BTreeMap<String, usize>, Status> {
    let mut answered = BTreeMap::new();
    for _ in 0..CALLS {
        let reply = greeter.say_hello(HelloRequest::default()).await?;
        *answered.entry(reply.into_message().message).or_default() += 1;
    }
    Ok(answered)
}

/// Calls until these servers have the same share: a client connects to a server, or hears that it
/// stops, a moment after that is so.
async fn print_shares(what: &str, greeter: &GreeterClient, servers: &[&str]) -> Result<(), Status> {
    let share = CALLS / servers.len();
    loop {
        let answered = count(greeter).await?;
        if answered.keys().eq(servers) && answered.values().all(|&calls| calls == share) {
            println!("{what}: {answered:?}");
            return Ok(());
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses = Vec::new();
    let mut handles = Vec::new();
    for name in ["Ada", "Barbara", "Grace"] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?);
        handles.push(start(name, listener)?);
    }
    let found = ResolverState::of_addresses(addresses.iter().copied().map(Address::Tcp));

    let registry = ManualResolver::new("registry");
    registry.update(found.clone().with_service_config(ROUND_ROBIN));
    let conn = ClientConn::builder("registry:///greeter", credentials::insecure())
        .resolver(registry.clone())
        // Attempts to connect to a server that is gone are 1 s apart at first, unless this is said.
        .connect_backoff(BackoffConfig {
            base_delay: Duration::from_millis(50),
            ..Default::default()
        })
        .build()?;
    let greeter = GreeterClient::new(conn);
    print_shares("All three serve", &greeter, &["Ada", "Barbara", "Grace"]).await?;

    // Graceful: the calls that it has are answered, and its clients send the next ones elsewhere.
    handles[1].graceful_stop().await;
    let socket = taken(addresses[1])?;
    print_shares("Barbara has stopped", &greeter, &["Ada", "Grace"]).await?;

    start("Barbara", socket.listen(128)?)?;
    print_shares("Barbara is back", &greeter, &["Ada", "Barbara", "Grace"]).await?;

    registry.update(found.with_service_config(PICK_FIRST));
    print_shares("Another policy", &greeter, &["Ada"]).await?;
    Ok(())
}
