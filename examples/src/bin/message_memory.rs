//! The memory of large messages: a server bounds what clients can make it allocate before they
//! send, and a channel keeps a pool of buffers for its large responses.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin message_memory
//! ```
//!
//! Without these options all channels and servers of a process share one budget and one pool.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use rgrpc::{BufferPool, ClientConn, MemoryBudget, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

const MIB: usize = 1024 * 1024;

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

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // All clients of this server together make it allocate at most 8 MiB for requests that have not
    // arrived. Others arrive in pieces.
    let budget = MemoryBudget::new(8 * MIB);
    let mut server = Server::new().memory_budget(budget.clone());
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = format!("dns:///{}", listener.local_addr()?);
    tokio::spawn(server.serve_listener(listener));

    // The channel keeps up to 4 MiB of unused buffers; another channel can share the pool.
    let pool = BufferPool::new(4 * MIB);
    let conn = ClientConn::builder(target, credentials::insecure())
        .buffer_pool(pool.clone())
        .build()?;
    let greeter = GreeterClient::new(conn);
    let name = "A".repeat(MIB);
    for _ in 0..3 {
        let name = name.clone();
        let reply = greeter.say_hello(HelloRequest { name }).await?;
        println!("a reply of {} bytes", reply.message().message.len());
    }
    println!("the channel keeps buffers: {}", pool.unused_bytes() > 0);
    println!("the server has reserved {} bytes", budget.reserved_bytes());
    Ok(())
}
