//! A handler that panics: the call fails with INTERNAL and a fixed text, the server's hook has the
//! panic's text for a crash report, and the server goes on.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin handler_panic
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;

use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.message().name;
        assert!(name != "Ada", "a bug in the greeting of {name}");
        let message = format!("Hello, {name}!");
        Ok(Response::new(HelloReply { message }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The text may hold what is not the client's, so only the server has it. It is also logged.
    let mut server = Server::new().panic_hook(|panic| {
        println!("server: {} panicked: {}", panic.method(), panic.message());
    });
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::new(address.to_string(), credentials::insecure())?;
    let greeter = GreeterClient::new(conn);
    for name in ["Ada", "Grace"] {
        let name = name.to_owned();
        match greeter.say_hello(HelloRequest { name }).await {
            Ok(reply) => println!("client: {}", reply.message().message),
            Err(status) => println!("client: {status}"),
        }
    }

    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
