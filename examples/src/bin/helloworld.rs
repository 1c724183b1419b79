//! The first program: a greeter with a method of each of the four kinds, and calls of them.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin helloworld                      # server and client in one
//! cargo run -p rgrpc-examples --bin helloworld server [ADDRESS]     # default: 127.0.0.1:50051
//! cargo run -p rgrpc-examples --bin helloworld client [ADDRESS]
//! ```
//!
//! `build.rs` generates the code of `proto/helloworld.proto`; no protoc is needed.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::env;
use std::error::Error;

use rgrpc::{ClientConn, RecvStream, Request, Response, SendStream, Server, Status, credentials};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

/// The service, with the methods of the schema.
struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        Ok(Response::new(greeting("Hello", &request.message().name)))
    }

    async fn say_hello_in_all_languages(
        &self,
        request: Request<HelloRequest>,
        mut replies: SendStream<HelloReply>,
    ) -> Result<(), Status> {
        for hello in ["Hello", "Hallo", "Bonjour", "Ciao"] {
            // `send` waits while the client does not read.
            replies
                .send(greeting(hello, &request.message().name))
                .await?;
        }
        Ok(())
    }

    async fn say_hello_to_all(
        &self,
        requests: Request<RecvStream<HelloRequest>>,
    ) -> Result<Response<HelloReply>, Status> {
        let mut requests = requests.into_message();
        let mut names = Vec::new();
        while let Some(request) = requests.recv().await? {
            names.push(request.name);
        }
        Ok(Response::new(greeting("Hello", &names.join(" and "))))
    }

    async fn say_hello_to_each(
        &self,
        requests: Request<RecvStream<HelloRequest>>,
        mut replies: SendStream<HelloReply>,
    ) -> Result<(), Status> {
        let mut requests = requests.into_message();
        while let Some(request) = requests.recv().await? {
            replies.send(greeting("Hello", &request.name)).await?;
        }
        Ok(())
    }
}

fn greeting(hello: &str, name: &str) -> HelloReply {
    HelloReply {
        message: format!("{hello}, {name}!"),
    }
}

fn named(name: &str) -> HelloRequest {
    HelloRequest {
        name: name.to_owned(),
    }
}

/// Calls each method of the greeter at `address`.
async fn call(address: &str) -> Result<(), Box<dyn Error>> {
    let conn = ClientConn::new(address, credentials::insecure())?;
    let greeter = GreeterClient::new(conn);

    let reply = greeter.say_hello(named("Ada")).await?;
    println!("unary:            {}", reply.message().message);

    let mut replies = greeter.say_hello_in_all_languages(named("Ada")).await?;
    while let Some(reply) = replies.recv().await? {
        println!("server streaming: {}", reply.message);
    }

    let mut requests = greeter.say_hello_to_all().await?;
    for name in ["Ada", "Grace"] {
        requests.send(named(name)).await?;
    }
    let reply = requests.close_and_recv().await?;
    println!("client streaming: {}", reply.message().message);

    let (mut requests, mut replies) = greeter.say_hello_to_each().await?;
    for name in ["Ada", "Grace"] {
        requests.send(named(name)).await?;
        if let Some(reply) = replies.recv().await? {
            println!("bidirectional:    {}", reply.message);
        }
    }
    requests.close();
    // The call succeeds once the server's status is received. Before that, dropping a half cancels
    // it.
    while replies.recv().await?.is_some() {}
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let role = args.next();
    let address = args.next();

    if role.as_deref() == Some("client") {
        return call(address.as_deref().unwrap_or("127.0.0.1:50051")).await;
    }

    let mut server = Server::new();
    register_greeter(&mut server, Hello)?;

    if role.as_deref() == Some("server") {
        let address = address.as_deref().unwrap_or("127.0.0.1:50051");
        let listener = TcpListener::bind(address).await?;
        println!("listening on {}", listener.local_addr()?);
        server.serve_listener(listener).await?;
        return Ok(());
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    for service in server.services() {
        let methods: Vec<_> = service.methods.iter().map(|method| method.name).collect();
        println!("serving {}: {}", service.name, methods.join(", "));
    }
    let serving = tokio::spawn(server.serve_listener(listener));
    call(&address.to_string()).await?;
    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
