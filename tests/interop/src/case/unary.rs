//! Unary calls.

use rgrpc::Invoke;

use super::{Failure, OrFailure, expect_eq, expect_payload};
use crate::payload::simple_request;
use crate::proto::{Empty, TestServiceClient};

const LARGE_REQUEST: usize = 271_828;
const LARGE_RESPONSE: i32 = 314_159;

pub(super) async fn empty_unary<I: Invoke>(client: &TestServiceClient<I>) -> Result<(), Failure> {
    let response = client.empty_call(Empty {}).await.or_failure("EmptyCall")?;
    expect_eq("EmptyCall", response.message(), &Empty {})
}

pub(super) async fn large_unary<I: Invoke>(client: &TestServiceClient<I>) -> Result<(), Failure> {
    let response = client
        .unary_call(simple_request(LARGE_REQUEST, LARGE_RESPONSE))
        .await
        .or_failure("UnaryCall")?;
    expect_payload(
        "UnaryCall",
        response.message().payload.as_ref(),
        LARGE_RESPONSE,
    )
}
