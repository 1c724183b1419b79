//! Compression of requests and responses by gzip, with the sizes.
//!
//! A crate with the feature `gzip` of `rgrpc` has gzip. This program wraps it in a custom
//! [`Compressor`], which counts the bytes on the connection.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin compression
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

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
        // By default, a response has the encoding of its request. A small response should not be
        // compressed, nor one that contains both a secret and data of the caller.
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
        // The handler can also choose by the encodings that the client accepts, whether or not the
        // request was compressed.
        let accepted = request.client_supported_compressors();
        println!("server: the client accepts {}", accepted.join(", "));
        if accepted.contains(&"gzip") {
            request.set_send_compressor("gzip")?;
        }
        for hello in ["Hello", "Hallo"] {
            // Single messages of a stream can stay uncompressed.
            replies.set_message_compression(hello != "Hallo");
            let message = format!("{hello}, {}!", request.message().name);
            replies.send(HelloReply { message }).await?;
        }
        Ok(())
    }
}

/// The gzip compressor, with a line of output for each message on one side.
struct LoggingGzip {
    side: &'static str,
    gzip: Gzip,
}

impl LoggingGzip {
    fn new(side: &'static str) -> Self {
        Self {
            side,
            gzip: Gzip::with_level(9),
        }
    }
}

impl Compressor for LoggingGzip {
    /// The name of the compressor that it replaces.
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

    // A call with a compressor that the channel lacks sends nothing.
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
    let mut server = Server::new().compressor(LoggingGzip::new("server"));
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::builder(address.to_string(), credentials::insecure())
        .compressor(LoggingGzip::new("client"))
        .build()?;
    call(&GreeterClient::new(conn)).await?;

    server.handle().graceful_stop().await;
    serving.await??;
    Ok(())
}
