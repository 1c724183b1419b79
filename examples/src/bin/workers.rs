//! A server with worker threads. Each connection is assigned to one of them, which runs all
//! handlers of the connection.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin workers
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::thread;

use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

/// A greeter that reports its thread.
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

/// The number of worker threads. A real server uses `std::thread::available_parallelism`, less the
/// threads of the rest of the program.
const WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new().workers(WORKERS);
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.serve_listener(listener));

    // A separate connection for each guest, as for separate programs.
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
