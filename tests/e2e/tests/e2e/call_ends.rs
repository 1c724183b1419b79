//! The end of a call is judged once, before anyone is told: the caller, `on_finish`, the throttle of
//! retries.

use std::sync::{Arc, Mutex};

use rgrpc::{ClientConn, Code, Status};
use rgrpc_e2e::{ScriptedServer, StubClient, msg, scripted_by, soon};
use rgrpc_test_support::{WirePeer, data, grpc_response, grpc_trailers};

/// The parts of a response, besides its headers and OK in the trailers.
const RESPONSES: [(&str, &[u8], Code); 6] = [
    ("none", b"", Code::Unimplemented),
    ("two", b"\0\0\0\0\0\0\0\0\0\0", Code::Unimplemented),
    ("a part of a prefix", b"\0\0", Code::Internal),
    ("a part of a message", b"\0\0\0\0\x04\x0a", Code::Internal),
    (
        "one that is no message",
        b"\0\0\0\0\x01\xff",
        Code::Internal,
    ),
    (
        "one over the limit",
        b"\0\0\0\0\x20",
        Code::ResourceExhausted,
    ),
];

/// The codes that ends were reported with.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<Code>>>);

impl Ends {
    fn hook(&self) -> impl Fn(Result<(), &Status>) + Send + Sync + 'static {
        let ends = self.clone();
        move |outcome| {
            let code = outcome.map_or_else(Status::code, |()| Code::Ok);
            ends.0.lock().expect("not poisoned").push(code);
        }
    }

    fn take(&self) -> Vec<Code> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

async fn answer(peer: &mut WirePeer, id: u32, body: &'static [u8]) {
    peer.send(grpc_response(id)).await;
    if !body.is_empty() {
        peer.send(data(id, body)).await;
    }
    peer.send(grpc_trailers(id, 0)).await;
}

/// A channel that throttles retries, of whose 4 tokens 2 are gone after 2 failures.
fn throttling() -> (ClientConn, ScriptedServer) {
    let config = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s",
        "backoffMultiplier": 1, "retryableStatusCodes": ["ABORTED"]
    }}], "retryThrottling": {"maxTokens": 4, "tokenRatio": 1}}"#;
    scripted_by("passthrough:///stub.test", |builder| {
        builder.default_service_config(config)
    })
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_judged_bad_is_no_success_for_anyone_who_is_told() {
    for (name, body, code) in RESPONSES {
        for kind in ["unary", "client streaming", "split"] {
            let (conn, mut server) = throttling();
            let client = StubClient::new(conn);
            let ends = Ends::default();
            let hook = ends.hook();
            let call = tokio::spawn(async move {
                let unary = client.unary(msg("")).max_receive_message_size(16);
                let streaming = client.client_streaming().max_receive_message_size(16);
                match kind {
                    "unary" => unary.on_finish(hook).await.map(drop),
                    "split" => {
                        let (mut requests, mut responses) =
                            streaming.on_finish(hook).await?.split();
                        requests.close();
                        responses.recv().await.map(drop)
                    }
                    _ => streaming
                        .on_finish(hook)
                        .await?
                        .close_and_recv()
                        .await
                        .map(drop),
                }
            });
            let mut peer = server.accept().await;
            peer.expect_request(1).await;
            answer(&mut peer, 1, body).await;
            let status = soon(call).await.expect("no panic").expect_err(name);
            assert_eq!(status.code(), code, "{kind}, {name}: {status}");
            assert_eq!(ends.take(), [code], "{kind}, {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_within_a_message_is_no_success_for_anyone_who_is_told() {
    for (name, body, code) in &RESPONSES[2..] {
        let (conn, mut server) = throttling();
        let client = StubClient::new(conn);
        let ends = Ends::default();
        let hook = ends.hook();
        let call = tokio::spawn(async move {
            let call = client.server_streaming(msg(""));
            let mut responses = call.max_receive_message_size(16).on_finish(hook).await?;
            responses.recv().await
        });
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        answer(&mut peer, 1, body).await;
        let status = soon(call).await.expect("no panic").expect_err(name);
        assert_eq!(status.code(), *code, "{name}: {status}");
        assert_eq!(ends.take(), [*code], "{name}");
    }
}

/// Fails one call so that it is tried again once, if the throttle lets it.
async fn aborted_attempts(client: &StubClient, peer: &mut WirePeer, id: &mut u32) -> u32 {
    let call = rgrpc_e2e::unary(client, "");
    let mut attempts = 0;
    loop {
        peer.expect_request(*id).await;
        peer.send(rgrpc_test_support::trailers_only(*id, 10)).await;
        *id += 2;
        attempts += 1;
        // The second attempt is the last.
        if attempts == 2 || {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            call.is_finished()
        } {
            break;
        }
    }
    let status = soon(call).await.expect("no panic").expect_err("ABORTED");
    assert_eq!(status.code(), Code::Aborted);
    attempts
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_judged_bad_gives_the_throttle_no_token_back() {
    for (bad, attempts) in [(true, 1), (false, 2)] {
        let (conn, mut server) = throttling();
        let client = StubClient::new(conn);
        let mut id = 1;
        let first = rgrpc_e2e::unary(&client, "");
        let mut peer = server.accept().await;
        peer.expect_request(id).await;
        answer(&mut peer, id, b"\0\0\0\0\0").await;
        soon(first).await.expect("no panic").expect("OK");
        id += 2;
        // 3 tokens are left, then 2, which is half: the second failure is not tried again.
        assert_eq!(aborted_attempts(&client, &mut peer, &mut id).await, 2);
        for _ in 0..3 {
            let streaming = client.client_streaming().await.expect("a stream");
            let call = tokio::spawn(streaming.close_and_recv());
            peer.expect_request(id).await;
            answer(&mut peer, id, if bad { b"" } else { b"\0\0\0\0\0" }).await;
            assert_eq!(soon(call).await.expect("no panic").is_err(), bad);
            id += 2;
        }
        assert_eq!(
            aborted_attempts(&client, &mut peer, &mut id).await,
            attempts,
            "{bad}"
        );
    }
}
