//! The parts of a request besides its message: what a handler keeps of them, and what a stub takes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::io::Address;
use rgrpc::{
    CallOptions, ClientConn, Codec, Invoke, MethodName, RecvStream, Request, Response, SendStream,
    Status,
};
use rgrpc_e2e::{Message, StubClient, StubService, msg, serve, soon, text};

/// A value that layers of a program tell each other.
#[derive(Clone, Debug, PartialEq)]
struct Tenant(&'static str);

/// Shows what is left of a streaming request whose stream was taken.
fn shown(mut request: Request<()>) -> String {
    request.extensions_mut().insert(Tenant("a"));
    let request = request.map(|()| "mapped");
    let outgoing = request.outgoing(());
    format!(
        "{} by {}, {} deadline, peer {}, tenant {:?}; outgoing: {} deadline, trace {:?}, tenant {:?}",
        request.context().map_or("", |context| context.method()),
        request.metadata().get("x-caller").unwrap_or("nobody"),
        if request.deadline().is_some() {
            "a"
        } else {
            "no"
        },
        request
            .peer()
            .is_some_and(|peer| peer.remote == Address::Pipe),
        request.extensions().get::<Tenant>().map(|tenant| tenant.0),
        if outgoing.deadline().is_some() {
            "a"
        } else {
            "no"
        },
        outgoing.metadata().get("traceparent"),
        outgoing.extensions().get::<Tenant>(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_the_stream_keeps_the_rest_of_the_request() {
    let service = StubService::new()
        .client_streaming(async |requests| {
            let (mut messages, request) = requests.split();
            while messages.recv().await?.is_some() {}
            Ok(Response::new(msg(shown(request))))
        })
        .bidi_streaming(async |requests, mut responses| {
            let (mut messages, request) = requests.split();
            while messages.recv().await?.is_some() {}
            responses.send(msg(shown(request))).await
        });
    let server = serve(service);
    let client = server.client();
    let rest = "by test, a deadline, peer true, tenant Some(\"a\"); \
                outgoing: a deadline, trace Some(\"t\"), tenant None";

    let call = client.client_streaming().metadata("x-caller", "test");
    let call = call.metadata("traceparent", "t");
    let mut call = call
        .timeout(Duration::from_secs(9))
        .await
        .expect("a stream");
    call.send(msg("a")).await.expect("sent");
    let response = soon(call.close_and_recv()).await.expect("OK");
    let expected = format!("/rgrpc.e2e.Stub/ClientStreaming {rest}");
    assert_eq!(text(response.message()), expected);

    let call = client.bidi_streaming().metadata("x-caller", "test");
    let call = call.metadata("traceparent", "t");
    let call = call.timeout(Duration::from_secs(9)).await;
    let (mut requests, mut responses) = call.expect("a stream");
    requests.close();
    let response = soon(responses.recv()).await.expect("OK").expect("one");
    let expected = format!("/rgrpc.e2e.Stub/BidiStreaming {rest}");
    assert_eq!(text(&response), expected);
}

#[tokio::test(start_paused = true)]
async fn metadata_and_extensions_that_a_handler_changes_are_its_own() {
    let service = StubService::new().unary(async |mut request| {
        let context = request.context().expect("in a handler").clone();
        request
            .metadata_mut()
            .insert("x-caller", "changed")
            .map_err(|error| Status::internal(error.to_string()))?;
        assert!(request.extensions().is_empty());
        let mut request = request.with_extension(Tenant("a"));
        request.extensions_mut().insert(1_u8);
        assert_eq!(context.metadata().get("x-caller"), Some("test"));
        let (message, metadata) = request.into_parts();
        assert_eq!(metadata.get("x-caller"), Some("changed"));
        Ok(Response::new(message))
    });
    let server = serve(service);
    let client = server.client();
    let call = client.unary(msg("")).metadata("x-caller", "test");
    soon(call.into_future()).await.expect("OK");
}

/// Passes calls on, having noted which tenants they are for.
#[derive(Clone)]
struct Noting {
    conn: ClientConn,
    tenants: Arc<Mutex<Vec<Option<Tenant>>>>,
}

impl Noting {
    fn note(&self, options: &CallOptions) {
        let tenant = options.extensions().get().cloned();
        self.tenants.lock().expect("not poisoned").push(tenant);
    }
}

impl Invoke for Noting {
    async fn invoke<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        message: Req,
        options: CallOptions,
    ) -> Result<Response<Res>, Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        self.note(&options);
        self.conn.invoke(codec, method, message, options).await
    }

    async fn new_stream<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        options: CallOptions,
    ) -> Result<(SendStream<Req>, RecvStream<Res>), Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        self.note(&options);
        self.conn.new_stream(codec, method, options).await
    }
}

#[tokio::test(start_paused = true)]
async fn extensions_of_a_request_and_of_a_call_reach_the_layers_in_front_of_the_channel() {
    let server = serve(StubService::echo());
    let noting = Noting {
        conn: server.conn(),
        tenants: Arc::default(),
    };
    let client = StubClient::new(noting.clone());
    let request = || Request::new(msg("a")).with_extension(Tenant("request"));
    let own = || Tenant("call");

    client.unary(msg("a")).await.expect("OK");
    client.unary(request()).await.expect("OK");
    let call = client.unary(request()).extension(own());
    call.await.expect("OK");
    let call = client.server_streaming(request());
    call.await.expect("a stream");
    let call = client.client_streaming().extension(own());
    call.await.expect("a stream");
    let call = client.bidi_streaming().on_behalf_of(request().map(drop));
    call.await.expect("a stream");

    let tenants = noting.tenants.lock().expect("not poisoned");
    let tenants: Vec<_> = tenants
        .iter()
        .map(|one| one.as_ref().map(|one| one.0))
        .collect();
    let (request, call) = (Some("request"), Some("call"));
    assert_eq!(tenants, [None, request, call, request, call, request]);
}

#[tokio::test(start_paused = true)]
async fn extensions_of_a_received_request_do_not_go_with_a_call_that_is_made() {
    let (upstream, stub) = (serve(StubService::echo()), Arc::<Mutex<Vec<_>>>::default());
    let noting = Noting {
        conn: upstream.conn(),
        tenants: Arc::clone(&stub),
    };
    let service = StubService::new().unary(move |request: Request<Message>| {
        let client = StubClient::new(noting.clone());
        async move {
            let request = request.with_extension(Tenant("served"));
            client.unary(request.outgoing(msg("a"))).await?;
            client.unary(request).await
        }
    });
    let server = serve(service);
    soon(server.client().unary(msg("a")).into_future())
        .await
        .expect("OK");
    assert_eq!(*stub.lock().expect("not poisoned"), [None, None]);
}
