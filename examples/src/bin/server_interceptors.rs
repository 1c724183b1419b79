//! Interceptors of a server: a check of a token, a header for every response, a log, and the
//! messages of a stream. Each is an `async fn` or a closure.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin server_interceptors
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;

use rgrpc::{
    ClientConn, IncomingCall, MessageInterceptor, MessageView, Metadata, Request, Response,
    SendStream, Server, ServerNext, ServerReply, Status, credentials,
};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

/// The caller, as the token says.
#[derive(Clone)]
struct User(String);

/// Checks the token before the request's message is awaited, and passes the caller's name to the
/// handler.
async fn authenticate(mut call: IncomingCall, next: ServerNext) -> Result<ServerReply, Status> {
    let token = call.metadata().get("authorization");
    let user = token.and_then(|token| token.strip_prefix("Bearer token-of-"));
    let Some(user) = user.map(str::to_owned) else {
        return Err(Status::unauthenticated("the token is missing"));
    };
    call.extensions_mut().insert(User(user));
    next.run(call).await
}

/// Adds a header to every response.
async fn add_header(call: IncomingCall, next: ServerNext) -> Result<ServerReply, Status> {
    let header = Metadata::from_pairs([("x-served-by", "example")]);
    call.context().set_header(header.unwrap_or_default())?;
    next.run(call).await
}

/// Logs the end of every call, also of those that are cancelled.
async fn log(call: IncomingCall, next: ServerNext) -> Result<ServerReply, Status> {
    let method = call.method().to_owned();
    call.on_end(move |outcome| {
        let (code, by) = (outcome.code(), outcome.ended_by());
        println!("server: {method} {code:?}, by the {by}");
    });
    next.run(call).await
}

/// Prints the messages of a stream.
struct PrintReplies;

impl MessageInterceptor for PrintReplies {
    fn sending(&self, message: &MessageView<'_>) -> Result<(), Status> {
        if let Some(reply) = message.downcast_ref::<HelloReply>() {
            println!(
                "server: {:?} in {} bytes",
                reply.message,
                message.encoded_len()
            );
        }
        Ok(())
    }
}

struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let user = request.extensions().get::<User>();
        let User(user) = user.ok_or_else(|| Status::internal("no interceptor"))?;
        let message = format!("Hello, {}, says {user}!", request.message().name);
        Ok(Response::new(HelloReply { message }))
    }

    async fn say_hello_in_all_languages(
        &self,
        request: Request<HelloRequest>,
        mut replies: SendStream<HelloReply>,
    ) -> Result<(), Status> {
        for hello in ["Hello", "Hallo"] {
            let message = format!("{hello}, {}!", request.message().name);
            replies.send(HelloReply { message }).await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The first one is the outermost: it logs the calls that the second one refuses.
    let mut server = Server::new()
        .interceptor(log)
        .interceptor(authenticate)
        .interceptor(add_header)
        .service_interceptor(
            "helloworld.Greeter",
            |mut call: IncomingCall, next: ServerNext| {
                if call.kind().server_streams() {
                    call.intercept_messages(PrintReplies);
                }
                next.run(call)
            },
        );
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(listener));

    let conn = ClientConn::new(format!("dns:///{address}"), credentials::insecure())?;
    let greeter = GreeterClient::new(conn);
    let ada = || HelloRequest {
        name: "Ada".to_owned(),
    };
    if let Err(status) = greeter.say_hello(ada()).await {
        println!("client: {status}");
    }
    let token = "Bearer token-of-Grace";
    let call = greeter.say_hello(ada()).metadata("authorization", token);
    let reply = call.await?;
    let served_by = reply.metadata().get("x-served-by").unwrap_or_default();
    println!("client: {} Served by {served_by}.", reply.message().message);

    let call = greeter.say_hello_in_all_languages(ada());
    let mut replies = call.metadata("authorization", token).await?;
    while replies.recv().await?.is_some() {}

    handle.graceful_stop().await;
    serving.await??;
    Ok(())
}
