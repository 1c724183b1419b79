//! A client that starts before its server: the behaviour of its calls until the server listens, and
//! the states of the channel.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin wait_for_ready
//! ```
//!
//! Without "wait for ready", calls fail at once while the channel cannot connect. A program that
//! needs its server waits until the channel is ready.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::time::Duration;

use rgrpc::{
    BackoffConfig, ClientConn, ConnectivityState, Request, Response, Server, Status, credentials,
};
use tokio::net::TcpSocket;
use tokio::time::Instant;

rgrpc::include_proto!("helloworld");

struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let message = format!("Hello, {}!", request.message().name);
        Ok(Response::new(HelloReply { message }))
    }
}

fn named(name: &str) -> HelloRequest {
    HelloRequest {
        name: name.to_owned(),
    }
}

/// Prints the channel's states until it is closed. A short state may be skipped.
async fn print_states(conn: ClientConn) {
    let mut state = conn.state();
    println!("state: {state}");
    while state != ConnectivityState::Shutdown {
        state = conn.wait_for_state_change(state).await;
        println!("state: {state}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The server's address: bound, so that no other program takes it, but without a listener yet.
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let address = socket.local_addr()?;

    // By default, the delay between connection attempts grows from 1 s to 120 s. These values suit
    // an impatient user.
    let conn = ClientConn::builder(address.to_string(), credentials::insecure())
        .connect_backoff(BackoffConfig {
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
            ..Default::default()
        })
        .build()?;
    let printing = tokio::spawn(print_states(conn.clone()));
    let greeter = GreeterClient::new(conn.clone());

    let soon = Instant::now() + Duration::from_millis(300);
    if let Err(status) = conn.wait_ready(soon).await {
        println!("wait_ready: {}", status.code());
    }
    if let Err(status) = greeter.say_hello(named("Ada")).await {
        println!("a call that does not wait: {}", status.code());
    }
    let waiting = tokio::spawn({
        let greeter = greeter.clone();
        async move {
            greeter
                .say_hello(named("Grace"))
                .wait_for_ready(true)
                .timeout(Duration::from_secs(30))
                .await
        }
    });

    // Now the server starts. The channel would connect after its delay; `reset_connect_backoff`
    // ends the delay.
    let mut server = Server::new();
    register_greeter(&mut server, Hello)?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(socket.listen(128)?));
    conn.reset_connect_backoff();

    let reply = waiting.await??;
    println!("a call that waits: {}", reply.message().message);
    let reply = greeter.say_hello(named("Ada")).await?;
    println!(
        "a call on a channel that is ready: {}",
        reply.message().message
    );

    // The server has stopped, and no call needs a connection, so the channel does not reconnect.
    handle.graceful_stop().await;
    serving.await??;
    conn.wait_for_state_change(ConnectivityState::Ready).await;
    conn.close();
    printing.await?;
    Ok(())
}
