//! Early ends of a call: by its deadline on both sides, by a dropped future, and by a cancel
//! handle. Each end reaches the services that the handler has called, and drops their handlers. A
//! value in a handler can ask for the reason.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin deadline_and_cancel
//! ```
//!
//! The client calls a relay, and its handler calls a sleeper, which never responds:
//!
//! ```text
//! client ──► Relay ──► Sleeper
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::future;
use std::time::Duration;

use rgrpc::{
    CallContext, CancelHandle, ClientConn, Request, Response, Server, ServerHandle, Status,
    credentials,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

rgrpc::include_proto!("helloworld");

/// A greeter that never responds. It reports when a call begins and ends.
struct Sleeper {
    events: UnboundedSender<String>,
}

impl Greeter for Sleeper {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let _dropped = OnDrop {
            events: self.events.clone(),
            context: request.context().cloned(),
        };
        // The client sends the remaining time, not a point in time.
        let _ = self.events.send(match request.deadline() {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                format!("sleeper: called, with {} ms left", left.as_millis())
            }
            None => "sleeper: called, with all the time in the world".to_owned(),
        });
        future::pending().await
    }
}

/// A value in a handler, such as a guard, a connection or a lock. It is dropped with the handler,
/// and knows the reason.
struct OnDrop {
    events: UnboundedSender<String>,
    context: Option<CallContext>,
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        let reason = self.context.as_ref().and_then(CallContext::cancel_reason);
        let reason = reason.map_or("it returned".to_owned(), |reason| reason.to_string());
        let _ = self
            .events
            .send(format!("sleeper: its handler was dropped: {reason}"));
    }
}

/// A greeter that forwards calls.
struct Relay {
    sleeper: GreeterClient,
}

impl Greeter for Relay {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        // A call on behalf of this one: it has the same deadline, and is cancelled with it.
        let onward = request.outgoing(request.message().clone());
        self.sleeper.say_hello(onward).await
    }
}

/// Serves a greeter on a free port. Returns a client, and the handle of the server.
async fn serve(greeter: impl Greeter) -> Result<(GreeterClient, ServerHandle), Box<dyn Error>> {
    let mut server = Server::new();
    register_greeter(&mut server, greeter)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(server.serve_listener(listener));
    let conn = ClientConn::new(address.to_string(), credentials::insecure())?;
    Ok((GreeterClient::new(conn), server.handle()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (events, mut heard) = unbounded_channel();
    let (sleeper, sleeper_handle) = serve(Sleeper { events }).await?;
    let (relay, relay_handle) = serve(Relay { sleeper }).await?;
    let mut next = async || heard.recv().await.ok_or("the sleeper is gone");

    println!("A deadline of 500 ms:");
    let call = relay
        .say_hello(HelloRequest::default())
        .timeout(Duration::from_millis(500));
    let (outcome, called) = tokio::join!(call, next());
    println!("  {}", called?);
    if let Err(status) = outcome {
        println!("  client: {status}");
    }
    println!("  {}", next().await?);

    println!("No deadline, and the client drops the call:");
    tokio::select! {
        outcome = relay.say_hello(HelloRequest::default()) => outcome.map(drop)?,
        event = next() => println!("  {}", event?),
    }
    // `select!` drops the other branch, and the call with it.
    println!("  {}", next().await?);

    println!("No deadline, and another task cancels the call:");
    let cancel = CancelHandle::new();
    let call = relay
        .say_hello(HelloRequest::default())
        .cancel_handle(&cancel);
    let canceller = async {
        let event = next().await;
        // Any code can cancel: a button, a signal handler, another request.
        cancel.cancel();
        event
    };
    let (outcome, called) = tokio::join!(call, canceller);
    println!("  {}", called?);
    if let Err(status) = outcome {
        println!("  client: {status}");
    }
    println!("  {}", next().await?);

    relay_handle.graceful_stop().await;
    sleeper_handle.graceful_stop().await;
    Ok(())
}
