//! The route guide of gRPC's tutorials: a method of each of the four kinds, on data.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin route_guide                      # server and client in one
//! cargo run -p rgrpc-examples --bin route_guide server [ADDRESS]     # default: 127.0.0.1:50051
//! cargo run -p rgrpc-examples --bin route_guide client [ADDRESS]
//! ```
//!
//! `guide` is the service, `client` calls it, and `features` reads its data. The tutorials'
//! programs in other languages can replace either side.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

mod client;
mod features;
mod guide;

use std::env;
use std::error::Error;

use rgrpc::Server;
use tokio::net::TcpListener;

rgrpc::include_proto!("routeguide");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let role = args.next();
    let address = args.next();

    if role.as_deref() == Some("client") {
        return client::run(address.as_deref().unwrap_or("127.0.0.1:50051")).await;
    }

    let mut server = Server::new();
    register_route_guide(&mut server, guide::Guide::new(features::load()?))?;

    if role.as_deref() == Some("server") {
        let address = address.as_deref().unwrap_or("127.0.0.1:50051");
        let listener = TcpListener::bind(address).await?;
        println!("listening on {}", listener.local_addr()?);
        server.serve_listener(listener).await?;
        return Ok(());
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let serving = tokio::spawn(server.serve_listener(listener));
    client::run(&address.to_string()).await?;
    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
