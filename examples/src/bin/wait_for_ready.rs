//! A client that is started before its server: what its calls do until the server is there, and how
//! the channel's state is watched.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin wait_for_ready
//! ```
//!
//! Calls fail at once while no connection can be made, unless they say that they wait. A program
//! that can do nothing without its server waits for the channel to be ready.

#![allow(clippy::print_stdout, reason = "an example says what it does")]

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

/// Prints the channel's states until it is closed. One that lasts only a moment may be left out.
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
    // The server's address: taken, so that no other program gets it, but nobody listens yet.
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let address = socket.local_addr()?;

    // Attempts to connect are 1 s apart at first and 120 s at last, unless this is said. A channel
    // whose users have no time for that says less.
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

    // Now the server starts. The channel would find out when its wait is over; whoever knows
    // earlier can say so.
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

    // The server is gone, and no call needs a connection: the channel makes none.
    handle.graceful_stop().await;
    serving.await??;
    conn.wait_for_state_change(ConnectivityState::Ready).await;
    conn.close();
    printing.await?;
    Ok(())
}
