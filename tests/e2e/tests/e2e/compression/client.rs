//! Compression on a client, mostly with the wire peer as its server.

use rgrpc::{CallOptions, ClientConnBuilder, Code, PreparedMessage, ProtoCodec, Response, Status};
use rgrpc_e2e::{
    Message, Outcome, ScriptedServer, StubClient, StubService, encoded, framed, msg, scripted_by,
    serve, soon, text,
};
use rgrpc_test_support::{GrpcRequest, Headers, WirePeer, data, grpc_response, grpc_trailers};

use super::{Counting, conn, flagged, framed_gzip, gunzipped, gzipped};

const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// A client whose server is the wire peer.
fn scripted(
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> (StubClient, ScriptedServer) {
    let (conn, server) = scripted_by("passthrough:///stub.test", options);
    (StubClient::new(conn), server)
}

/// The request of a unary call with this compressor, on a channel with these options.
async fn sent(
    channel: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
    compressor: Option<&'static str>,
) -> GrpcRequest {
    let (client, mut server) = scripted(channel);
    let call = tokio::spawn(async move {
        let call = client.unary(msg("hello"));
        match compressor {
            Some(name) => call.compressor(name).await,
            None => call.await,
        }
    });
    let mut peer = server.accept().await;
    let request = peer.expect_request(1).await;
    call.abort();
    request
}

/// The outcome of a call whose response has this head and DATA.
async fn received(head: Headers, body: impl AsRef<[u8]>) -> Outcome {
    let (client, mut server) = scripted(|builder| builder);
    let call = tokio::spawn(async move { client.unary(msg("hello")).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    respond(&mut peer, head, body).await;
    soon(call).await.expect("the call does not panic")
}

async fn respond(peer: &mut WirePeer, head: Headers, body: impl AsRef<[u8]>) {
    peer.send(head).await;
    peer.send(data(1, body)).await;
    peer.send(grpc_trailers(1, 0)).await;
}

/// The head of a response in this encoding.
fn encoded_by(encoding: &str) -> Headers {
    grpc_response(1).field(ENCODING, encoding)
}

fn is_compressed(request: &GrpcRequest) -> bool {
    let message = &request.messages[0];
    match message.flag {
        0 => assert_eq!(message.body, encoded("hello")),
        _ => assert_eq!(gunzipped(&message.body), encoded("hello")),
    }
    message.flag == 1
}

#[tokio::test(start_paused = true)]
async fn requests_say_what_the_channel_can_read_in_the_order_of_registration() {
    let request = sent(|builder| builder, None).await;
    assert_eq!(request.headers.get_all(ACCEPT_ENCODING), ["gzip"]);
    let request = sent(
        |builder| {
            let builder = builder.compressor(Counting::new("x-b"));
            builder.compressor(Counting::new("x-a"))
        },
        None,
    )
    .await;
    assert_eq!(request.headers.get_all(ACCEPT_ENCODING), ["gzip,x-b,x-a"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_compressed_by_what_it_says() {
    for (compressor, encoding, compressed) in [
        (None, None, false),
        (Some("gzip"), Some("gzip"), true),
        (Some("x-counting"), Some("x-counting"), true),
        (Some("identity"), Some("identity"), false),
    ] {
        let request = sent(
            |builder| builder.compressor(Counting::new("x-counting")),
            compressor,
        )
        .await;
        assert_eq!(is_compressed(&request), compressed, "{compressor:?}");
        assert_eq!(request.headers.get(ENCODING), encoding);
        let accepted = request.headers.get(ACCEPT_ENCODING);
        assert_eq!(accepted, Some("gzip,x-counting"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_channels_default_is_for_calls_that_say_nothing() {
    for (own, encoding, compressed) in [(None, "gzip", true), (Some("identity"), "identity", false)]
    {
        let request = sent(
            |builder| {
                let mut defaults = CallOptions::new();
                defaults.set_compressor("gzip");
                builder.default_call_options(defaults)
            },
            own,
        )
        .await;
        assert_eq!(is_compressed(&request), compressed);
        assert_eq!(request.headers.get_all(ENCODING), [encoding]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressor_that_the_channel_lacks_is_internal_before_anything_is_sent() {
    let service = StubService::new().unary(async |_| panic!("nothing is to be sent"));
    let server = serve(service);
    let client = server.client();
    let call = client.unary(msg("hello")).compressor("x-unknown");
    let error = call.await.expect_err("not registered");
    assert_eq!(error.code(), Code::Internal);
    assert!(error.message().contains("\"x-unknown\""), "{error}");
    let call = client.bidi_streaming().compressor("x-unknown");
    assert_eq!(call.await.expect_err("so too").code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_an_authority_of_its_own_is_compressed_too() {
    let (client, mut server) = scripted(|builder| builder);
    let call = async move {
        let call = client.unary(msg("hello")).authority("other.test");
        call.compressor("gzip").await
    };
    let call = tokio::spawn(call);
    let mut peer = server.accept().await;
    let request = peer.expect_request(1).await;
    assert!(is_compressed(&request));
    assert_eq!(request.headers.get(":authority"), Some("other.test"));
    assert_eq!(request.headers.get(ENCODING), Some("gzip"));
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn a_compressed_response_is_read_for_any_request() {
    let response = received(encoded_by("gzip"), framed_gzip("fine")).await;
    assert_eq!(text(response.expect("OK").message()), "fine");
}

#[tokio::test(start_paused = true)]
async fn messages_without_the_flag_are_read_as_they_are_in_a_compressed_response() {
    for encoding in ["gzip", "identity", "x-unknown"] {
        let response = received(encoded_by(encoding), framed("fine")).await;
        assert_eq!(text(response.expect("OK").message()), "fine", "{encoding}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_flag_without_an_encoding_is_internal() {
    for head in [grpc_response(1), encoded_by("identity")] {
        let error = received(head, framed_gzip("fine")).await;
        let error = error.expect_err("not to be read");
        assert_eq!(error.code(), Code::Internal);
        assert!(error.message().contains("no grpc-encoding"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_encoding_is_internal() {
    let error = received(encoded_by("br"), flagged(b"whatever")).await;
    let error = error.expect_err("not to be read");
    assert_eq!(error.code(), Code::Internal);
    assert!(error.message().contains("\"br\""), "{error}");
}

#[tokio::test(start_paused = true)]
async fn malformed_data_is_internal_and_ends_the_call() {
    let mut bad_checksum = gzipped("fine");
    let at = bad_checksum.len() - 8;
    bad_checksum[at] ^= 1;
    let error = received(encoded_by("gzip"), flagged(&bad_checksum)).await;
    let error = error.expect_err("not to be read");
    assert_eq!(error.code(), Code::Internal);
    assert!(error.message().contains("checksum"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_response_over_the_limit_when_decompressed_is_refused_with_both_numbers() {
    let (client, mut server) = scripted(|builder| builder);
    let call = async move { client.unary(msg("")).max_receive_message_size(1_000).await };
    let call = tokio::spawn(call);
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    respond(&mut peer, encoded_by("gzip"), framed_gzip([0; 100_000])).await;
    let error = soon(call).await.expect("the call does not panic");
    let error = error.expect_err("too large");
    assert_eq!(error.code(), Code::ResourceExhausted);
    let numbers = "(at least 1001 vs. 1000)";
    assert!(error.message().contains(numbers), "{error}");
}

/// Has a call accept these, and answers it with a response in `gzip`, flagged or not; how it ends,
/// and what it said that it accepts.
async fn accepting(names: &'static [&str], flagged: bool) -> (Result<Message, Status>, String) {
    let (client, mut server) = scripted(|builder| builder.compressor(Counting::new("x-counting")));
    let call = tokio::spawn(async move {
        let call = client.unary(msg("hello"));
        call.accept_compressors(names.iter().copied()).await
    });
    let mut peer = server.accept().await;
    let request = peer.expect_request(1).await;
    let body = if flagged {
        framed_gzip("fine")
    } else {
        framed("fine")
    };
    respond(&mut peer, encoded_by("gzip"), body).await;
    let outcome = soon(call).await.expect("the call does not panic");
    let accepted = request.headers.get(ACCEPT_ENCODING).expect("there is one");
    (outcome.map(Response::into_message), accepted.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_call_accepts_what_it_says_and_refuses_other_encodings() {
    for flagged in [true, false] {
        for (names, field, fits) in [
            (&["gzip"][..], "gzip", true),
            (&["x-counting", "gzip"], "x-counting,gzip", true),
            (&["x-counting"], "x-counting", false),
            (&["identity"], "identity", false),
            (&[], "identity", false),
        ] {
            let (outcome, accepted) = accepting(names, flagged).await;
            assert_eq!(accepted, field);
            match outcome {
                Ok(message) => assert!(fits && text(&message) == "fine", "{names:?}"),
                Err(error) => {
                    assert!(!fits, "{names:?}: {error}");
                    assert_eq!(error.code(), Code::Internal);
                    assert!(error.message().contains("accept_compressors"), "{error}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_compressed_is_always_accepted() {
    let server = serve(StubService::echo());
    let client = server.client();
    let call = client.unary(msg("hello")).compressor("gzip");
    let response = call.accept_compressors([] as [&str; 0]).await;
    assert_eq!(text(response.expect("OK").message()), "hello");
    let call = client.bidi_streaming().compressor("gzip");
    let (mut requests, mut responses) = call
        .accept_compressors(["identity"])
        .await
        .expect("a stream");
    requests.send(msg("hello")).await.expect("it is open");
    let echo = responses.recv().await.expect("OK").expect("a message");
    assert_eq!(text(&echo), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_an_encoding_that_is_not_accepted_is_internal() {
    let (client, mut server) = scripted(|builder| builder);
    let call = tokio::spawn(async move {
        let call = client.server_streaming(msg("hello"));
        let mut responses = call.accept_compressors(["identity"]).await?;
        responses.recv().await
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    respond(&mut peer, encoded_by("gzip"), framed_gzip("fine")).await;
    let outcome = soon(call).await.expect("the call does not panic");
    assert_eq!(outcome.expect_err("refused").code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_call_cannot_accept_an_encoding_that_the_channel_lacks() {
    let server = serve(StubService::echo());
    let client = server.client();
    let call = client
        .unary(msg("hello"))
        .accept_compressors(["gzip", "br"]);
    let error = call.await.expect_err("not registered");
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("\"br\""), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_servers_accepted_encodings_come_with_its_refusal() {
    let server = serve(StubService::echo());
    let conn = conn(&server, |builder| {
        builder.compressor(Counting::new("x-counting"))
    });
    let client = StubClient::new(conn);
    let call = client.unary(msg("hello")).compressor("x-counting");
    let error = call.await.expect_err("the server has it not");
    assert_eq!(error.code(), Code::Unimplemented);
    let accepted = error.metadata().get(ACCEPT_ENCODING);
    assert_eq!(accepted, Some("identity,gzip"));
}

#[tokio::test(start_paused = true)]
async fn a_prepared_message_goes_compressed_or_not_as_its_call_does() {
    let prepared = PreparedMessage::new(ProtoCodec, &msg("hello")).expect("it fits");
    for (compressor, compressed) in [("gzip", true), ("identity", false)] {
        let (client, mut server) = scripted(|builder| builder);
        let prepared = prepared.clone();
        let call = tokio::spawn(async move {
            let call = client.bidi_streaming().compressor(compressor);
            let (mut requests, responses) = call.await.expect("a stream");
            let sent = requests.send_prepared(&prepared).await;
            sent.expect("it is open");
            requests.close();
            responses
        });
        let mut peer = server.accept().await;
        let request = peer.expect_request(1).await;
        assert_eq!(is_compressed(&request), compressed);
        drop(soon(call).await.expect("no panic"));
    }
}
