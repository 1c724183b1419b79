//! A server with threads of its own: connections are dealt to them, and all handlers of a
//! connection run on one.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin workers
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::thread;

use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

/// Greets, and says on which thread.
struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.message().name;
        let thread = thread::current();
        let thread = thread.name().unwrap_or("a thread without a name");
        let message = format!("Hello, {name}! I run on {thread}");
        Ok(Response::new(HelloReply { message }))
    }
}

/// How many threads serve: in earnest as many as there are cores, which
/// `std::thread::available_parallelism` tells, less what the rest of the program needs.
const WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new().workers(WORKERS);
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.serve_listener(listener));

    // A connection each, as if they were different programs.
    let mut guests = Vec::new();
    for name in ["Ada", "Barbara", "Grace", "Radia"] {
        let conn = ClientConn::new(address.to_string(), credentials::insecure())?;
        guests.push((name, GreeterClient::new(conn)));
    }
    for (name, greeter) in guests.iter().chain(&guests) {
        let name = (*name).to_owned();
        let reply = greeter.say_hello(HelloRequest { name }).await?;
        println!("{}", reply.message().message);
    }

    // The threads have ended when this returns.
    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
