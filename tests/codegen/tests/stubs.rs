//! The generated stubs: the names by which they call, with their descriptors.

use std::future::{Future, IntoFuture, ready};
use std::sync::Mutex;

use rgrpc::{
    CallOptions, Codec, Invoke, MethodName, RecvStream, Request, Response, SendStream, Status,
};
use rgrpc_codegen_tests::difficult::torture;
use rgrpc_codegen_tests::{client, health, options};

/// Keeps the name of the last method.
#[derive(Default)]
struct Names(Mutex<Option<MethodName>>);

impl Invoke for Names {
    fn invoke<C, Req, Res>(
        &self,
        _: C,
        method: MethodName,
        _: Req,
        _: CallOptions,
    ) -> impl Future<Output = Result<Response<Res>, Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        *self.0.lock().expect("no panic") = Some(method);
        ready(Err(Status::unimplemented("it keeps the name alone")))
    }

    async fn new_stream<C, Req, Res>(
        &self,
        _: C,
        _: MethodName,
        _: CallOptions,
    ) -> Result<(SendStream<Req>, RecvStream<Res>), Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        Err(Status::unimplemented("unary methods alone"))
    }
}

impl Names {
    fn take(&self) -> MethodName {
        let name = self.0.lock().expect("no panic").take();
        name.expect("a call")
    }
}

#[test]
fn a_stub_calls_by_a_name_with_the_descriptor_also_in_a_program_without_a_server() {
    use client::grpc::health::v1 as alone;

    let names = Names::default();
    let client = alone::HealthClient::new(&names);
    drop(
        client
            .check(alone::HealthCheckRequest::default())
            .into_future(),
    );
    let name = names.take();
    assert_eq!(name, "/grpc.health.v1.Health/Check");
    let descriptor = name.descriptor().expect("a stub's");
    assert_eq!(descriptor.method.name, "Check");
    assert_eq!(descriptor.service.name, "grpc.health.v1.Health");
    let methods = descriptor.service.methods.iter();
    let methods: Vec<_> = methods
        .map(|method| (method.name, method.client_streams, method.server_streams))
        .collect();
    assert_eq!(methods, [("Check", false, false), ("Watch", false, true)]);
    let file = descriptor.service.file;
    assert_eq!(file.name, "grpc/health/v1/health.proto");
    assert_eq!(
        file.descriptor_set,
        health::GRPC_HEALTH_V1_HEALTH_DESCRIPTOR_SET
    );
}

#[test]
fn without_embedded_descriptors_the_names_and_kinds_are_left() {
    let names = Names::default();
    let client = options::torture::SecondClient::new(&names);
    let pair = Request::new(options::torture::Pair::default());
    drop(client.swap(pair).into_future());
    let name = names.take();
    let descriptor = name.descriptor().expect("a stub's");
    assert_eq!(descriptor.method.name, "Swap");
    assert_eq!(descriptor.service.file.name, "torture/second.proto");
    assert!(descriptor.service.file.descriptor_set.is_empty());

    let client = torture::SecondClient::new(&names);
    let pair = Request::new(torture::Pair::default());
    drop(client.swap(pair).into_future());
    let file = names.take().descriptor().expect("a stub's").service.file;
    assert!(!file.descriptor_set.is_empty());
}
