//! Messages in one word.

use bytes::Bytes;
use rgrpc::prost::Message as _;

use crate::Message;

/// A message with this body.
pub fn msg(body: impl AsRef<[u8]>) -> Message {
    Message {
        body: body.as_ref().to_vec(),
    }
}

/// A message's body as text.
///
/// # Panics
/// If it is none.
pub fn text(message: &Message) -> &str {
    std::str::from_utf8(&message.body).expect("the tests' messages are text")
}

/// A message with this body as its codec writes it.
pub fn encoded(body: impl AsRef<[u8]>) -> Vec<u8> {
    msg(body).encode_to_vec()
}

/// A message with this body as in DATA, with its prefix.
pub fn framed(body: impl AsRef<[u8]>) -> Bytes {
    rgrpc_test_support::message(encoded(body))
}
