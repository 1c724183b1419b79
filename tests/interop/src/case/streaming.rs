//! Several messages one way, or both ways.

use rgrpc::{Invoke, RecvStream};

use super::{Failure, OrFailure, expect_eq, expect_payload};
use crate::payload::zeros;
use crate::proto::{
    PayloadType, ResponseParameters, StreamingInputCallRequest, StreamingOutputCallRequest,
    StreamingOutputCallResponse, TestServiceClient,
};

const REQUESTS: [usize; 4] = [27_182, 8, 1_828, 45_904];
const RESPONSES: [i32; 4] = [31_415, 9, 2_653, 58_979];
/// The sum of [`REQUESTS`].
const REQUESTS_TOGETHER: i32 = 74_922;

pub(super) async fn client_streaming<I: Invoke>(
    client: &TestServiceClient<I>,
) -> Result<(), Failure> {
    let mut call = client
        .streaming_input_call()
        .await
        .or_failure("StreamingInputCall")?;
    for size in REQUESTS {
        let request = StreamingInputCallRequest {
            payload: Some(zeros(size)),
            ..StreamingInputCallRequest::default()
        };
        call.send(request)
            .await
            .or_failure("StreamingInputCall send")?;
    }
    let response = call
        .close_and_recv()
        .await
        .or_failure("StreamingInputCall close_and_recv")?;
    let size = response.message().aggregated_payload_size;
    expect_eq(
        "StreamingInputCall: aggregated size",
        size,
        REQUESTS_TOGETHER,
    )
}

pub(super) async fn server_streaming<I: Invoke>(
    client: &TestServiceClient<I>,
) -> Result<(), Failure> {
    let mut responses = client
        .streaming_output_call(output_request(None, &RESPONSES))
        .await
        .or_failure("StreamingOutputCall")?;
    for size in RESPONSES {
        expect_response(&mut responses, size).await?;
    }
    expect_end(&mut responses).await
}

pub(super) async fn ping_pong<I: Invoke>(client: &TestServiceClient<I>) -> Result<(), Failure> {
    let (mut requests, mut responses) = client
        .full_duplex_call()
        .await
        .or_failure("FullDuplexCall")?;
    for (request_size, response_size) in REQUESTS.into_iter().zip(RESPONSES) {
        let request = output_request(Some(request_size), &[response_size]);
        requests
            .send(request)
            .await
            .or_failure("FullDuplexCall send")?;
        expect_response(&mut responses, response_size).await?;
    }
    requests.close();
    expect_end(&mut responses).await
}

pub(super) async fn empty_stream<I: Invoke>(client: &TestServiceClient<I>) -> Result<(), Failure> {
    let (mut requests, mut responses) = client
        .full_duplex_call()
        .await
        .or_failure("FullDuplexCall")?;
    requests.close();
    expect_end(&mut responses).await
}

/// A request for one response of each size, with a payload of its own if `request_size` says so.
pub(super) fn output_request(
    request_size: Option<usize>,
    response_sizes: &[i32],
) -> StreamingOutputCallRequest {
    StreamingOutputCallRequest {
        response_type: PayloadType::Compressable.into(),
        response_parameters: response_sizes
            .iter()
            .map(|&size| ResponseParameters {
                size,
                ..ResponseParameters::default()
            })
            .collect(),
        payload: request_size.map(zeros),
        ..StreamingOutputCallRequest::default()
    }
}

/// The next response must have a payload of this size.
pub(super) async fn expect_response(
    responses: &mut RecvStream<StreamingOutputCallResponse>,
    size: i32,
) -> Result<(), Failure> {
    let response = responses.recv().await.or_failure("recv")?;
    let payload = response
        .as_ref()
        .and_then(|response| response.payload.as_ref());
    expect_payload("response", payload, size)
}

/// There must be no further response, and the call must end well.
pub(super) async fn expect_end(
    responses: &mut RecvStream<StreamingOutputCallResponse>,
) -> Result<(), Failure> {
    let end = responses.recv().await.or_failure("recv at the end")?;
    expect_eq("response after the last", end, None)
}
