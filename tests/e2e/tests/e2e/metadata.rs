//! Metadata both ways: order, binary values, what is refused, what is merged, what is hidden.

use bytes::Bytes;
use rgrpc::{Code, Metadata, Response, Status};
use rgrpc_e2e::{
    STUB_BIDI_STREAMING, STUB_UNARY, StubClient, StubService, framed, msg, scripted, serve, soon,
};
use rgrpc_test_support::{data, grpc_request, grpc_response, grpc_trailers};

fn metadata(entries: &[(&'static str, &'static str)]) -> Metadata {
    let mut metadata = Metadata::new();
    for (key, value) in entries {
        metadata.append(*key, *value).expect("valid metadata");
    }
    metadata
}

fn values(metadata: &Metadata, key: &str) -> Vec<String> {
    metadata
        .get_all(key)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

/// A service whose unary method echoes the metadata of its request in header and trailers.
fn echo_metadata() -> StubService {
    StubService::new().unary(async |request| {
        let (message, received) = request.into_parts();
        let mut response = Response::new(message);
        for (key, value) in received.iter().filter(|(key, _)| key.starts_with("x-")) {
            let value = Bytes::copy_from_slice(value);
            let key = key.to_owned();
            response
                .metadata_mut()
                .append(key.clone(), value.clone())
                .expect("valid");
            response.trailer_mut().append(key, value).expect("valid");
        }
        Ok(response)
    })
}

#[tokio::test(start_paused = true)]
async fn repeated_values_keep_their_order_both_ways() {
    let server = serve(echo_metadata());
    let response = server
        .client()
        .unary(msg(""))
        .metadata("x-hop", "one")
        .metadata("x-other", "between")
        .metadata("x-hop", "two")
        .metadata("x-hop", "one")
        .await
        .expect("OK");
    for metadata in [response.metadata(), response.trailer()] {
        assert_eq!(values(metadata, "x-hop"), ["one", "two", "one"]);
        assert_eq!(values(metadata, "x-other"), ["between"]);
    }
}

#[tokio::test(start_paused = true)]
async fn binary_values_are_any_bytes_both_ways() {
    let all: Vec<u8> = (0..=255).collect();
    let server = serve(echo_metadata());
    let response = server
        .client()
        .unary(msg(""))
        .metadata("x-all-bin", all.clone())
        .metadata("x-all-bin", Vec::new())
        .metadata("x-all-bin", vec![0])
        .await
        .expect("OK");
    for metadata in [response.metadata(), response.trailer()] {
        let echoed: Vec<_> = metadata.get_all("x-all-bin").collect();
        assert_eq!(echoed, [&all[..], b"", &[0]]);
    }
}

#[tokio::test(start_paused = true)]
async fn binary_values_go_as_base64_without_padding() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move {
        client
            .unary(msg(""))
            .metadata("x-bin", vec![0xfb])
            .metadata("x-bin", vec![0xff, 0xef, 0xbe])
            .await
    });
    let request = server.accept().await.expect_request(1).await;
    assert_eq!(request.headers.get_all("x-bin"), ["+w", "/+++"]);
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn base64_is_accepted_with_and_without_padding_and_split_at_commas() {
    let service = StubService::new().unary(async |request| {
        let joined: Vec<_> = request.metadata().get_all("x-bin").collect();
        Ok(Response::new(msg(joined.join(&b"|"[..]))))
    });
    let server = serve(service);
    for (values, seen) in [
        (&["YQ=="][..], "a"),
        (&["YQ"], "a"),
        (&["YQ==,YWI", "YWJj"], "a|ab|abc"),
        (&["YQ, YWI="], "a|ab"),
        (&[""], ""),
    ] {
        let mut peer = server.wire_client().await;
        let mut head = grpc_request(1, STUB_UNARY);
        for value in values {
            head = head.field("x-bin", value);
        }
        peer.send(head).await;
        peer.send(data(1, framed("")).end_stream()).await;
        let response = peer.expect_response(1).await;
        assert_eq!(
            response.trailers.code, 0,
            "{values:?}: {}",
            response.trailers.message
        );
        assert_eq!(response.messages[0].body, framed(seen)[5..], "{values:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn commas_in_values_that_are_not_binary_stay() {
    let server = serve(echo_metadata());
    let response = server
        .client()
        .unary(msg(""))
        .metadata("x-list", "a, b,c")
        .await
        .expect("OK");
    assert_eq!(values(response.metadata(), "x-list"), ["a, b,c"]);
}

#[tokio::test(start_paused = true)]
async fn keys_are_lowercased_on_their_way() {
    let server = serve(echo_metadata());
    let response = server
        .client()
        .unary(msg(""))
        .metadata("X-Mixed-Case", "value")
        .await
        .expect("OK");
    assert_eq!(values(response.metadata(), "x-mixed-case"), ["value"]);
}

#[tokio::test(start_paused = true)]
async fn invalid_metadata_fails_the_call_before_anything_is_sent() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let warm = tokio::spawn({
        let client = client.clone();
        async move { client.bidi_streaming().await }
    });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    let _stream = soon(warm).await.expect("no panic").expect("a stream");

    for (key, value, text) in [
        ("", "v", "key \"\" is not valid"),
        ("a b", "v", "key \"a b\" is not valid"),
        ("a\u{0}", "v", "is not valid"),
        (
            "key",
            "tab\there",
            "value of \"key\" has bytes other than printable ASCII",
        ),
        (
            "key",
            "caf\u{e9}",
            "value of \"key\" has bytes other than printable ASCII",
        ),
        ("grpc-timeout", "1S", "belongs to the protocol"),
        ("Content-Type", "text/html", "belongs to the protocol"),
        (":path", "/", "belongs to the protocol"),
        ("te", "gzip", "belongs to the protocol"),
        ("user-agent", "me", "belongs to the protocol"),
        ("connection", "close", "belongs to the protocol"),
    ] {
        let call = client.unary(msg("")).metadata(key, value);
        let status = soon(async { call.await }).await.expect_err("refused");
        assert_eq!(status.code(), Code::Internal, "{key:?}");
        assert!(status.message().contains(text), "{key:?}: {status}");
    }
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn names_of_the_protocol_are_hidden_from_the_handler_but_for_four() {
    let service = StubService::new().unary(async |request| {
        let mut keys: Vec<_> = request.metadata().iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        Ok(Response::new(msg(keys.join(" "))))
    });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    let head = grpc_request(1, STUB_UNARY)
        .field("user-agent", "wire")
        .field("grpc-accept-encoding", "identity")
        .field("grpc-encoding", "identity")
        .field("grpc-timeout", "1H")
        .field("grpc-message", "odd")
        .field("grpc-status", "0")
        .field("grpc-message-type", "odd")
        .field("x-mine", "1");
    peer.send(head).await;
    peer.send(data(1, framed("")).end_stream()).await;
    let response = peer.expect_response(1).await;
    let expected = ":authority content-type grpc-accept-encoding user-agent x-mine";
    assert_eq!(response.messages[0].body, framed(expected)[5..]);
}

#[tokio::test(start_paused = true)]
async fn names_of_the_protocol_are_hidden_from_the_caller() {
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move { StubClient::new(conn).unary(msg("")).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let head = grpc_response(1)
        .field("grpc-encoding", "identity")
        .field("x-mine", "1");
    peer.send(head).await;
    peer.send(data(1, framed(""))).await;
    let trailers = grpc_trailers(1, 0)
        .field("grpc-message", "")
        .field("x-mine", "2");
    peer.send(trailers).await;
    let response = soon(call).await.expect("no panic").expect("OK");
    let keys = |metadata: &Metadata| {
        let keys = metadata.iter().map(|(key, _)| key.to_owned());
        keys.collect::<Vec<_>>()
    };
    assert_eq!(keys(response.metadata()), ["content-type", "x-mine"]);
    assert_eq!(keys(response.trailer()), ["x-mine"]);
}

#[tokio::test(start_paused = true)]
async fn header_and_trailers_are_merged_in_the_order_they_were_set() {
    let service = StubService::new().unary(async |request| {
        let context = request.context().expect("in a handler");
        context.set_header(metadata(&[("h", "1"), ("h", "2")]))?;
        context.set_trailer(metadata(&[("t", "1")]));
        context.set_header(metadata(&[("h", "3")]))?;
        context.set_trailer(metadata(&[("t", "2")]));
        let mut response = Response::new(msg(""));
        *response.metadata_mut() = metadata(&[("h", "4")]);
        *response.trailer_mut() = metadata(&[("t", "3")]);
        Ok(response)
    });
    let server = serve(service);
    let response = server.client().unary(msg("")).await.expect("OK");
    assert_eq!(values(response.metadata(), "h"), ["1", "2", "3", "4"]);
    assert_eq!(values(response.trailer(), "t"), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_unary_failure_sends_header_and_trailers_that_were_set_before() {
    let service = StubService::new().unary(async |request| {
        let context = request.context().expect("in a handler");
        context.set_header(metadata(&[("h", "1")]))?;
        context.set_header(metadata(&[("h", "2")]))?;
        context.set_trailer(metadata(&[("t", "1")]));
        Err(Status::aborted("no").with_metadata(metadata(&[("t", "2")])))
    });
    let server = serve(service);
    let status = server.client().unary(msg("")).await.expect_err("a failure");
    assert_eq!(values(status.metadata(), "t"), ["1", "2"]);

    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    let head = peer.expect_headers(1).await;
    assert!(
        !head.end_stream,
        "headers that were set go before the trailers"
    );
    assert_eq!(head.get_all("h"), ["1", "2"]);
    let trailers = peer.expect_trailers(1).await;
    assert_eq!(trailers.fields.get_all("t"), ["1", "2"]);
    assert_eq!(trailers.code, 10);
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_header_metadata_is_one_headers_frame() {
    let service = StubService::new().unary(async |request| {
        let context = request.context().expect("in a handler");
        context.set_trailer(metadata(&[("t", "1")]));
        Err(Status::aborted("no"))
    });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    let head = peer.expect_headers(1).await;
    assert!(head.end_stream);
    assert_eq!(head.get(":status"), Some("200"));
    assert_eq!(head.get("content-type"), Some("application/grpc"));
    assert_eq!(head.get("grpc-status"), Some("10"));
    assert_eq!(head.get("t"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_streams_header_is_there_before_its_messages_and_its_trailers_after() {
    let service = StubService::new().bidi_streaming(|requests, mut responses| async move {
        let context = requests.context().expect("in a handler").clone();
        context.set_header(metadata(&[("h", "set")]))?;
        context.send_header(metadata(&[("h", "sent")]))?;
        context.set_trailer(metadata(&[("t", "1")]));
        let late = context.set_header(metadata(&[("h", "late")]));
        assert_eq!(
            late.expect_err("the headers are out").code(),
            Code::Internal
        );
        let again = context.send_header(Metadata::new());
        assert_eq!(
            again.expect_err("the headers are out").code(),
            Code::Internal
        );
        let mut requests = requests.into_message();
        while let Some(message) = requests.recv().await? {
            responses.send(message).await?;
        }
        context.set_trailer(metadata(&[("t", "2")]));
        Ok(())
    });
    let server = serve(service);
    let (mut requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    // No message has gone either way.
    let header = soon(responses.header()).await;
    assert_eq!(values(header, "h"), ["set", "sent"]);
    requests.send(msg("a")).await.expect("sent");
    assert_eq!(soon(responses.recv()).await.expect("OK"), Some(msg("a")));
    assert!(responses.trailer().is_empty(), "the call goes on");
    requests.close();
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    assert_eq!(values(responses.trailer(), "t"), ["1", "2"]);
    assert_eq!(values(responses.header().await, "h"), ["set", "sent"]);
}

#[tokio::test(start_paused = true)]
async fn a_streams_failure_has_the_trailers_that_were_set() {
    let service = StubService::new().server_streaming(|request, mut responses| async move {
        let context = request.context().expect("in a handler");
        context.set_header(metadata(&[("h", "1")]))?;
        responses.send(msg("one")).await?;
        context.set_trailer(metadata(&[("t", "1")]));
        Err(Status::data_loss("gone").with_metadata(metadata(&[("t", "2")])))
    });
    let server = serve(service);
    let mut responses = server
        .client()
        .server_streaming(msg(""))
        .await
        .expect("a stream");
    assert_eq!(values(responses.header().await, "h"), ["1"]);
    assert_eq!(responses.recv().await.expect("OK"), Some(msg("one")));
    let status = responses.recv().await.expect_err("the failure");
    assert_eq!(status.code(), Code::DataLoss);
    assert_eq!(values(status.metadata(), "t"), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_without_headers_has_an_empty_header() {
    let service = StubService::new().bidi_streaming(|_, _| async { Err(Status::aborted("no")) });
    let server = serve(service);
    let (_requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    assert!(soon(responses.header()).await.is_empty());
    let status = responses.recv().await.expect_err("the failure");
    assert_eq!(status.code(), Code::Aborted);
}

#[tokio::test(start_paused = true)]
async fn headers_that_are_sent_early_arrive_while_the_handler_waits() {
    let service = StubService::new().bidi_streaming(|requests, _| async move {
        let context = requests.context().expect("in a handler").clone();
        context.send_header(metadata(&[("h", "early")]))?;
        std::future::pending().await
    });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    let head = peer.expect_headers(1).await;
    assert_eq!(head.get("h"), Some("early"));
    assert!(!head.end_stream);
    peer.assert_silent_until_ping().await;
}
