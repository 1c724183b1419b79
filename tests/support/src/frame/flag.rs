//! The frame flags of RFC 9113 section 6.

use super::kind;

/// DATA and HEADERS: the sender's last frame on the stream.
pub const END_STREAM: u8 = 0x01;
/// SETTINGS and PING: an acknowledgement.
pub const ACK: u8 = 0x01;
/// HEADERS, PUSH_PROMISE and CONTINUATION: the header block ends here.
pub const END_HEADERS: u8 = 0x04;
/// DATA, HEADERS and PUSH_PROMISE: a pad length octet and that much padding.
pub const PADDED: u8 = 0x08;
/// HEADERS: priority fields follow.
pub const PRIORITY: u8 = 0x20;

/// `flag` if `set`, else no flag.
pub(crate) fn when(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

/// The names of the flags that are defined for the frame type, then the undefined rest in hex.
pub(crate) fn names(frame_kind: u8, flags: u8) -> Vec<String> {
    let defined: &[(u8, &str)] = match frame_kind {
        kind::DATA => &[(END_STREAM, "END_STREAM"), (PADDED, "PADDED")],
        kind::HEADERS => &[
            (END_STREAM, "END_STREAM"),
            (END_HEADERS, "END_HEADERS"),
            (PADDED, "PADDED"),
            (PRIORITY, "PRIORITY"),
        ],
        kind::PUSH_PROMISE => &[(END_HEADERS, "END_HEADERS"), (PADDED, "PADDED")],
        kind::CONTINUATION => &[(END_HEADERS, "END_HEADERS")],
        kind::SETTINGS | kind::PING => &[(ACK, "ACK")],
        _ => &[],
    };
    let mut rest = flags;
    let mut names = Vec::new();
    for &(flag, name) in defined {
        if flags & flag != 0 {
            names.push(name.to_owned());
            rest &= !flag;
        }
    }
    if rest != 0 {
        names.push(format!("flags={rest:#04x}"));
    }
    names
}
