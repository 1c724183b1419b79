//! Behaviour of the server that no case covers.

use std::time::Duration;

use rgrpc::{ClientConn, Code};
use rgrpc_interop::proto::{
    EchoStatus, ResponseParameters, SimpleRequest, StreamingOutputCallRequest, TestServiceClient,
};

use crate::{channel, start_interop_server};

async fn client() -> TestServiceClient<ClientConn> {
    TestServiceClient::new(channel(start_interop_server().await))
}

fn output_request(size: i32, interval_us: i32) -> StreamingOutputCallRequest {
    StreamingOutputCallRequest {
        response_parameters: vec![ResponseParameters {
            size,
            interval_us,
            ..ResponseParameters::default()
        }],
        ..StreamingOutputCallRequest::default()
    }
}

#[tokio::test]
async fn half_duplex_answers_all_requests_in_order_after_the_half_close() {
    let client = client().await;
    let (mut requests, mut responses) = client.half_duplex_call().await.expect("it begins");
    for size in [3, 1, 2] {
        let request = output_request(size, 0);
        requests.send(request).await.expect("it goes out");
    }
    requests.close();
    let mut sizes = Vec::new();
    while let Some(response) = responses.recv().await.expect("the call ends well") {
        sizes.push(response.payload.map_or(0, |payload| payload.body.len()));
    }
    assert_eq!(sizes, [3, 1, 2]);
}

#[tokio::test]
async fn a_response_waits_for_its_interval() {
    const HALF_AN_HOUR: i32 = 1_800_000_000;
    let client = client().await;
    let mut responses = client
        .streaming_output_call(output_request(1, HALF_AN_HOUR))
        .timeout(Duration::from_millis(50))
        .await
        .expect("it begins");
    let status = responses.recv().await.expect_err("nothing in that time");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test]
async fn a_payload_that_makes_no_sense_is_refused_as_by_grpc_go() {
    let client = client().await;
    for (response_type, response_size, text) in [
        (0, -1, "requested a response with invalid length -1"),
        (7, 1, "unsupported payload type: 7"),
    ] {
        let request = SimpleRequest {
            response_type,
            response_size,
            ..SimpleRequest::default()
        };
        let status = client.unary_call(request).await.expect_err("refused");
        assert_eq!((status.code(), status.message()), (Code::Unknown, text));
    }
}

#[tokio::test]
async fn the_status_that_a_client_asks_for_is_the_calls_and_ok_is_no_failure() {
    let client = client().await;
    for (code, want) in [
        (0, None),
        (7, Some(Code::PermissionDenied)),
        (99, Some(Code::Unknown)),
    ] {
        let request = SimpleRequest {
            response_status: Some(EchoStatus {
                code,
                message: "asked for".to_owned(),
            }),
            ..SimpleRequest::default()
        };
        let got = client.unary_call(request).await.err();
        assert_eq!(got.as_ref().map(rgrpc::Status::code), want, "{got:?}");
    }
}
