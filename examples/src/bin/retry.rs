//! Calls that are retried when the server is busy: the channel's service config says which
//! failures, how often and when; the handlers and the callers do nothing for it.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin retry
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;

use rgrpc::{ClientConn, Metadata, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

/// How the greeter's methods are to be called. The second attempt comes 20 ms after the first has
/// failed, the third 40 ms after the second; all by a random factor between 0.8 and 1.2. While more
/// than half of the channel's tokens are used up, nothing is retried: a failure takes one, a
/// success gives a tenth back.
const SERVICE_CONFIG: &str = r#"{
    "methodConfig": [{
        "name": [{"service": "helloworld.Greeter"}],
        "timeout": "5s",
        "retryPolicy": {
            "maxAttempts": 4,
            "initialBackoff": "0.02s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"]
        }
    }],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
}"#;

/// Greets Ada at the third attempt, and the others not at all.
struct Busy;

impl Greeter for Busy {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.message().name;
        if name.is_empty() {
            return Err(Status::invalid_argument("the name is empty"));
        }
        // A client says how often it has tried before.
        let previous = match request.metadata().get("grpc-previous-rpc-attempts") {
            Some(attempts) => attempts.parse().unwrap_or_default(),
            None => 0,
        };
        let attempt: u32 = previous + 1;
        if name == "Ada" && attempt >= 3 {
            println!("  server: {name}, attempt {attempt}: served");
            let message = format!("Hello, {name}!");
            return Ok(Response::new(HelloReply { message }));
        }
        println!("  server: {name}, attempt {attempt}: busy");
        let mut trailers = Metadata::new();
        if name == "Radia" {
            // After how many milliseconds to try again; a negative number means not to.
            trailers
                .insert("grpc-retry-pushback-ms", "-1")
                .map_err(|error| Status::internal(error.to_string()))?;
        }
        Err(Status::unavailable("busy").with_metadata(trailers))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new();
    register_greeter(&mut server, Busy)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handle = server.handle();
    tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::builder(address.to_string(), credentials::insecure())
        .default_service_config(SERVICE_CONFIG)
        .build()?;
    let greeter = GreeterClient::new(conn);
    for (title, name) in [
        ("Busy, until the third attempt:", "Ada"),
        ("Busy for as long as the policy goes on:", "Grace"),
        ("Busy, and the server asks not to be tried again:", "Radia"),
        ("A failure that the policy does not name:", ""),
    ] {
        println!("{title}");
        let name = name.to_owned();
        match greeter.say_hello(HelloRequest { name }).await {
            Ok(reply) => println!("  client: {}", reply.message().message),
            Err(status) => println!("  client: {status}"),
        }
    }

    handle.graceful_stop().await;
    Ok(())
}
