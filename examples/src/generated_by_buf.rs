//! Checked-in generated code. `buf generate` in the repository's root writes `src/proto`, by the
//! configuration in `buf.gen.yaml`, and the crate needs no build script for it.
//! `build_without_protoc` is the same program on code of `build.rs`, which is the same byte for
//! byte.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin generated_by_buf
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

// The code of all schemas of the examples; this program uses one of them.
mod proto;

use proto::helloworld::{Greeter, GreeterClient, HelloReply, HelloRequest, register_greeter};

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
    let mut server = Server::new();
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::new(address.to_string(), credentials::insecure())?;
    let greeter = GreeterClient::new(conn);
    let name = "buf".to_owned();
    let reply = greeter.say_hello(HelloRequest { name }).await?;
    println!("{}", reply.message().message);

    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
