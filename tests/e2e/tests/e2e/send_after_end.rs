//! Messages that are sent after the server has ended the call: they fail with the call's status.

use rgrpc::{ClientConnBuilder, Code, SendStream, Status, credentials};
use rgrpc_e2e::{Message, StubClient, StubService, TestServer, channel_builder, msg, serve, soon};

const POLICY: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s",
    "backoffMultiplier": 1, "retryableStatusCodes": ["ABORTED"]
}}]}"#;

/// A server that ends its calls after the first message, with a failure or, where the message says
/// so, well.
fn ending() -> TestServer {
    async fn end(first: Option<Message>) -> Result<(), Status> {
        match first {
            Some(message) if message == msg("end well") => Ok(()),
            _ => Err(Status::out_of_range("that is enough").with_details(&b"why"[..])),
        }
    }
    serve(
        StubService::new()
            .client_streaming(async |mut requests| {
                end(requests.message_mut().recv().await?).await?;
                Ok(rgrpc::Response::new(msg("enough")))
            })
            .bidi_streaming(async |mut requests, mut responses| {
                let first = requests.message_mut().recv().await?;
                responses.send(msg("unread")).await?;
                end(first).await
            }),
    )
}

fn client(
    server: &TestServer,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> StubClient {
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
    let conn = options(builder.dialer(server.connector())).build();
    StubClient::new(conn.expect("a valid channel"))
}

/// Sends until that fails, and once more.
async fn send_until_it_fails(requests: &mut SendStream<Message>) -> [Status; 2] {
    let first = loop {
        match requests.send(msg("more")).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(status) => break status,
        }
    };
    let second = requests.send(msg("more")).await.expect_err("it has ended");
    [first, second]
}

#[tokio::test(start_paused = true)]
async fn every_message_after_the_end_fails_with_the_calls_status() {
    for (policy, buffer) in [(false, 0), (false, 1 << 20), (true, 0), (true, 1 << 20)] {
        for bidi in [false, true] {
            let server = ending();
            let client = client(&server, |builder| match policy {
                true => builder.default_service_config(POLICY),
                false => builder,
            });
            let case = format!("policy {policy}, buffer {buffer}, bidi {bidi}");
            let (mut requests, mut responses) = if bidi {
                let call = client.bidi_streaming().max_retry_buffer_size(buffer);
                call.await.expect("a stream")
            } else {
                let call = client.client_streaming().max_retry_buffer_size(buffer);
                call.await.expect("a stream").split()
            };
            for status in soon(send_until_it_fails(&mut requests)).await {
                assert_eq!(status.code(), Code::OutOfRange, "{case}: {status}");
                assert_eq!(status.message(), "that is enough", "{case}");
                assert_eq!(status.details(), b"why", "{case}");
            }
            // Nothing is lost that came before the end.
            if bidi {
                let unread = soon(responses.recv()).await.expect("a message");
                assert_eq!(unread, Some(msg("unread")), "{case}");
            }
            let status = soon(responses.recv()).await.expect_err("it has ended");
            assert_eq!(status.code(), Code::OutOfRange, "{case}: {status}");
            // Nor once the receiving half knows it too.
            let status = requests.send(msg("more")).await.expect_err("it has ended");
            assert_eq!(status.code(), Code::OutOfRange, "{case}: {status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_after_an_end_with_ok_says_so_and_the_response_is_there() {
    for buffer in [0, 1 << 20] {
        let server = ending();
        let client = client(&server, |builder| builder);
        let call = client.client_streaming().max_retry_buffer_size(buffer);
        let (mut requests, mut responses) = call.await.expect("a stream").split();
        requests.send(msg("end well")).await.expect("sent");
        for status in soon(send_until_it_fails(&mut requests)).await {
            assert_eq!(status.code(), Code::Cancelled, "{status}");
            assert!(
                status.message().contains("ended the call with OK"),
                "{status}"
            );
        }
        assert_eq!(responses.recv().await.expect("OK"), Some(msg("enough")));
        assert_eq!(responses.recv().await.expect("OK"), None);
    }
}
