//! Tests of code that makes calls, without a server: a generated client on a mock. The mock
//! identifies messages by `Any` and handles streaming calls with `test_streams`.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin mock
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::any::Any;
use std::error::Error;

use rgrpc::{
    CallOptions, Codec, Invoke, Metadata, MethodName, RecvStream, Response, SendStream, Status,
    test_streams,
};

rgrpc::include_proto!("helloworld");

/// The code under test. It is generic over the connection.
async fn greet_all<I: Invoke>(
    greeter: &GreeterClient<I>,
    names: &[&str],
) -> Result<Vec<String>, Status> {
    let mut greetings = Vec::new();
    for name in names {
        let name = (*name).to_owned();
        let reply = greeter.say_hello(HelloRequest { name }).await?;
        greetings.push(reply.into_message().message);
    }
    let (mut requests, mut replies) = greeter.say_hello_to_each().await?;
    for name in names {
        let name = (*name).to_owned();
        requests.send(HelloRequest { name }).await?;
        if let Some(reply) = replies.recv().await? {
            greetings.push(reply.message);
        }
    }
    requests.close();
    while let Some(reply) = replies.recv().await? {
        greetings.push(reply.message);
    }
    Ok(greetings)
}

/// A mock that responds to each request with its name, and fails for an empty name.
struct Mock;

/// Returns the reply to a request of a known type.
fn reply(request: &dyn Any) -> Result<HelloReply, Status> {
    match request.downcast_ref::<HelloRequest>() {
        Some(request) if request.name.is_empty() => Err(Status::not_found("nobody")),
        Some(request) => Ok(HelloReply {
            message: format!("Hello from the mock, {}!", request.name),
        }),
        None => Err(Status::unimplemented("not mocked")),
    }
}

/// Converts the reply into the type of the stub.
fn answer<Res: 'static>(request: &dyn Any) -> Result<Res, Status> {
    let reply: Box<dyn Any> = Box::new(reply(request)?);
    match reply.downcast() {
        Ok(reply) => Ok(*reply),
        Err(_) => Err(Status::internal("the mock answers with another type")),
    }
}

impl Invoke for Mock {
    async fn invoke<C, Req, Res>(
        &self,
        _codec: C,
        method: MethodName,
        message: Req,
        _options: CallOptions,
    ) -> Result<Response<Res>, Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        println!("  mock: {method}");
        answer(&message).map(Response::new)
    }

    async fn new_stream<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        _options: CallOptions,
    ) -> Result<(SendStream<Req>, RecvStream<Res>), Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        println!("  mock: {method}");
        let (requests, responses, mut streams) = test_streams::<C, Req, Res>(codec);
        tokio::spawn(async move {
            let outcome = async {
                while let Some(request) = streams.recv().await? {
                    let reply = answer(&request)?;
                    streams.send(reply).await?;
                }
                Ok(Metadata::new())
            };
            let outcome = outcome.await;
            streams.finish(outcome);
        });
        Ok((requests, responses))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let greeter = GreeterClient::new(Mock);
    for names in [&["Ada", "Grace"][..], &["Ada", ""]] {
        println!("Greeting {names:?}:");
        match greet_all(&greeter, names).await {
            Ok(greetings) => greetings.iter().for_each(|one| println!("  {one}")),
            Err(status) => println!("  {status}"),
        }
    }
    Ok(())
}
