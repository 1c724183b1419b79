//! The parser of a request's header fields, on a server. Its result is a typed head or a typed
//! rejection. An engine calls it on the connection's task.
//!
//! The checks and their answers are grpc-go's (`http2_server.go`, `operateHeaders`), in its order.

use std::time::Duration;

use bytes::Bytes;

use super::timeout::parse_timeout;
use super::{HeadWithTimeout, Rejection, RequestHead};
use crate::metadata::{Metadata, MetadataError, is_reserved};

/// Collects the fields of a request. Each engine adds the fields that it has decoded.
#[derive(Debug, Default)]
pub(crate) struct RequestParser {
    method: Bytes,
    path: Bytes,
    authority: Option<Bytes>,
    authorities: usize,
    host: Option<Bytes>,
    hosts: usize,
    content_type: Option<Bytes>,
    timeout: Option<Bytes>,
    encoding: Option<Bytes>,
    metadata: Metadata,
    malformed: Option<MetadataError>,
}

impl RequestParser {
    /// Adds a field. `name` is in lower case, and pseudo-header fields have their colon.
    pub(crate) fn field(&mut self, name: Bytes, value: Bytes) {
        match &*name {
            b":method" => self.method = value,
            b":path" => self.path = value,
            b":authority" => {
                self.authorities += 1;
                self.authority = Some(value);
            }
            b"host" => {
                self.hosts += 1;
                self.host = Some(value);
            }
            b"content-type" => {
                self.content_type = Some(value.clone());
                self.show(name, value);
            }
            b"grpc-timeout" => self.timeout = Some(value),
            b"grpc-encoding" => self.encoding = Some(value),
            b"user-agent" | b"grpc-accept-encoding" | b"grpc-previous-rpc-attempts" => {
                self.show(name, value);
            }
            reserved if is_reserved(reserved) => {}
            _ => self.show(name, value),
        }
    }

    /// Returns the head, or the rejection of the request.
    pub(crate) fn finish(mut self) -> Result<HeadWithTimeout<RequestHead>, Rejection> {
        let Self {
            authorities, hosts, ..
        } = self;
        if authorities > 1 || hosts > 1 {
            return Err(Rejection::Authorities { authorities, hosts });
        }
        let Some(content_subtype) = self.content_type.as_ref().and_then(content_subtype) else {
            return Err(Rejection::ContentType(self.content_type));
        };
        if let Some(error) = self.malformed {
            return Err(Rejection::Metadata(error));
        }
        let timeout = match self.timeout {
            None => None,
            Some(value) => Some(parse_timeout(&value).ok_or(Rejection::Timeout(value))?),
        };
        if self.method != "POST" {
            return Err(Rejection::Method(self.method));
        }
        if timeout == Some(Duration::ZERO) {
            return Err(Rejection::DeadlineExceeded);
        }
        if let Some(authority) = self.authority.or(self.host) {
            // Cannot fail: it is not a `-bin` key.
            let _ = self
                .metadata
                .append_from_wire(Bytes::from_static(b":authority"), authority);
        }
        let head = RequestHead {
            // A path that is not UTF-8 matches no method, and is shown as far as it can be.
            path: String::from_utf8_lossy(&self.path).into(),
            metadata: self.metadata,
            content_subtype,
            encoding: self.encoding,
        };
        Ok(HeadWithTimeout { head, timeout })
    }

    fn show(&mut self, name: Bytes, value: Bytes) {
        if let Err(error) = self.metadata.append_from_wire(name, value) {
            self.malformed = Some(error);
        }
    }
}

/// Returns the content subtype: the part after `application/grpc+`. It is empty for plain
/// `application/grpc` with or without parameters. Returns `None` for a content-type that is not
/// gRPC's.
pub(super) fn content_subtype(content_type: &Bytes) -> Option<Bytes> {
    let rest = content_type.strip_prefix(b"application/grpc")?;
    match rest.first() {
        None | Some(b';') => Some(Bytes::new()),
        Some(b'+') => Some(content_type.slice_ref(&rest[1..])),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    type Fields<'a> = &'a [(&'static str, &'static str)];

    const VALID: Fields<'_> = &[
        (":method", "POST"),
        (":path", "/s/m"),
        (":authority", "host:1"),
        ("content-type", "application/grpc"),
    ];

    /// The valid request, with these fields in place of its own of the same name.
    fn received(fields: Fields<'_>) -> Result<HeadWithTimeout<RequestHead>, Rejection> {
        let mut parser = RequestParser::default();
        let own = VALID
            .iter()
            .filter(|(name, _)| fields.iter().all(|(other, _)| name != other));
        for (name, value) in own.chain(fields).filter(|(_, value)| *value != "absent") {
            parser.field(
                Bytes::from_static(name.as_bytes()),
                Bytes::from_static(value.as_bytes()),
            );
        }
        parser.finish()
    }

    fn parse(fields: Fields<'_>) -> Result<RequestHead, Rejection> {
        received(fields).map(|received| received.head)
    }

    #[test]
    fn malformed_requests_get_grpc_gos_answers() {
        for (fields, http_status, code) in [
            (
                &[(":authority", "a"), (":authority", "b")][..],
                400,
                Code::Internal,
            ),
            (&[("host", "a"), ("host", "b")], 400, Code::Internal),
            (&[("content-type", "absent")], 415, Code::InvalidArgument),
            (&[("content-type", "text/html")], 415, Code::InvalidArgument),
            (
                &[("content-type", "application/grpcfoo")],
                415,
                Code::InvalidArgument,
            ),
            (&[("grpc-timeout", "soon")], 400, Code::Internal),
            (&[("x-bin", "!")], 400, Code::Internal),
            (&[(":method", "PUT")], 405, Code::Internal),
            (&[("grpc-timeout", "0n")], 200, Code::DeadlineExceeded),
            // The first check that fails answers.
            (
                &[(":method", "GET"), ("content-type", "text/html")],
                415,
                Code::InvalidArgument,
            ),
        ] {
            let rejection = parse(fields).expect_err("malformed");
            assert_eq!(rejection.http_status(), http_status, "{fields:?}");
            assert_eq!(rejection.status().code(), code, "{fields:?}");
        }
    }

    #[test]
    fn content_types_of_grpc_are_accepted_with_their_subtype() {
        for (content_type, subtype) in [
            ("application/grpc", ""),
            ("application/grpc+proto", "proto"),
            ("application/grpc+json", "json"),
            ("application/grpc;charset=utf-8", ""),
        ] {
            let head = parse(&[("content-type", content_type)]).expect(content_type);
            assert_eq!(head.content_subtype, subtype);
        }
    }

    #[test]
    fn host_stands_in_for_authority_and_gives_way_to_it() {
        let head = parse(&[(":authority", "absent"), ("host", "h")]).expect("valid");
        assert_eq!(head.metadata.get(":authority"), Some("h"));
        let head = parse(&[("host", "h")]).expect("valid");
        assert_eq!(head.metadata.get(":authority"), Some("host:1"));
        assert_eq!(head.metadata.get("host"), None);
    }

    #[test]
    fn handlers_see_user_metadata_and_not_the_protocols() {
        let HeadWithTimeout { head, timeout } = received(&[
            ("te", "trailers"),
            ("grpc-timeout", "3S"),
            ("user-agent", "ua"),
            ("x-a", "1"),
            ("x-a", "2"),
        ])
        .expect("valid");
        assert_eq!(timeout, Some(Duration::from_secs(3)));
        assert_eq!(head.metadata.get("te"), None);
        assert_eq!(head.metadata.get("grpc-timeout"), None);
        assert_eq!(head.metadata.get("user-agent"), Some("ua"));
        assert_eq!(
            head.metadata.get_all("x-a").collect::<Vec<_>>(),
            [b"1", b"2"]
        );
    }
}
