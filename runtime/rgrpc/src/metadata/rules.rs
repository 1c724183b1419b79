//! The rules for keys and values ("PROTOCOL-HTTP2", Custom-Metadata; grpc-go `internal/metadata`).
//!
//! Called for each key and value that a user adds.

use bytes::Bytes;

use super::MetadataError;

/// Returns whether the values of this key are arbitrary bytes.
pub(super) fn is_binary(key: &[u8]) -> bool {
    key.ends_with(b"-bin")
}

/// Returns whether a key belongs to the protocol, so that users neither send nor see it.
pub(crate) fn is_reserved(key: &[u8]) -> bool {
    key.first() == Some(&b':')
        || matches!(
            key,
            b"content-type"
                | b"te"
                | b"user-agent"
                | b"grpc-accept-encoding"
                | b"grpc-encoding"
                | b"grpc-message"
                | b"grpc-message-type"
                | b"grpc-previous-rpc-attempts"
                | b"grpc-status"
                | b"grpc-status-details-bin"
                | b"grpc-timeout"
        )
        || is_connection_specific(key)
}

/// Returns whether a field concerns an HTTP/1.1 connection, which is malformed in HTTP/2 (RFC 9113,
/// section 8.2.2).
fn is_connection_specific(key: &[u8]) -> bool {
    matches!(
        key,
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade"
    )
}

/// Checks that the user may send this key, and returns it in lower case.
pub(super) fn check_key(key: Bytes) -> Result<Bytes, MetadataError> {
    let key = if key.iter().any(u8::is_ascii_uppercase) {
        key.to_ascii_lowercase().into()
    } else {
        key
    };
    if is_reserved(&key) {
        return Err(MetadataError::reserved(&key));
    }
    let legal = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'_' | b'-' | b'.');
    if key.is_empty() || !key.iter().all(legal) {
        return Err(MetadataError::key(&key));
    }
    Ok(key)
}

/// Checks that the user may send this value under this key.
pub(super) fn check_value(key: &[u8], value: &[u8]) -> Result<(), MetadataError> {
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e);
    if is_binary(key) || value.iter().all(printable) {
        Ok(())
    } else {
        Err(MetadataError::value(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lowercased_and_checked() {
        for (key, expected) in [
            ("x-trace", Some("x-trace")),
            ("X-Trace_2.a", Some("x-trace_2.a")),
            ("grpc-trace-bin", Some("grpc-trace-bin")),
            ("", None),
            ("a b", None),
            ("käse", None),
            (":path", None),
            ("grpc-status", None),
            ("Content-Type", None),
            ("connection", None),
        ] {
            let checked = check_key(Bytes::from_static(key.as_bytes()));
            assert_eq!(
                checked.as_deref().ok(),
                expected.map(str::as_bytes),
                "{key}"
            );
        }
    }

    #[test]
    fn text_values_are_printable_ascii_and_binary_values_are_arbitrary() {
        assert!(check_value(b"a", b" ~").is_ok());
        assert!(check_value(b"a", b"tab\t").is_err());
        assert!(check_value(b"a", "é".as_bytes()).is_err());
        assert!(check_value(b"a-bin", b"\x00\xff").is_ok());
    }
}
