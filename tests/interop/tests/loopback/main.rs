//! Our client and our server, over TCP on loopback.

mod cases;
mod client_flags;
mod service;
mod tls;
mod wrong_servers;

use std::net::Ipv4Addr;

use rgrpc::{ClientConn, Server, credentials};
use rgrpc_interop::client::{self, Options};
use rgrpc_interop::flags::Command;
use rgrpc_interop::server;
use tokio::net::TcpListener;

/// Serves on a port of its own, for as long as the test runs. Returns the port.
async fn start(server: Server) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(server.serve_listener(listener));
    port
}

/// Starts the interop server.
async fn start_interop_server() -> u16 {
    start_interop_server_with(&[]).await
}

/// Starts the interop server with these flags.
async fn start_interop_server_with(flags: &[&str]) -> u16 {
    let flags = flags.iter().map(|&flag| flag.to_owned());
    let options = match server::Options::parse(flags) {
        Ok(Command::Run(options)) => options,
        other => panic!("not a command line to run: {other:?}"),
    };
    start(server::server(&options.tls).expect("it has one service")).await
}

/// A channel to a server on loopback.
fn channel(port: u16) -> ClientConn {
    ClientConn::new(format!("127.0.0.1:{port}"), credentials::insecure()).expect("a valid target")
}

/// Runs the interop client against a server on loopback.
async fn run_client(port: u16, flags: &[&str]) -> Result<String, String> {
    let address = [
        "--server_host=127.0.0.1".to_owned(),
        format!("--server_port={port}"),
    ];
    let flags = flags.iter().copied().map(str::to_owned);
    let Ok(Command::Run(options)) = Options::parse(address.into_iter().chain(flags)) else {
        panic!("the flags are well-formed");
    };
    client::run(options)
        .await
        .map_err(|error| error.to_string())
}
