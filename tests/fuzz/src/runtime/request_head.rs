//! The head of a request: let through only when it is one of gRPC.

use std::time::Duration;

use super::Choices;
use crate::metadata::is_reserved;
use crate::transport::{HeadWithTimeout, RequestParser};

const NAMES: &[&str] = &[
    ":authority",
    ":method",
    ":path",
    "content-type",
    "grpc-encoding",
    "grpc-timeout",
    "host",
    "te",
    "user-agent",
    "x-a",
    "x-bin",
];

/// Fields of the protocol that a handler is shown.
const SHOWN: &[&str] = &[
    ":authority",
    "content-type",
    "grpc-accept-encoding",
    "grpc-previous-rpc-attempts",
    "user-agent",
];

/// Takes the octets as the fields of a request.
pub fn request_head(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut fields = Vec::new();
    if choices.flag() {
        // Most checks come after these.
        fields.push((":method".into(), "POST".into()));
        fields.push(("content-type".into(), "application/grpc".into()));
    }
    fields.extend(choices.fields(NAMES));

    let mut parser = RequestParser::default();
    for (name, value) in &fields {
        parser.field(name.clone(), value.clone());
    }
    let all = |name: &str| -> Vec<_> {
        let values = fields.iter().filter(|field| field.0 == name);
        values.map(|(_, value)| value).collect()
    };
    match parser.finish() {
        Ok(HeadWithTimeout { head, timeout }) => {
            assert_eq!(
                all(":method").last().map(|method| &method[..]),
                Some(&b"POST"[..])
            );
            assert!(all(":authority").len() <= 1 && all("host").len() <= 1);
            assert!(
                all(":path")
                    .last()
                    .is_none_or(|path| String::from_utf8_lossy(path) == *head.path)
            );
            let content_type = all("content-type");
            let content_type = content_type.last().expect("gRPC has one");
            assert!(content_type.starts_with(b"application/grpc"));
            assert!(content_type.ends_with(&head.content_subtype));
            assert_ne!(timeout, Some(Duration::ZERO));
            assert_eq!(timeout.is_some(), !all("grpc-timeout").is_empty());
            for (key, _) in head.metadata.iter() {
                assert!(
                    !is_reserved(key.as_bytes()) || SHOWN.contains(&key),
                    "{key}"
                );
            }
        }
        Err(rejection) => {
            assert!(matches!(rejection.http_status(), 200 | 400 | 405 | 415));
            assert!(!rejection.status().message().is_empty());
        }
    }
}
