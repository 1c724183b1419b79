//! A server on a unix socket, for programs on one machine. The server creates the socket's file and
//! removes it when it stops. It takes over a file that a killed server has left.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin unix_socket
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::path::Path;
use std::{env, fs, process};

use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};

rgrpc::include_proto!("helloworld");

/// A greeter that reports the socket of the connection.
struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let mut message = format!("Hello, {}!", request.message().name);
        if let Some(context) = request.context() {
            message += &format!(" You came by {}", context.peer().local);
        }
        Ok(Response::new(HelloReply { message }))
    }
}

/// Serves on `socket`, calls the server there, and stops it.
async fn serve_and_call(socket: &Path) -> Result<(), Box<dyn Error>> {
    let mut server = Server::new();
    register_greeter(&mut server, Hello)?;
    let serving = tokio::spawn(server.serve_unix(socket));

    // An absolute path begins with three slashes; `unix:a/b` is relative to the working directory.
    let target = format!("unix://{}", socket.display());
    println!("calling {target}");
    let conn = ClientConn::new(target, credentials::insecure())?;
    let reply = GreeterClient::new(conn)
        .say_hello(HelloRequest {
            name: "neighbour".to_owned(),
        })
        // The server may not listen yet.
        .wait_for_ready(true)
        .await?;
    println!("{}", reply.message().message);

    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::temp_dir().join(format!("rgrpc-unix-socket-{}", process::id()));
    fs::create_dir(&folder)?;
    let outcome = serve_and_call(&folder.join("greeter.sock")).await;
    // The server has removed its socket: the folder is empty.
    fs::remove_dir(&folder)?;
    outcome
}
