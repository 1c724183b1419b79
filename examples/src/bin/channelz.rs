//! Prints the channels, subchannels, servers and sockets of a running program as a tree, with the
//! counts of their calls, as a channelz service or a debugging page would.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin channelz
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use rgrpc::channelz::{CallCounts, ChannelSnapshot, ConnectionSnapshot, Registry};
use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.message().name;
        if name.is_empty() {
            return Err(Status::invalid_argument("the name is empty"));
        }
        let message = format!("Hello, {name}!");
        Ok(Response::new(HelloReply { message }))
    }
}

/// The number of entries that are read at once, as in channelz.
const PAGE: usize = 50;

/// Prints everything that a registry lists. The lists of a large program have several pages.
fn print(registry: &Registry) {
    let mut start = 0;
    loop {
        let page = registry.top_channels(start, PAGE);
        for channel in &page.items {
            print_channel(registry, channel, "");
            start = channel.id + 1;
        }
        if page.is_last {
            break;
        }
    }
    for server in registry.servers(0, PAGE).items {
        println!("server: {}", calls(server.calls));
        for listener in &server.listen_sockets {
            let is_tcp = listener.local.to_string().starts_with("127.0.0.1:");
            println!("  listen socket, on loopback: {is_tcp}");
        }
        let sockets = registry.server_sockets(server.id, 0, PAGE);
        for socket in sockets.iter().flat_map(|page| &page.items) {
            print_socket(socket, "  ");
        }
    }
}

fn print_channel(registry: &Registry, channel: &ChannelSnapshot, indent: &str) {
    // The target has the port, which differs from run to run.
    let scheme = channel.target.split(':').next().unwrap_or_default();
    println!(
        "{indent}channel by {scheme}, {}: {}",
        channel.state,
        calls(channel.calls)
    );
    for subchannel in registry.subchannels(channel.id) {
        println!(
            "{indent}  subchannel, {}: {}",
            subchannel.state,
            calls(subchannel.calls)
        );
        if let Some(error) = &subchannel.last_connect_error {
            println!("{indent}    not connected: {error}");
        }
        for socket in &subchannel.connections {
            print_socket(socket, &format!("{indent}    "));
        }
    }
    for nested in channel.nested.iter().filter_map(|id| registry.channel(*id)) {
        print_channel(registry, &nested, &format!("{indent}  "));
    }
}

fn print_socket(socket: &ConnectionSnapshot, indent: &str) {
    println!(
        "{indent}socket, {}: {} streams, {} open, {} messages sent, {} received",
        socket.peer.auth.security_level(),
        socket.streams_started,
        socket.streams_open,
        socket.messages_sent,
        socket.messages_received,
    );
}

fn calls(calls: CallCounts) -> String {
    let CallCounts {
        started,
        succeeded,
        failed,
        ..
    } = calls;
    format!("{started} calls, {succeeded} succeeded, {failed} failed")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Without these two options everything is in `Registry::shared`.
    let registry = Registry::new();
    let mut server = Server::new().registry(registry.clone());
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(listener));

    let channel =
        |target| ClientConn::builder(target, credentials::insecure()).registry(registry.clone());
    let conn = channel(format!("dns:///{address}")).build()?;
    // As a resolver or a balancer does that asks another service.
    let lookup = channel(format!("ipv4:{address}"))
        .parent(conn.id())
        .build()?;
    for (conn, names) in [(&conn, &["Ada", "Grace", ""][..]), (&lookup, &["Ada"])] {
        let greeter = GreeterClient::new(conn.clone());
        for name in names {
            let name = (*name).to_owned();
            // The empty name is refused.
            let _ = greeter.say_hello(HelloRequest { name }).await;
        }
    }
    // The connections publish their counts before they sleep.
    while registry.servers(0, PAGE).items[0].calls.succeeded < 3 {
        tokio::task::yield_now().await;
    }
    print(&registry);

    drop((conn, lookup));
    handle.graceful_stop().await;
    serving.await??;
    let channels = registry.channels(0, PAGE).items.len();
    let servers = registry.servers(0, PAGE).items.len();
    println!("at the end: {channels} channels, {servers} servers");
    Ok(())
}
