//! Compression: what a call sends, and what its handler answers, by gzip; and what it saves.
//!
//! gzip is there in a crate that is built with the feature `gzip` of `rgrpc`. To count what goes
//! over the connection, this one has a [`Compressor`] of its own around it, which any other could
//! be.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin compression
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;
use std::io::{self, Read};

use bytes::Buf;
use rgrpc::{
    ClientConn, Compressor, Gzip, MessageBytes, Request, Response, SendStream, Server, Status,
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
        // Where the handler says nothing, a call is answered as it came. A reply that is small, or
        // that has a secret in it besides what the caller says, is better not compressed.
        if request.message().name.len() < 100 {
            request.set_send_compressor("identity")?;
        }
        let message = format!("Hello, {}!", request.message().name);
        Ok(Response::new(HelloReply { message }))
    }

    async fn say_hello_in_all_languages(
        &self,
        request: Request<HelloRequest>,
        mut replies: SendStream<HelloReply>,
    ) -> Result<(), Status> {
        // Or by what the client accepts, whether or not the request was compressed.
        let accepted = request.client_supported_compressors();
        println!("server: the client accepts {}", accepted.join(", "));
        if accepted.contains(&"gzip") {
            request.set_send_compressor("gzip")?;
        }
        for hello in ["Hello", "Hallo"] {
            // Single messages of a stream may be left as they are.
            replies.set_message_compression(hello != "Hallo");
            let message = format!("{hello}, {}!", request.message().name);
            replies.send(HelloReply { message }).await?;
        }
        Ok(())
    }
}

/// gzip that says what it does on one side of the connection.
struct Noted {
    side: &'static str,
    gzip: Gzip,
}

impl Noted {
    fn new(side: &'static str) -> Self {
        Self {
            side,
            gzip: Gzip::with_level(9),
        }
    }
}

impl Compressor for Noted {
    /// The name of the one that it takes the place of.
    fn name(&self) -> &str {
        self.gzip.name()
    }

    fn compress(&self, message: MessageBytes, output: &mut Vec<u8>) -> io::Result<()> {
        println!("{}: compresses {} bytes", self.side, message.remaining());
        let before = output.len();
        self.gzip.compress(message, output)?;
        println!("{}: sends {} instead", self.side, output.len() - before);
        Ok(())
    }

    fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
        println!("{}: decompresses", self.side);
        self.gzip.decompress(message)
    }
}

async fn call(greeter: &GreeterClient) -> Result<(), Status> {
    for (what, name) in [("short", "Ada".to_owned()), ("long", "Ada ".repeat(1_000))] {
        println!("client: a {what} name");
        let request = HelloRequest { name };
        let reply = greeter.say_hello(request).compressor("gzip").await?;
        println!("client: a reply of {} bytes", reply.message().message.len());
    }

    println!("client: a stream");
    let name = "Ada ".repeat(1_000);
    let mut replies = greeter
        .say_hello_in_all_languages(HelloRequest { name })
        .await?;
    while let Some(reply) = replies.recv().await? {
        println!("client: a reply of {} bytes", reply.message.len());
    }

    // Of a compressor that the channel has not, nothing is sent.
    let request = HelloRequest {
        name: "Ada".to_owned(),
    };
    if let Err(status) = greeter.say_hello(request).compressor("zstd").await {
        println!("client: {status}");
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new().compressor(Noted::new("server"));
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::builder(address.to_string(), credentials::insecure())
        .compressor(Noted::new("client"))
        .build()?;
    call(&GreeterClient::new(conn)).await?;

    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
