//! What a client says in `grpc-accept-encoding`, and what follows from it.

/// The encodings in the values of `grpc-accept-encoding`, in their order. What is not text is none.
pub(crate) fn accepted<'a>(
    values: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = &'a str> {
    values
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// Whether a call that came compressed by `encoding` is answered by it too, where the handler says
/// nothing: yes, unless the client has said what it accepts and this is not among it.
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
    fn what_is_not_text_is_no_encoding() {
        let values: [&[u8]; 2] = [b"\xff", b"gzip"];
        assert_eq!(accepted(values.into_iter()).collect::<Vec<_>>(), ["gzip"]);
    }

    #[test]
    fn a_call_is_answered_as_it_came_unless_the_client_does_not_accept_that() {
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
