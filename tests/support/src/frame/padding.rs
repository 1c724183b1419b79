//! The padding that DATA, HEADERS and PUSH_PROMISE share (RFC 9113 section 6.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::{Malformation, RawFrame, flag};

/// The payload with its pad length octet in front and the zeros behind.
pub(crate) fn pad(padding: Option<u8>, content: &[u8]) -> Bytes {
    let Some(length) = padding else {
        return Bytes::copy_from_slice(content);
    };
    let mut out = BytesMut::with_capacity(1 + content.len() + usize::from(length));
    out.put_u8(length);
    out.put_slice(content);
    out.put_bytes(0, usize::from(length));
    out.freeze()
}

/// The pad length and the content of a frame that may be padded.
pub(crate) fn strip(raw: &RawFrame) -> Result<(Option<u8>, Bytes), Malformation> {
    if !raw.has(flag::PADDED) {
        return Ok((None, raw.payload.clone()));
    }
    let Some((&length, rest)) = raw.payload.split_first() else {
        return Err(Malformation::new("PADDED without a pad length"));
    };
    let Some(content) = rest.len().checked_sub(usize::from(length)) else {
        return Err(Malformation::new(format!(
            "{length} octets of padding in {}",
            rest.len()
        )));
    };
    Ok((Some(length), raw.payload.slice(1..1 + content)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::kind;

    #[test]
    fn padding_may_fill_the_payload_but_not_exceed_it() {
        let padded = |payload: &[u8]| RawFrame::new(kind::DATA, flag::PADDED, 1, payload);
        assert_eq!(strip(&padded(&[2, 0, 0])), Ok((Some(2), Bytes::new())));
        assert_eq!(
            strip(&padded(b"\x01a\0")),
            Ok((Some(1), Bytes::from_static(b"a")))
        );
        assert!(strip(&padded(&[3, 0, 0])).is_err());
        assert!(strip(&padded(&[])).is_err());
    }
}
