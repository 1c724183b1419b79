//! Calls that do not wait for a slow backend: when no answer has come for a while, a copy of the
//! call is sent, and the first answer wins. The channel's service config says when and how many.
//!
//! For methods that may run more than once, and most useful where the copies go to several
//! backends.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin hedging
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;
use std::future::pending;

use rgrpc::{ClientConn, Metadata, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

rgrpc::include_proto!("helloworld");

/// How the greeter's methods are to be called: a second copy 50 ms after the first, a third 50 ms
/// after the second. When a copy fails with UNAVAILABLE, the next one is sent at once; any other
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

/// Serves some copies, and says which ones were cancelled.
struct Uneven {
    cancelled: mpsc::UnboundedSender<u32>,
}

impl Greeter for Uneven {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.message().name;
        // A client says how many copies it has sent before.
        let previous = match request.metadata().get("grpc-previous-rpc-attempts") {
            Some(attempts) => attempts.parse().unwrap_or_default(),
            None => 0,
        };
        let copy: u32 = previous + 1;
        match (name.as_str(), copy) {
            ("Ada", 1 | 2) => self.hang(&request, copy).await,
            ("Grace", 1) => {
                println!("  server: copy 1: busy");
                return Err(Status::unavailable("busy"));
            }
            ("Radia", 1) => {
                println!("  server: copy 1: busy, and no other may come");
                let mut trailers = Metadata::new();
                trailers
                    .insert("grpc-retry-pushback-ms", "-1")
                    .map_err(|error| Status::internal(error.to_string()))?;
                return Err(Status::unavailable("busy").with_metadata(trailers));
            }
            ("", _) => return Err(Status::invalid_argument("the name is empty")),
            _ => {}
        }
        println!("  server: copy {copy}: served");
        let message = format!("Hello, {name}!");
        Ok(Response::new(HelloReply { message }))
    }
}

impl Uneven {
    /// Never answers. When the client cancels the copy, this is dropped.
    async fn hang(&self, request: &Request<HelloRequest>, copy: u32) {
        println!("  server: copy {copy}: slow");
        if let Some(call) = request.context().cloned() {
            let cancelled = self.cancelled.clone();
            tokio::spawn(async move {
                call.done().await;
                // The program is about to end when nobody listens.
                let _ = cancelled.send(copy);
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
        ("Two copies are slow, the third one wins:", "Ada", 2),
        (
            "The first copy fails, the next is sent at once:",
            "Grace",
            0,
        ),
        ("The first copy fails, and no other may come:", "Radia", 0),
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
        for copy in lost {
            println!("  server: copy {copy}: cancelled");
        }
    }

    handle.graceful_stop().await;
    Ok(())
}
