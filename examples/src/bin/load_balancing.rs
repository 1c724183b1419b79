//! Load balancing: three servers share the calls of one client, and one of them stops and restarts.
//! The policy in the service config chooses the server of each call. No call fails.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin load_balancing
//! ```
//!
//! A `ManualResolver` reports the addresses, as a registry would, together with the service config.
//! So the operator of the servers chooses the policy.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

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

/// The policy that sends each call to the next ready server.
const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// The policy that sends all calls to the first reachable server. It is the default.
const PICK_FIRST: &str = r#"{"loadBalancingConfig": [{"pick_first": {}}]}"#;

/// The number of counted calls, a multiple of every number of servers here.
const CALLS: usize = 30;

/// A greeter that responds with its name.
struct Named(&'static str);

impl Greeter for Named {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let message = self.0.to_owned();
        Ok(Response::new(HelloReply { message }))
    }
}

/// Starts a server. Returns its handle.
fn start(name: &'static str, listener: TcpListener) -> Result<ServerHandle, RegisterError> {
    let mut server = Server::new();
    register_greeter(&mut server, Named(name))?;
    let handle = server.handle();
    tokio::spawn(server.serve_listener(listener));
    Ok(handle)
}

/// Binds an address, so that no other program takes it, without listening.
fn taken(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Earlier connections do not prevent a new bind.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Returns the number of calls that each server handles.
async fn count(greeter: &GreeterClient) -> Result<BTreeMap<String, usize>, Status> {
    let mut answered = BTreeMap::new();
    for _ in 0..CALLS {
        let reply = greeter.say_hello(HelloRequest::default()).await?;
        *answered.entry(reply.into_message().message).or_default() += 1;
    }
    Ok(answered)
}

/// Makes calls until these servers have equal shares. A client connects to a server, or learns of
/// its stop, a moment later.
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
        // Without this option, the first delay between connection attempts is 1 s.
        .connect_backoff(BackoffConfig {
            base_delay: Duration::from_millis(50),
            ..Default::default()
        })
        .build()?;
    let greeter = GreeterClient::new(conn);
    print_shares("All three serve", &greeter, &["Ada", "Barbara", "Grace"]).await?;

    // A graceful stop: current calls continue, and clients send new calls elsewhere.
    handles[1].graceful_stop().await;
    let socket = taken(addresses[1])?;
    print_shares("Barbara has stopped", &greeter, &["Ada", "Grace"]).await?;

    start("Barbara", socket.listen(128)?)?;
    print_shares("Barbara is back", &greeter, &["Ada", "Barbara", "Grace"]).await?;

    registry.update(found.with_service_config(PICK_FIRST));
    print_shares("Another policy", &greeter, &["Ada"]).await?;
    Ok(())
}
