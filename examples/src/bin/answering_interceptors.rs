//! Interceptors of a client that answer calls themselves: a cache with the request as its key, and a
//! fallback for calls that find no server, of one response or several.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin answering_interceptors
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rgrpc::{
    ClientConn, ClientInterceptor, ClientNext, ClientReply, Code, OutgoingCall, ProtoCodec,
    Request, Response, SendStream, Server, Status, credentials,
};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

/// The number of answers that the cache keeps.
const MAX_ENTRIES: usize = 100;

/// A cache for unary calls of any method: it knows no type of a message.
#[derive(Default)]
struct Cache(Mutex<HashMap<Key, Response<Bytes>>>);

/// A method, its codec, and an encoded request.
type Key = (String, &'static str, Bytes);

impl Cache {
    fn get(&self, key: &Key) -> Option<Response<Bytes>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).cloned()
    }

    fn insert(&self, key: Key, response: Response<Bytes>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() < MAX_ENTRIES {
            entries.insert(key, response);
        }
    }
}

impl ClientInterceptor for Cache {
    async fn intercept(&self, call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
        let Some(request) = call.encoded_request()? else {
            return next.run(call).await; // a stream
        };
        let key = (call.method().to_owned(), call.content_subtype(), request);
        if let Some(response) = self.get(&key) {
            return call.reply_encoded(response);
        }
        let reply = next.run(call).await?;
        if let Some(response) = reply.encoded()? {
            self.insert(key, response);
        }
        Ok(reply)
    }
}

/// Answers calls that find no server.
async fn fall_back(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    match next.run(call.clone()).await {
        Err(status) if status.code() == Code::Unavailable => match call.request() {
            Some(HelloRequest { name }) => {
                let message = format!("Hello, {name}, whom no server knows!");
                Ok(ClientReply::new(Response::new(HelloReply { message })))
            }
            None => {
                let replies = ["Hello!", "Hallo!"].map(|text| HelloReply {
                    message: text.to_owned(),
                });
                call.reply_messages(ProtoCodec, replies)
            }
        },
        reply => reply,
    }
}

struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.message().name;
        println!("server: {name}");
        let message = format!("Hello, {name}!");
        Ok(Response::new(HelloReply { message }))
    }

    async fn say_hello_in_all_languages(
        &self,
        request: Request<HelloRequest>,
        mut replies: SendStream<HelloReply>,
    ) -> Result<(), Status> {
        let message = format!("Hello, {}!", request.message().name);
        replies.send(HelloReply { message }).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new();
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(listener));

    // The cache is the inner one: it keeps no answer of the fallback.
    let target = format!("dns:///{address}");
    let conn = ClientConn::builder(target, credentials::insecure())
        .interceptor(fall_back)
        .interceptor(Cache::default())
        .build()?;
    let greeter = GreeterClient::new(conn);
    let request = |name: &str| HelloRequest {
        name: name.to_owned(),
    };
    for name in ["Ada", "Grace", "Ada", "Grace"] {
        let reply = greeter.say_hello(request(name)).await?;
        println!("client: {}", reply.message().message);
    }

    handle.stop();
    serving.await??;
    println!("the server is gone");
    for name in ["Ada", "Barbara"] {
        let reply = greeter.say_hello(request(name)).await?;
        println!("client: {}", reply.message().message);
    }
    let mut replies = greeter.say_hello_in_all_languages(request("Ada")).await?;
    while let Some(reply) = replies.recv().await? {
        println!("client: {}", reply.message);
    }
    Ok(())
}
