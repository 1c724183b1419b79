//! Compressed messages: what comes of them is what went in, or an error, and never more than the
//! limit.

use bytes::{Buf, Bytes};

use super::Choices;
use crate::buffer_pool::BufferPool;
use crate::codec::MessageLimit;
use crate::codec::{Compressor, Gzip, MessageBytes, decompress};
use crate::side::Side;
use crate::status::Code;
use rgrpc_http2::BytesQueue;

/// Takes octets to be gzip, whole and in pieces; or has them compressed, and takes that.
pub fn compression(data: &[u8]) {
    let mut choices = Choices::new(data);
    let gzip = Gzip::with_level(u32::from(choices.octet() % 10));
    let max = choices.length();
    let is_compressed = choices.flag();
    let piece = choices.length().max(1);
    let message = choices.rest();
    if !is_compressed {
        // The second by what was kept of the first.
        for _ in 0..2 {
            check_round_trip(&gzip, message, piece, max);
        }
        return;
    }
    let whole = read(&gzip, in_pieces(message, usize::MAX), max);
    assert_eq!(read(&gzip, in_pieces(message, piece), max), whole);
}

fn check_round_trip(gzip: &Gzip, message: &[u8], piece: usize, max: usize) {
    let mut compressed = Vec::new();
    gzip.compress(in_pieces(message, piece), &mut compressed)
        .expect("anything can be compressed");
    let back = read(gzip, in_pieces(&compressed, piece), max);
    if message.len() <= max {
        assert_eq!(back.as_deref(), Ok(message));
    } else {
        assert_eq!(back, Err(Code::ResourceExhausted));
    }
}

fn in_pieces(octets: &[u8], piece: usize) -> MessageBytes {
    let mut pieces = BytesQueue::default();
    for piece in octets.chunks(piece) {
        pieces.push(Bytes::copy_from_slice(piece));
    }
    pieces.into()
}

fn read(gzip: &Gzip, compressed: MessageBytes, max: usize) -> Result<Vec<u8>, Code> {
    let mut message = decompress(
        gzip,
        compressed,
        MessageLimit::new(Side::Server, max),
        &BufferPool::shared(),
    )
    .map_err(|status| {
        assert!(!status.message().is_empty());
        status.code()
    })?;
    assert!(message.remaining() <= max, "more than the limit");
    Ok(message.copy_to_bytes(message.remaining()).to_vec())
}
