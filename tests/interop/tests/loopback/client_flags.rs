//! Effects of the client's flags.

use rgrpc_interop::additional_metadata::{AdditionalMetadata, WithMetadata};
use rgrpc_interop::proto::{SimpleRequest, TestServiceClient};

use crate::{channel, run_client, start_interop_server};

const ECHO_INITIAL_KEY: &str = "x-grpc-test-echo-initial";

#[tokio::test]
async fn the_soaks_make_all_their_calls() {
    let port = start_interop_server().await;
    for case in ["rpc_soak", "channel_soak"] {
        let report = run_client(port, &["--test_case", case, "--soak_num_threads=2"]).await;
        let begin = format!("{case}: 10 calls succeeded, 0 failed");
        assert!(
            report
                .as_ref()
                .is_ok_and(|report| report.starts_with(&begin)),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn a_soak_whose_calls_fail_fails_with_their_reasons() {
    let port = start_interop_server().await;
    let flags = ["--test_case=rpc_soak", "--soak_response_size=-1"];
    let outcome = run_client(port, &flags).await;
    let error = outcome.expect_err("no response has that size");
    assert!(error.starts_with("10 calls failed, 0 may:"), "{error}");
    assert!(error.contains("invalid length -1"), "{error}");
}

#[tokio::test]
async fn a_soak_that_cannot_be_shared_out_fails() {
    let port = start_interop_server().await;
    for threads in ["0", "3"] {
        let flags = ["--test_case=rpc_soak", "--soak_num_threads", threads];
        let outcome = run_client(port, &flags).await;
        let error = outcome.expect_err("10 is no multiple");
        assert!(error.contains("--soak_num_threads"), "{error}");
    }
}

#[tokio::test]
async fn the_server_compresses_the_responses_that_a_case_asks_for() {
    let port = start_interop_server().await;
    for case in ["server_compressed_unary", "server_compressed_streaming"] {
        for more in [&[][..], &["--compression=gzip"]] {
            let flags = [&["--test_case", case], more].concat();
            let outcome = run_client(port, &flags).await;
            assert_eq!(outcome, Ok(format!("{case}: passed")));
        }
    }
}

#[tokio::test]
async fn a_compressed_request_has_a_compressed_response() {
    let port = start_interop_server().await;
    for case in [
        "empty_unary",
        "large_unary",
        "client_streaming",
        "ping_pong",
    ] {
        let flags = ["--compression=gzip", "--test_case", case];
        assert_eq!(
            run_client(port, &flags).await,
            Ok(format!("{case}: passed"))
        );
    }
}

#[tokio::test]
async fn additional_metadata_goes_with_unary_calls_and_with_streams() {
    let channel = channel(start_interop_server().await);
    let metadata: AdditionalMetadata = format!("{ECHO_INITIAL_KEY}:there and back")
        .parse()
        .expect("well-formed");
    let client = TestServiceClient::new(WithMetadata::new(channel, metadata));

    let response = client
        .unary_call(SimpleRequest::default())
        .await
        .expect("the server answers");
    assert_eq!(
        response.metadata().get(ECHO_INITIAL_KEY),
        Some("there and back")
    );

    let (_requests, mut responses) = client.full_duplex_call().await.expect("the call begins");
    assert_eq!(
        responses.header().await.get(ECHO_INITIAL_KEY),
        Some("there and back")
    );
}
