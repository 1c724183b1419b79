//! Code generated when the crate is built: `build.rs` compiles `proto/helloworld.proto` with the
//! compiler that is part of `protoc-gen-rgrpc`, so that neither protoc nor buf need to be there.
//! `generated_by_buf` is the same program on checked-in code.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin build_without_protoc
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;

use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

// The code of all the examples' schemas, nested as modules; this program uses one of them, which
// `rgrpc::include_proto!("helloworld")` would include alone.
mod proto {
    rgrpc::include_protos!();
}

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
    let name = "build.rs".to_owned();
    let reply = greeter.say_hello(HelloRequest { name }).await?;
    println!("{}", reply.message().message);

    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
