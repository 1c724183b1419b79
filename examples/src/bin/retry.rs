//! Retries: calls are retried when the server is busy. The channel's service config has the retry
//! policy; handlers and callers need no code for it.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin retry
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use rgrpc::{ClientConn, Metadata, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

/// The retry policy of the greeter, and the retry throttling.
///
/// The second attempt comes 20 ms after the failure of the first, the third 40 ms after that of the
/// second, each multiplied by a random factor from 0.8 to 1.2. A failure takes one token of the
/// channel, and a success adds a tenth. Nothing is retried while at most half of the tokens are
/// left.
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

/// A greeter that greets Ada at the third attempt, and nobody else.
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
        // The client sends the number of previous attempts.
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
            // The delay before the next attempt, in milliseconds. A negative number forbids further
            // attempts.
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
        ("Busy in all attempts of the policy:", "Grace"),
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
