//! The application protocol of TLS connections, by ALPN (RFC 7301).
//!
//! Called by the handshakes of both sides.

/// The ALPN name of HTTP/2 over TLS (RFC 9113, section 3.1).
const H2: &[u8] = b"h2";

/// Returns the protocols that both sides offer.
pub(super) fn offer() -> Vec<Vec<u8>> {
    vec![H2.to_vec()]
}

/// Checks that the negotiated protocol is HTTP/2.
pub(super) fn check(negotiated: Option<&[u8]>) -> Result<(), NotH2> {
    match negotiated {
        Some(H2) => Ok(()),
        Some(other) => Err(NotH2(Some(other.escape_ascii().to_string()))),
        None => Err(NotH2(None)),
    }
}

/// The error of a negotiated protocol other than HTTP/2, or of none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotH2(pub(super) Option<String>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_h2_is_accepted() {
        for (negotiated, checked) in [
            (Some(&b"h2"[..]), Ok(())),
            (Some(b"http/1.1"), Err(NotH2(Some("http/1.1".to_owned())))),
            (Some(b"h2c"), Err(NotH2(Some("h2c".to_owned())))),
            (Some(b""), Err(NotH2(Some(String::new())))),
            (None, Err(NotH2(None))),
        ] {
            assert_eq!(check(negotiated), checked);
        }
    }
}
