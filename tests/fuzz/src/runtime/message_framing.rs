//! Messages: found again for every split, and never held beyond the limit.

use bytes::{Buf, Bytes};

use super::Choices;
use crate::buffer_pool::BufferPool;
use crate::codec::MessageLimit;
use crate::codec::{MessageBytes, MessageReader, PREFIX_LEN, Prefix, RawCodec, frame};
use crate::read_demand::ReadDemand;
use crate::side::Side;

/// The messages in the octets of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    messages: Vec<Vec<u8>>,
    /// Something was refused behind them.
    refused: bool,
    /// The octets of a message that is cut short follow.
    unfinished: bool,
}

/// Reads octets in pieces, and compares with reading them all at once.
pub fn message_framing(data: &[u8]) {
    let mut choices = Choices::new(data);
    let max = usize::from(choices.short());
    let mut pieces = choices.clone();
    let wire = if choices.flag() {
        well_formed(&mut choices, max)
    } else {
        choices.rest().to_vec()
    };
    assert_eq!(read_in_pieces(&wire, max, &mut pieces), find(&wire, max));
}

/// Messages of ours: the reader has to find them all.
fn well_formed(choices: &mut Choices<'_>, max: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut sent = Vec::new();
    while !choices.is_empty() {
        let message = Bytes::copy_from_slice(choices.string());
        match frame::<RawCodec, _>(&message, MessageLimit::new(Side::Server, max)) {
            Ok(framed) => {
                assert_eq!(framed.len(), PREFIX_LEN + message.len());
                wire.extend_from_slice(&framed.into_bytes());
                sent.push(message.to_vec());
            }
            Err(_) => assert!(message.len() > max, "a message that fits was refused"),
        }
    }
    let found = find(&wire, max);
    assert_eq!(found.messages, sent);
    assert!(!found.refused && !found.unfinished);
    wire
}

/// The rules, read off the wire without a state.
fn find(mut wire: &[u8], max: usize) -> Found {
    let mut found = Found::default();
    while let Some((&prefix, body)) = wire.split_first_chunk::<PREFIX_LEN>() {
        let Some(Prefix {
            compressed: false,
            len,
        }) = Prefix::parse(prefix)
        else {
            found.refused = true;
            return found;
        };
        let len = len as usize;
        if len > max {
            found.refused = true;
            return found;
        }
        let Some((message, rest)) = body.split_at_checked(len) else {
            break;
        };
        found.messages.push(message.to_vec());
        wire = rest;
    }
    found.unfinished = !wire.is_empty();
    found
}

fn read_in_pieces(mut wire: &[u8], max: usize, choices: &mut Choices<'_>) -> Found {
    let mut found = Found::default();
    let mut reader = MessageReader::new(MessageLimit::new(Side::Server, max));
    while !wire.is_empty() {
        let length = choices.length().clamp(1, wire.len());
        let (piece, rest) = wire.split_at(length);
        wire = rest;
        reader.push(Bytes::copy_from_slice(piece).into());
        loop {
            match reader.next(BufferPool::shared) {
                Ok(Some(message)) => found.messages.push(read(message.bytes, choices)),
                Ok(None) => break,
                Err(_) => {
                    found.refused = true;
                    return found;
                }
            }
        }
        if let ReadDemand::Rest(len) = reader.read_demand() {
            assert!((1..=max.max(PREFIX_LEN)).contains(&len), "{len} octets");
            assert!(reader.is_within_message());
        }
    }
    found.unfinished = reader.is_within_message();
    found
}

/// Reads a message as a codec may: by chunk, by octets, by copy.
fn read(mut message: MessageBytes, choices: &mut Choices<'_>) -> Vec<u8> {
    let length = message.remaining();
    let mut octets = Vec::new();
    while message.has_remaining() {
        let chunk = message.chunk().len();
        assert!((1..=message.remaining()).contains(&chunk));
        let count = choices.length().clamp(1, message.remaining());
        if choices.flag() {
            octets.extend_from_slice(&message.copy_to_bytes(count));
        } else {
            let count = count.min(chunk);
            octets.extend_from_slice(&message.chunk()[..count]);
            message.advance(count);
        }
    }
    assert_eq!(octets.len(), length);
    octets
}
