//! Methods and services that the server does not have.

use rgrpc::{Code, Invoke};

use super::Failure;
use super::failure::expect_code;
use crate::proto::{Empty, TestServiceClient, UnimplementedServiceClient};

pub(super) async fn unimplemented_method<I: Invoke>(
    client: &TestServiceClient<I>,
) -> Result<(), Failure> {
    let outcome = client.unimplemented_call(Empty {}).await;
    expect_code(
        "TestService/UnimplementedCall",
        outcome,
        Code::Unimplemented,
    )
    .map(drop)
}

pub(super) async fn unimplemented_service<I: Invoke>(
    client: &UnimplementedServiceClient<I>,
) -> Result<(), Failure> {
    let outcome = client.unimplemented_call(Empty {}).await;
    expect_code(
        "UnimplementedService/UnimplementedCall",
        outcome,
        Code::Unimplemented,
    )
    .map(drop)
}
