//! gRPC's framing of messages: a flag, four bytes of length, the message.

use anyhow::{Context, Result, bail, ensure};
use prost::Message;

/// Bytes before a message.
pub(crate) const PREFIX: usize = 5;

/// Appends a framed message.
pub(crate) fn write(out: &mut Vec<u8>, message: &impl Message) -> Result<()> {
    let len = message.encoded_len();
    let prefix = u32::try_from(len).with_context(|| format!("a message of {len} bytes"))?;
    out.push(0);
    out.extend_from_slice(&prefix.to_be_bytes());
    message.encode(out).context("encoding a message")
}

/// Takes the first message of a DATA frame's payload; `None` when nothing is left.
pub(crate) fn take<M: Message + Default>(data: &mut &[u8]) -> Result<Option<M>> {
    if data.is_empty() {
        return Ok(None);
    }
    let Some((&[flag, l0, l1, l2, l3], rest)) = data.split_first_chunk::<PREFIX>() else {
        bail!("a message is in more than one DATA frame, which the floor does not handle");
    };
    ensure!(
        flag == 0,
        "a compressed message, which the floor does not handle"
    );
    let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    let Some((message, rest)) = rest.split_at_checked(len) else {
        bail!("a message is in more than one DATA frame, which the floor does not handle");
    };
    *data = rest;
    Ok(Some(M::decode(message).context("decoding a message")?))
}

/// The length of the messages that are complete within the first `limit` bytes.
pub(crate) fn whole(messages: &[u8], limit: usize) -> usize {
    let mut len = 0;
    while let Some((&[_, l0, l1, l2, l3], _)) = messages[len..].split_first_chunk::<PREFIX>() {
        let end = len + PREFIX + u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if end > limit.min(messages.len()) {
            break;
        }
        len = end;
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload;
    use crate::proto::grpc::testing::SimpleRequest;

    #[test]
    fn messages_are_taken_as_they_were_written() {
        let messages = [
            payload::request(0, 3).unwrap(),
            payload::request(5, 0).unwrap(),
        ];
        let mut bytes = Vec::new();
        for message in &messages {
            write(&mut bytes, message).unwrap();
        }
        let mut rest = bytes.as_slice();
        for message in messages {
            assert_eq!(take::<SimpleRequest>(&mut rest).unwrap(), Some(message));
        }
        assert_eq!(take::<SimpleRequest>(&mut rest).unwrap(), None);
    }

    #[test]
    fn only_whole_messages_fit() {
        let mut bytes = Vec::new();
        write(&mut bytes, &payload::request(5, 0).unwrap()).unwrap();
        let one = bytes.len();
        bytes.extend_from_within(..);
        for (room, fit) in [
            (0, 0),
            (one - 1, 0),
            (one, one),
            (2 * one - 1, one),
            (2 * one, 2 * one),
            (9 * one, 2 * one),
        ] {
            assert_eq!(whole(&bytes, room), fit, "{room} bytes");
        }
    }

    #[test]
    fn a_message_that_is_not_whole_is_an_error() {
        let mut bytes = Vec::new();
        write(&mut bytes, &payload::request(5, 0).unwrap()).unwrap();
        for len in 1..bytes.len() {
            assert!(take::<SimpleRequest>(&mut &bytes[..len]).is_err(), "{len}");
        }
    }
}
