//! Metadata that the server sends back.

use rgrpc::{Invoke, Metadata};

use super::streaming::{expect_end, expect_response, output_request};
use super::{Failure, OrFailure, expect_eq, expect_payload};
use crate::payload::{ECHO_INITIAL_KEY, ECHO_TRAILING_KEY, simple_request};
use crate::proto::TestServiceClient;

const INITIAL: &str = "test_initial_metadata_value";
const TRAILING: &[u8] = b"\x0a\x0b\x0a\x0b\x0a\x0b";

pub(super) async fn custom_metadata<I: Invoke>(
    client: &TestServiceClient<I>,
) -> Result<(), Failure> {
    let response = client
        .unary_call(simple_request(1, 1))
        .metadata(ECHO_INITIAL_KEY, INITIAL)
        .metadata(ECHO_TRAILING_KEY, TRAILING)
        .await
        .or_failure("UnaryCall")?;
    expect_payload("UnaryCall", response.message().payload.as_ref(), 1)?;
    expect_echo("UnaryCall", response.metadata(), response.trailer())?;

    let (mut requests, mut responses) = client
        .full_duplex_call()
        .metadata(ECHO_INITIAL_KEY, INITIAL)
        .metadata(ECHO_TRAILING_KEY, TRAILING)
        .await
        .or_failure("FullDuplexCall")?;
    requests
        .send(output_request(Some(1), &[1]))
        .await
        .or_failure("FullDuplexCall send")?;
    let header = responses.header().await.clone();
    expect_response(&mut responses, 1).await?;
    requests.close();
    expect_end(&mut responses).await?;
    expect_echo("FullDuplexCall", &header, responses.trailer())
}

/// Each of the two keys must have come back once, where it belongs.
fn expect_echo(call: &str, header: &Metadata, trailer: &Metadata) -> Result<(), Failure> {
    for (place, metadata, key, want) in [
        ("header", header, ECHO_INITIAL_KEY, INITIAL.as_bytes()),
        ("trailer", trailer, ECHO_TRAILING_KEY, TRAILING),
    ] {
        let got: Vec<_> = metadata.get_all(key).collect();
        expect_eq(format!("{call}: {key} in the {place}"), got, vec![want])?;
    }
    Ok(())
}
