//! Metadata: what the caller sends before its messages, and what the server sends before its own
//! (the header) and after them (the trailer).
//!
//! ```text
//! cargo run -p rgrpc-examples --bin metadata
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;

use rgrpc::{
    ClientConn, Code, Metadata, Request, Response, ResponseInfo, SendStream, Server, Status,
    credentials,
};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        println!("server: the request's metadata");
        let received = request.metadata();
        for key in received.keys().filter(|key| key.starts_with("x-")) {
            // As often as it was sent.
            let values: Vec<_> = received.get_all(key).map(String::from_utf8_lossy).collect();
            println!("  {key}: {}", values.join(", "));
        }
        // The value of a key that ends in -bin is any bytes. A tool that prints header fields
        // prints base64, as it goes on the wire.
        if let Some(session) = received.get_bytes("session-bin") {
            let encoded = Metadata::encode_binary(session);
            println!("  session-bin: {session:?}, on the wire {encoded}");
        }

        // Sent at once. `set_header` keeps it until there is something else to send.
        request.send_header(metadata("x-greeter", "7")?)?;
        // Goes with the status, whether the call ends well or not.
        request.set_trailer(metadata("x-cost", "1")?);
        if request.message().name.is_empty() {
            return Err(Status::invalid_argument("the name is empty"));
        }
        let message = format!("Hello, {}!", request.message().name);
        Ok(Response::new(HelloReply { message }))
    }

    async fn say_hello_in_all_languages(
        &self,
        request: Request<HelloRequest>,
        mut replies: SendStream<HelloReply>,
    ) -> Result<(), Status> {
        // The header goes out with the first message, or before it when it is sent.
        let callers = request.metadata().get_all("x-caller").count();
        println!("server: {callers} values of x-caller");
        request.set_header(metadata("x-greeter", "7")?)?;
        request.send_header(metadata("x-languages", "2")?)?;
        for hello in ["Hello", "Hallo"] {
            let message = format!("{hello}, {}!", request.message().name);
            replies.send(HelloReply { message }).await?;
        }
        request.set_trailer(metadata("x-cost", "2")?);
        Ok(())
    }
}

/// Metadata of one value. A value that cannot be sent is an error here, before anything is sent.
fn metadata(key: &'static str, value: &'static str) -> Result<Metadata, Status> {
    Metadata::from_pairs([(key, value)]).map_err(|error| Status::from_error(Code::Internal, error))
}

fn show(what: &str, metadata: &Metadata) {
    for (key, value) in metadata.iter() {
        println!("  {what} {key}: {}", value.escape_ascii());
    }
}

fn named(name: &str) -> HelloRequest {
    HelloRequest {
        name: name.to_owned(),
    }
}

async fn call(greeter: &GreeterClient) -> Result<(), Box<dyn Error>> {
    // Metadata is part of a request …
    let request = Request::new(named("Ada"))
        .with_metadata("x-caller", "example")?
        .with_metadata("session-bin", vec![0x00, 0xff])?;
    let response = greeter.say_hello(request).await?;
    println!("client, unary: {}", response.message().message);
    show("header", response.metadata());
    show("trailer", response.trailer());

    // … or an option of the call. A response has header and trailer, a failure only its trailer.
    // This handle has both, and the peer, whichever way the call ends, and for all four kinds of
    // calls.
    for name in ["Grace", ""] {
        let info = ResponseInfo::new();
        let call = greeter
            .say_hello(named(name))
            .metadata("x-caller", "nobody");
        match call.response_info(&info).await {
            Ok(reply) => println!("client, OK: {}", reply.message().message),
            Err(status) => println!("client, failed: {status}"),
        }
        show("header", &info.header());
        show("trailer", &info.trailer());
        if let Some(peer) = info.peer() {
            println!("  answered by {}", peer.remote);
        }
    }

    // Calls that stream take metadata, and all other options, in the same way.
    let several = Metadata::from_pairs([("x-caller", "example"), ("x-caller", "proxy")])?;
    let call = greeter.say_hello_in_all_languages(named("Ada"));
    let mut replies = call.merge_metadata(several).await?;
    println!("client, streaming:");
    show("header", replies.header().await);
    while let Some(reply) = replies.recv().await? {
        println!("  message {}", reply.message);
    }
    show("trailer", replies.trailer());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new();
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::new(address.to_string(), credentials::insecure())?;
    call(&GreeterClient::new(conn)).await?;

    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
