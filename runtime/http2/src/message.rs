//! Validation of header lists as HTTP messages (RFC 9113 section 8): pseudo-header fields, the
//! characters of names and values, and the fields that are specific to HTTP/1 connections.
//!
//! A violation makes a message malformed, which is a stream error with PROTOCOL_ERROR (section
//! 8.1.1). The caller checks the further rules of gRPC: the method, the content-type, `te`.

use super::hpack::Field;

/// The kind of header list that the state of a stream permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The head of a request, on a server.
    Request,
    /// The head of a response, informational or final, on a client.
    Response,
    /// The trailers.
    Trailers,
}

/// The kind of a well-formed header list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// The head of a request.
    Request,
    /// The head of a final response.
    Response,
    /// An informational response, with a status of 1xx. There may be several before the final one.
    Informational,
    /// The trailers of a request or a response.
    Trailers,
}

/// The properties of a well-formed header list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadInfo {
    /// The kind of the list.
    pub(super) kind: HeadKind,
    /// The content-length, if it applies to the content of the message.
    pub(super) content_length: Option<u64>,
}

/// The reason why a header list is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Validates a header list.
pub(super) fn check(fields: &[Field], expected: Expected) -> Result<HeadInfo, Malformed> {
    let mut pseudo = PseudoFields::default();
    let mut content_length = None;
    let mut regular_seen = false;
    for field in fields {
        let (name, value) = (&field.name[..], &field.value[..]);
        if let Some(defect) = field.defect {
            return Err(Malformed(defect.reason()));
        }
        if let Some(b':') = name.first() {
            if regular_seen {
                return Err(Malformed("pseudo-header field after a regular field"));
            }
            pseudo.add(name, value, expected)?;
            continue;
        }
        regular_seen = true;
        match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
            | b"upgrade" => return Err(Malformed("connection-specific field")),
            b"te" if !value.eq_ignore_ascii_case(b"trailers") => {
                return Err(Malformed("te other than trailers"));
            }
            b"content-length" => {
                let length = parse_length(value)?;
                if content_length.is_some_and(|other| other != length) {
                    return Err(Malformed("content-lengths that differ"));
                }
                content_length = Some(length);
            }
            _ => {}
        }
    }
    let kind = pseudo.kind(expected)?;
    if pseudo.has_no_content() || kind == HeadKind::Trailers {
        content_length = None;
    }
    Ok(HeadInfo {
        kind,
        content_length,
    })
}

fn parse_length(value: &[u8]) -> Result<u64, Malformed> {
    let error = Malformed("content-length that is not a number");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(error);
    }
    let text = std::str::from_utf8(value).map_err(|_| error)?;
    text.parse().map_err(|_| error)
}

/// The pseudo-header fields of a list (section 8.3).
#[derive(Default)]
struct PseudoFields<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
}

impl<'a> PseudoFields<'a> {
    fn add(
        &mut self,
        name: &'a [u8],
        value: &'a [u8],
        expected: Expected,
    ) -> Result<(), Malformed> {
        let place = match (expected, name) {
            (Expected::Trailers, _) => return Err(Malformed("pseudo-header field in trailers")),
            (Expected::Request, b":method") => &mut self.method,
            (Expected::Request, b":scheme") => &mut self.scheme,
            (Expected::Request, b":path") => &mut self.path,
            (Expected::Request, b":authority") => &mut self.authority,
            (Expected::Response, b":status") => &mut self.status,
            _ => return Err(Malformed("undefined pseudo-header field")),
        };
        if place.replace(value).is_some() {
            return Err(Malformed("duplicate pseudo-header field"));
        }
        Ok(())
    }

    fn kind(&self, expected: Expected) -> Result<HeadKind, Malformed> {
        match expected {
            Expected::Trailers => Ok(HeadKind::Trailers),
            Expected::Request => self.request(),
            Expected::Response => self.response(),
        }
    }

    /// Checks the fields of a request (sections 8.3.1 and 8.5).
    fn request(&self) -> Result<HeadKind, Malformed> {
        let complete = match (self.method, self.scheme, self.path) {
            (Some(b"CONNECT"), None, None) => self.authority.is_some(),
            (Some(b"CONNECT"), _, _) => false,
            (Some(_), Some(_), Some(path)) => !path.is_empty(),
            _ => false,
        };
        if complete {
            Ok(HeadKind::Request)
        } else {
            Err(Malformed("request without a required pseudo-header field"))
        }
    }

    /// Checks the fields of a response (section 8.3.2).
    fn response(&self) -> Result<HeadKind, Malformed> {
        match self.status {
            // Section 8.6: HTTP/2 does not support the upgrade that 101 announces.
            Some(b"101") => Err(Malformed("status 101")),
            Some([b'1', b'0'..=b'9', b'0'..=b'9']) => Ok(HeadKind::Informational),
            Some([b'2'..=b'9', b'0'..=b'9', b'0'..=b'9']) => Ok(HeadKind::Response),
            Some(_) => Err(Malformed("invalid status")),
            None => Err(Malformed("response without a status")),
        }
    }

    /// Returns `true` if a response with this status has no content, whatever its content-length.
    fn has_no_content(&self) -> bool {
        matches!(self.status, Some(b"204" | b"304" | [b'1', ..]))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::hpack::Defect;

    fn list(fields: &[(&'static str, &'static str)]) -> Vec<Field> {
        fields
            .iter()
            .map(|&(name, value)| Field {
                name: Bytes::from_static(name.as_bytes()),
                value: Bytes::from_static(value.as_bytes()),
                never_indexed: false,
                defect: None,
            })
            .collect()
    }

    const REQUEST: [(&str, &str); 4] = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/s/m"),
        (":authority", "a"),
    ];

    fn request_and(more: &[(&'static str, &'static str)]) -> Result<HeadInfo, Malformed> {
        check(&list(&[&REQUEST[..], more].concat()), Expected::Request)
    }

    fn request_without(name: &str) -> Result<HeadInfo, Malformed> {
        let fields: Vec<_> = REQUEST.iter().copied().filter(|f| f.0 != name).collect();
        check(&list(&fields), Expected::Request)
    }

    fn reason(result: Result<HeadInfo, Malformed>) -> &'static str {
        result.map_or_else(|malformed| malformed.0, |_| "well-formed")
    }

    #[test]
    fn a_request_needs_its_pseudo_header_fields_once() {
        assert_eq!(reason(request_and(&[])), "well-formed");
        assert_eq!(reason(request_without(":authority")), "well-formed");
        for name in [":method", ":scheme", ":path"] {
            assert_eq!(
                reason(request_without(name)),
                "request without a required pseudo-header field"
            );
        }
        for field in REQUEST {
            assert_eq!(
                reason(request_and(&[field])),
                "duplicate pseudo-header field"
            );
        }
    }

    #[test]
    fn connect_has_an_authority_and_neither_scheme_nor_path() {
        let connect = |fields: &[(&'static str, &'static str)]| {
            check(&list(fields), Expected::Request).is_ok()
        };
        assert!(connect(&[(":method", "CONNECT"), (":authority", "a:1")]));
        assert!(!connect(&[(":method", "CONNECT")]));
        assert!(!connect(&[
            (":method", "CONNECT"),
            (":authority", "a:1"),
            (":scheme", "http"),
            (":path", "/")
        ]));
    }

    #[test]
    fn a_request_with_a_forbidden_field_is_malformed() {
        let table: [(&[(&str, &str)], &str); 10] = [
            (
                &[("a", "b"), (":path", "/")],
                "pseudo-header field after a regular field",
            ),
            (&[(":status", "200")], "undefined pseudo-header field"),
            (&[(":protocol", "x")], "undefined pseudo-header field"),
            (&[("connection", "close")], "connection-specific field"),
            (
                &[("transfer-encoding", "chunked")],
                "connection-specific field",
            ),
            (&[("te", "gzip")], "te other than trailers"),
            (&[("te", "trailers, deflate")], "te other than trailers"),
            (
                &[("content-length", "+1")],
                "content-length that is not a number",
            ),
            (
                &[("content-length", "")],
                "content-length that is not a number",
            ),
            (
                &[("content-length", "1"), ("content-length", "2")],
                "content-lengths that differ",
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(reason(request_and(fields)), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_request_may_have_te_trailers_and_a_content_length() {
        let info = request_and(&[("te", "trailers"), ("content-length", "10")]);
        assert_eq!(info.map(|info| info.content_length), Ok(Some(10)));
    }

    #[test]
    fn a_field_with_a_defect_is_malformed_in_every_list() {
        for expected in [Expected::Request, Expected::Response, Expected::Trailers] {
            let mut fields = list(&[("a", "b")]);
            fields[0].defect = Some(Defect::UpperCaseName);
            let reason = reason(check(&fields, expected));
            assert_eq!(reason, "field name with an upper-case letter");
        }
    }

    #[test]
    fn a_response_has_one_status() {
        let response = |fields: &[(&'static str, &'static str)]| {
            check(&list(fields), Expected::Response).map(|info| info.kind)
        };
        assert_eq!(response(&[(":status", "200")]), Ok(HeadKind::Response));
        assert_eq!(response(&[(":status", "503")]), Ok(HeadKind::Response));
        assert_eq!(response(&[(":status", "100")]), Ok(HeadKind::Informational));
        let malformed: [&[(&str, &str)]; 7] = [
            &[],
            &[(":status", "")],
            &[(":status", "20")],
            &[(":status", "2000")],
            &[(":status", "abc")],
            &[(":status", "101")],
            &[(":status", "200"), (":status", "200")],
        ];
        for fields in malformed {
            assert!(response(fields).is_err(), "{fields:?}");
        }
        assert!(response(&[(":status", "200"), (":path", "/")]).is_err());
    }

    #[test]
    fn the_content_length_of_a_response_without_content_is_ignored() {
        for status in ["103", "204", "304"] {
            let fields = list(&[(":status", status), ("content-length", "5")]);
            let info = check(&fields, Expected::Response);
            assert_eq!(info.map(|info| info.content_length), Ok(None));
        }
    }

    #[test]
    fn trailers_have_no_pseudo_header_fields() {
        let trailers = |fields: &[(&'static str, &'static str)]| {
            check(&list(fields), Expected::Trailers).map(|info| info.kind)
        };
        assert_eq!(trailers(&[("grpc-status", "0")]), Ok(HeadKind::Trailers));
        assert_eq!(trailers(&[]), Ok(HeadKind::Trailers));
        assert!(trailers(&[(":status", "200")]).is_err());
        assert!(trailers(&[("grpc-status", "0"), (":path", "/")]).is_err());
    }
}
