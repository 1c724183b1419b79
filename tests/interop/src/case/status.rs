//! The status that a server ends a call with.

use std::time::Duration;

use rgrpc::{Code, Invoke};

use super::failure::expect_status;
use super::{Failure, OrFailure};
use crate::proto::{EchoStatus, SimpleRequest, StreamingOutputCallRequest, TestServiceClient};

const TEXT: &str = "test status message";
const SPECIAL_TEXT: &str =
    "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";

pub(super) async fn status_code_and_message<I: Invoke>(
    client: &TestServiceClient<I>,
) -> Result<(), Failure> {
    let outcome = client.unary_call(request_for(TEXT)).await;
    expect_status("UnaryCall", outcome, Code::Unknown, TEXT)?;

    let (mut requests, mut responses) = client
        .full_duplex_call()
        .await
        .or_failure("FullDuplexCall")?;
    let request = StreamingOutputCallRequest {
        response_status: Some(unknown(TEXT)),
        ..StreamingOutputCallRequest::default()
    };
    requests
        .send(request)
        .await
        .or_failure("FullDuplexCall send")?;
    requests.close();
    expect_status(
        "FullDuplexCall",
        responses.recv().await,
        Code::Unknown,
        TEXT,
    )
}

pub(super) async fn special_status_message<I: Invoke>(
    client: &TestServiceClient<I>,
) -> Result<(), Failure> {
    let outcome = client
        .unary_call(request_for(SPECIAL_TEXT))
        .timeout(Duration::from_secs(10))
        .await;
    expect_status("UnaryCall", outcome, Code::Unknown, SPECIAL_TEXT)
}

/// A request that the server answers with UNKNOWN and this text.
fn request_for(text: &str) -> SimpleRequest {
    SimpleRequest {
        response_status: Some(unknown(text)),
        ..SimpleRequest::default()
    }
}

fn unknown(text: &str) -> EchoStatus {
    EchoStatus {
        code: Code::Unknown.to_i32(),
        message: text.to_owned(),
    }
}
