//! The status at the end of a call, read as a peer that is not rgrpc would.

use crate::header_list::HeaderList;

/// Trailers, or the one header block of a trailers-only response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailers {
    /// `grpc-status`.
    pub code: u32,
    /// `grpc-message`, percent-decoded; empty if it is missing.
    pub message: String,
    /// All fields.
    pub fields: HeaderList,
}

impl Trailers {
    /// Reads the status.
    ///
    /// # Errors
    ///
    /// A text that says what is wrong: `grpc-status` is missing, repeated or no number, or
    /// `grpc-message` is repeated or breaks the percent-encoding of gRPC.
    pub fn parse(fields: &HeaderList) -> Result<Self, String> {
        let code = only(fields, "grpc-status")?.ok_or("no grpc-status")?;
        let code = code
            .parse()
            .map_err(|_| format!("grpc-status is {code:?}"))?;
        let message = percent_decode(only(fields, "grpc-message")?.unwrap_or_default())?;
        Ok(Self {
            code,
            message,
            fields: fields.clone(),
        })
    }
}

fn only<'a>(fields: &'a HeaderList, name: &str) -> Result<Option<&'a str>, String> {
    match fields.get_all(name)[..] {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        _ => Err(format!("{name} more than once")),
    }
}

/// The strict inverse of the encoding: a judge of senders forgives no broken escape.
fn percent_decode(text: &str) -> Result<String, String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'%' => {
                let octet = rest
                    .get(..2)
                    .and_then(|digits| std::str::from_utf8(digits).ok())
                    .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or_else(|| format!("grpc-message {text:?} has a broken escape"))?;
                decoded.push(octet);
                rest = &rest[2..];
            }
            0x20..=0x7e => decoded.push(octet),
            _ => return Err(format!("grpc-message {text:?} is not percent-encoded")),
        }
    }
    String::from_utf8(decoded).map_err(|_| format!("grpc-message {text:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &[(&str, &str)]) -> Result<Trailers, String> {
        Trailers::parse(&fields.iter().copied().collect())
    }

    #[test]
    fn message_is_percent_decoded() {
        for (encoded, decoded) in [
            ("", ""),
            ("plain text", "plain text"),
            ("100%25 caf%C3%A9%0A", "100% café\n"),
        ] {
            let trailers = parse(&[("grpc-status", "13"), ("grpc-message", encoded)]).unwrap();
            assert_eq!((trailers.code, trailers.message.as_str()), (13, decoded));
        }
    }

    #[test]
    fn broken_trailers_are_refused() {
        for fields in [
            &[][..],
            &[("grpc-status", "")],
            &[("grpc-status", "zero")],
            &[("grpc-status", "0"), ("grpc-status", "0")],
            &[("grpc-status", "2"), ("grpc-message", "50%")],
            &[("grpc-status", "2"), ("grpc-message", "%+1")],
            &[("grpc-status", "2"), ("grpc-message", "café")],
            &[("grpc-status", "2"), ("grpc-message", "%FF")],
        ] {
            assert!(parse(fields).is_err(), "{fields:?}");
        }
    }
}
