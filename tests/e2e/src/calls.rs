//! A unary call in the background and the wire peer's response to it, for a test that looks at
//! the two sides of a call in turn.

use rgrpc::{Response, Status};
use rgrpc_test_support::{WirePeer, data, grpc_response, grpc_trailers};
use tokio::task::JoinHandle;

use crate::{Message, StubClient, framed, msg, soon, text};

/// The outcome of a unary call.
pub type Outcome = Result<Response<Message>, Status>;

/// Calls `Unary` with this body, on a task of its own. Aborting the task drops the call.
pub fn unary(client: &StubClient, body: &'static str) -> JoinHandle<Outcome> {
    let client = client.clone();
    tokio::spawn(async move { client.unary(msg(body)).await })
}

/// Sends a whole response: this body, and OK.
pub async fn answer(peer: &mut WirePeer, stream_id: u32, body: &str) {
    peer.send(grpc_response(stream_id)).await;
    peer.send(data(stream_id, framed(body))).await;
    peer.send(grpc_trailers(stream_id, 0)).await;
}

/// Waits until the call ends, and asserts OK with this body.
///
/// # Panics
/// If it fails, was aborted, has another body, or does not end.
pub async fn expect_text(call: JoinHandle<Outcome>, expected: &str) {
    let response = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(text(response.message()), expected);
}
