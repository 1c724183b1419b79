//! Interceptors of a client: a token, a header, a log, a second try of methods without side
//! effects, and the messages of a stream. Each is an `async fn` or a closure.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin client_interceptors
//! ```

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use rgrpc::prost::Message;
use rgrpc::prost_types::FileDescriptorSet;
use rgrpc::prost_types::method_options::IdempotencyLevel;
use rgrpc::{
    ClientConn, ClientNext, ClientReply, Code, MessageInterceptor, MessageView, MethodDescriptor,
    OutgoingCall, Request, Response, SendStream, Server, Status, credentials,
};
use tokio::net::TcpListener;

rgrpc::include_proto!("helloworld");

/// Attaches a token to every call.
async fn attach_token(mut call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    let options = call.options_mut();
    options.append_metadata("authorization", "Bearer token-of-Ada");
    next.run(call).await
}

/// Adds a header to every call, unless its caller has.
async fn add_header(mut call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    if call.metadata().get("x-request-id").is_none() {
        call.options_mut().append_metadata("x-request-id", "1");
    }
    next.run(call).await
}

/// Logs the end of every call, also of those that are cancelled.
async fn log(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    let method = call.method().to_owned();
    call.on_end(move |outcome| {
        let (code, by) = (outcome.code(), outcome.ended_by());
        println!("client: {method} {code:?}, by the {by}");
    });
    next.run(call).await
}

/// Runs a call that has failed with ABORTED once more, if its method has no side effects.
async fn try_again(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    match next.run(call.clone()).await {
        Err(status)
            if status.code() == Code::Aborted
                && idempotency_level(&call) == IdempotencyLevel::NoSideEffects =>
        {
            println!("client: {} has no side effects: once more", call.method());
            next.run(call).await
        }
        reply => reply,
    }
}

/// Reads the option `idempotency_level` of the method in the descriptors that the stub has. A
/// program with many failures would keep the result.
fn idempotency_level(call: &OutgoingCall) -> IdempotencyLevel {
    let find = || {
        let MethodDescriptor {
            service, method, ..
        } = call.descriptor()?;
        let mut set = FileDescriptorSet::decode(service.file.descriptor_set).ok()?;
        // The file is the last one, after its imports.
        let services = set.file.pop()?.service;
        let name = service.name.rsplit('.').next();
        let declared = services
            .iter()
            .find(|found| found.name.as_deref() == name)?;
        let mut methods = declared.method.iter();
        let declared = methods.find(|found| found.name() == method.name)?;
        Some(declared.options.as_ref()?.idempotency_level())
    };
    find().unwrap_or(IdempotencyLevel::IdempotencyUnknown)
}

/// Prints the messages of a stream.
struct PrintReplies;

impl MessageInterceptor for PrintReplies {
    fn received(&self, message: &MessageView<'_>) -> Result<(), Status> {
        if let Some(reply) = message.downcast_ref::<HelloReply>() {
            let bytes = message.encoded_len();
            println!("client: {:?} in {bytes} bytes", reply.message);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Hello {
    /// The first call was aborted.
    aborted: AtomicBool,
}

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        if !self.aborted.swap(true, Ordering::Relaxed) {
            return Err(Status::aborted("at first"));
        }
        let header = |key| request.metadata().get(key).unwrap_or("none");
        let (token, id) = (header("authorization"), header("x-request-id"));
        let name = &request.message().name;
        let message = format!("Hello, {name}! {token}, request {id}");
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
    let mut server = Server::new();
    register_greeter(&mut server, Hello::default())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(listener));

    // The first one is the outermost: it logs a call once, however often the second one runs it.
    let target = format!("dns:///{address}");
    let conn = ClientConn::builder(target, credentials::insecure())
        .interceptor(log)
        .interceptor(try_again)
        .interceptor(attach_token)
        .interceptor(add_header)
        .build()?;
    let greeter = GreeterClient::new(conn.clone());
    let ada = || HelloRequest {
        name: "Ada".to_owned(),
    };
    let reply = greeter.say_hello(ada()).await?;
    println!("{}", reply.message().message);
    let call = greeter.say_hello(ada()).metadata("x-request-id", "7");
    println!("{}", call.await?.message().message);

    // One for a stub of its own, outside of those of the channel.
    let watched = conn.intercepted(|mut call: OutgoingCall, next: ClientNext| {
        call.intercept_messages(PrintReplies);
        next.run(call)
    });
    let watched = GreeterClient::new(watched);
    let call = watched.say_hello_in_all_languages(ada());
    let mut replies = call.await?;
    while replies.recv().await?.is_some() {}

    drop((greeter, conn));
    handle.graceful_stop().await;
    serving.await??;
    Ok(())
}
