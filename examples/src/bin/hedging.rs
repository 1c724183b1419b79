//! Hedging: when a call has no response for a while, another attempt is sent, and the first
//! response wins. The channel's service config has the policy.
//!
//! Hedging is for methods that may run more than once. It helps most if the attempts go to several
//! backends.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin hedging
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::future::pending;

use rgrpc::{ClientConn, Metadata, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

rgrpc::include_proto!("helloworld");

/// The hedging policy of the greeter: a second attempt 50 ms after the first, a third 50 ms after
/// the second. When an attempt fails with UNAVAILABLE, the next one is sent at once. Any other
/// failure is the call's.
const SERVICE_CONFIG: &str = r#"{
    "methodConfig": [{
        "name": [{"service": "helloworld.Greeter"}],
        "timeout": "5s",
        "hedgingPolicy": {
            "maxAttempts": 3,
            "hedgingDelay": "0.05s",
            "nonFatalStatusCodes": ["UNAVAILABLE"]
        }
    }]
}"#;

/// A greeter that responds to some attempts, and reports cancelled ones.
struct Uneven {
    cancelled: mpsc::UnboundedSender<u32>,
}

impl Greeter for Uneven {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.message().name;
        // The client sends the number of previous attempts.
        let previous = match request.metadata().get("grpc-previous-rpc-attempts") {
            Some(attempts) => attempts.parse().unwrap_or_default(),
            None => 0,
        };
        let attempt: u32 = previous + 1;
        match (name.as_str(), attempt) {
            ("Ada", 1 | 2) => self.hang(&request, attempt).await,
            ("Grace", 1) => {
                println!("  server: attempt 1: busy");
                return Err(Status::unavailable("busy"));
            }
            ("Radia", 1) => {
                println!("  server: attempt 1: busy, and no further attempts");
                let mut trailers = Metadata::new();
                trailers
                    .insert("grpc-retry-pushback-ms", "-1")
                    .map_err(|error| Status::internal(error.to_string()))?;
                return Err(Status::unavailable("busy").with_metadata(trailers));
            }
            ("", _) => return Err(Status::invalid_argument("the name is empty")),
            _ => {}
        }
        println!("  server: attempt {attempt}: served");
        let message = format!("Hello, {name}!");
        Ok(Response::new(HelloReply { message }))
    }
}

impl Uneven {
    /// Never responds. The future is dropped when the client cancels the attempt.
    async fn hang(&self, request: &Request<HelloRequest>, attempt: u32) {
        println!("  server: attempt {attempt}: slow");
        if let Some(call) = request.context().cloned() {
            let cancelled = self.cancelled.clone();
            tokio::spawn(async move {
                call.done().await;
                // The program is ending if nobody receives.
                let _ = cancelled.send(attempt);
            });
        }
        pending::<()>().await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (cancelled, mut cancellations) = mpsc::unbounded_channel();
    let mut server = Server::new();
    register_greeter(&mut server, Uneven { cancelled })?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handle = server.handle();
    tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::builder(address.to_string(), credentials::insecure())
        .default_service_config(SERVICE_CONFIG)
        .build()?;
    let greeter = GreeterClient::new(conn);
    for (title, name, losers) in [
        ("Two attempts are slow, the third one wins:", "Ada", 2),
        (
            "The first attempt fails, the next is sent at once:",
            "Grace",
            0,
        ),
        (
            "The first attempt fails, and the server allows no other:",
            "Radia",
            0,
        ),
        ("A failure that the policy does not name:", "", 0),
    ] {
        println!("{title}");
        let name = name.to_owned();
        match greeter.say_hello(HelloRequest { name }).await {
            Ok(reply) => println!("  client: {}", reply.message().message),
            Err(status) => println!("  client: {status}"),
        }
        let mut lost = Vec::new();
        while lost.len() < losers {
            lost.extend(cancellations.recv().await);
        }
        lost.sort_unstable();
        for attempt in lost {
            println!("  server: attempt {attempt}: cancelled");
        }
    }

    handle.graceful_stop().await;
    Ok(())
}
