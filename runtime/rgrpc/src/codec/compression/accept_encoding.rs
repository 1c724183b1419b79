//! The compressors that a client accepts: the values of `grpc-accept-encoding`.
//!
//! Called for a server's call, on its task.

/// Returns the encodings in the values of `grpc-accept-encoding`, in their order. Values that are
/// not text are skipped.
pub(crate) fn accepted<'a>(
    values: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = &'a str> {
    values
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// Returns whether the response to a call is compressed by the request's `encoding`, when the
/// handler sets no compressor. It is, unless the client names the encodings that it accepts and
/// `encoding` is not among them.
///
/// Source: `doc/compression.md`, "Compression Method Asymmetry Between Peers"; grpc-go, which does
/// not look at what the client accepts.
pub(crate) fn is_answered_alike<'a>(
    encoding: &str,
    accepted: impl Iterator<Item = &'a str>,
) -> bool {
    let mut accepted = accepted.peekable();
    accepted.peek().is_none() || accepted.any(|other| other == encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(values: &'a [&'a str]) -> Vec<&'a str> {
        accepted(values.iter().map(|value| value.as_bytes())).collect()
    }

    #[test]
    fn the_encodings_of_all_fields_are_one_list() {
        for (values, expected) in [
            (&[][..], &[][..]),
            (&[""], &[]),
            (&["gzip"], &["gzip"]),
            (&["identity,deflate,gzip"], &["identity", "deflate", "gzip"]),
            (&["identity, gzip ,"], &["identity", "gzip"]),
            (&["a,b", "c"], &["a", "b", "c"]),
            (&[" , ,"], &[]),
        ] {
            assert_eq!(parse(values), expected, "{values:?}");
        }
    }

    #[test]
    fn values_that_are_not_text_are_skipped() {
        let values: [&[u8]; 2] = [b"\xff", b"gzip"];
        assert_eq!(accepted(values.into_iter()).collect::<Vec<_>>(), ["gzip"]);
    }

    #[test]
    fn a_response_has_the_encoding_of_the_request_unless_the_client_does_not_accept_it() {
        for (accepted, alike) in [
            (&[][..], true),
            (&["gzip"], true),
            (&["identity", "gzip"], true),
            (&["identity"], false),
            (&["deflate", "x-gzip"], false),
        ] {
            let answer = is_answered_alike("gzip", accepted.iter().copied());
            assert_eq!(answer, alike, "{accepted:?}");
        }
    }
}
