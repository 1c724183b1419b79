//! Calls that the client ends: by a deadline, and by cancelling.

use std::time::Duration;

use rgrpc::{Code, Invoke};

use super::failure::expect_code;
use super::streaming::{expect_response, output_request};
use super::{Failure, OrFailure};
use crate::proto::TestServiceClient;

pub(super) async fn timeout_on_sleeping_server<I: Invoke>(
    client: &TestServiceClient<I>,
) -> Result<(), Failure> {
    let call = client
        .full_duplex_call()
        .timeout(Duration::from_millis(1))
        .await;
    let (mut requests, mut responses) = match call {
        Ok(halves) => halves,
        // The deadline may pass while the channel is still connecting.
        Err(status) => {
            return expect_code(
                "FullDuplexCall",
                Err::<(), _>(status),
                Code::DeadlineExceeded,
            )
            .map(drop);
        }
    };
    // The request asks for no response, so the server waits for the next one. The clock
    // decides if this one still goes out; the receiving half has the reason of the call's end.
    let _ = requests.send(output_request(Some(27_182), &[])).await;
    let end = responses.recv().await;
    expect_code("FullDuplexCall recv", end, Code::DeadlineExceeded).map(drop)
}

pub(super) async fn cancel_after_begin<I: Invoke>(
    client: &TestServiceClient<I>,
) -> Result<(), Failure> {
    let call = client
        .streaming_input_call()
        .await
        .or_failure("StreamingInputCall")?;
    let (requests, mut response) = call.split();
    drop(requests);
    let end = response.recv().await;
    expect_code("StreamingInputCall recv", end, Code::Cancelled).map(drop)
}

pub(super) async fn cancel_after_first_response<I: Invoke>(
    client: &TestServiceClient<I>,
) -> Result<(), Failure> {
    let (mut requests, mut responses) = client
        .full_duplex_call()
        .await
        .or_failure("FullDuplexCall")?;
    requests
        .send(output_request(Some(27_182), &[31_415]))
        .await
        .or_failure("FullDuplexCall send")?;
    expect_response(&mut responses, 31_415).await?;
    drop(requests);
    let end = responses.recv().await;
    expect_code("FullDuplexCall recv", end, Code::Cancelled).map(drop)
}
