//! The length-prefixed message: a flag octet, four octets of length, the body.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const PREFIX_LEN: usize = 5;

/// An uncompressed message with its prefix.
pub fn message(body: impl AsRef<[u8]>) -> Bytes {
    let body = body.as_ref();
    message_with(0, body.len() as u32, body)
}

/// A message with any compressed-flag and length, true or not.
pub fn message_with(flag: u8, declared_length: u32, body: impl AsRef<[u8]>) -> Bytes {
    let body = body.as_ref();
    let mut out = BytesMut::with_capacity(PREFIX_LEN + body.len());
    out.put_u8(flag);
    out.put_u32(declared_length);
    out.put_slice(body);
    out.freeze()
}

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcMessage {
    /// The compressed-flag: 0 or 1, if the sender keeps to the rules.
    pub flag: u8,
    /// The body, as it was sent.
    pub body: Bytes,
}

impl GrpcMessage {
    /// Takes a whole message off the front of the octets, if there is one.
    pub(crate) fn take(octets: &mut BytesMut) -> Option<Self> {
        let mut prefix = octets.get(..PREFIX_LEN)?;
        let (flag, length) = (prefix.get_u8(), prefix.get_u32() as usize);
        if octets.len() - PREFIX_LEN < length {
            return None;
        }
        octets.advance(PREFIX_LEN);
        Some(Self {
            flag,
            body: octets.split_to(length).freeze(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_flag_and_big_endian_length() {
        assert_eq!(&message(b"abc")[..], b"\0\0\0\0\x03abc");
        assert_eq!(
            &message_with(1, 0x0102_0304, b"")[..],
            b"\x01\x01\x02\x03\x04"
        );
    }

    #[test]
    fn messages_come_off_whole_and_one_by_one() {
        let mut octets = BytesMut::from(&[message(b"ab"), message(b"")].concat()[..]);
        octets.extend_from_slice(&message(b"cut")[..7]);
        let bodies: Vec<_> = std::iter::from_fn(|| GrpcMessage::take(&mut octets))
            .map(|message| message.body)
            .collect();
        assert_eq!(bodies, [&b"ab"[..], b""]);
        assert_eq!(octets.len(), 7);
    }
}
