//! Metadata and status texts: what came off the wire goes back on it as it was.

use bytes::Bytes;

use super::Choices;
use crate::metadata::{Metadata, decode_values, encode_value, is_reserved};
use crate::status::{decode_message, encode_message};

const NAMES: &[&str] = &[
    "x-a",
    "x-bin",
    "grpc-trace-bin",
    "grpc-status",
    "X-A",
    "-bin",
];

/// Takes the octets as fields, and each value as a status text.
pub fn metadata(data: &[u8]) {
    let fields = Choices::new(data).fields(NAMES);
    let (mut received, mut own) = (Metadata::new(), Metadata::new());
    for (name, value) in fields {
        status_text(&value);
        binary_value(&value);
        add(&mut own, name.clone(), value.clone());
        if !is_field_name(&name) {
            continue;
        }
        let before = received.len();
        match received.append_from_wire(name.clone(), value) {
            Ok(()) => assert!(received.len() > before),
            Err(_) => assert!(name.ends_with(b"-bin"), "{name:?} was refused"),
        }
    }
    assert_eq!(
        received.wire_fields().count(),
        0,
        "nobody has said that it is sent on"
    );
    received.forward_all();
    survives(received.without_received());
    survives(own);
}

/// Returns whether HTTP/2 allows a name; other names are rejected earlier.
fn is_field_name(name: &[u8]) -> bool {
    let legal =
        |octet: &u8| octet.is_ascii_graphic() && !octet.is_ascii_uppercase() && *octet != b':';
    !name.is_empty() && name.iter().all(legal)
}

/// Adds a value as a user, and checks that an accepted one can be sent.
fn add(own: &mut Metadata, name: Bytes, value: Bytes) {
    let before = own.len();
    if own.append(name.clone(), value).is_err() {
        assert_eq!(own.len(), before);
        return;
    }
    let (key, value) = own.iter().last().expect("one was added");
    assert!(key.as_bytes().eq_ignore_ascii_case(&name));
    assert!(!key.is_empty() && !is_reserved(key.as_bytes()));
    assert!(!key.bytes().any(|octet| octet.is_ascii_uppercase()));
    assert!(key.ends_with("-bin") || value.iter().all(|octet| matches!(octet, b' '..=b'~')));
}

/// Checks that sent metadata is received unchanged, except for the protocol's own fields.
fn survives(metadata: Metadata) {
    let mut again = Metadata::new();
    for (name, value) in metadata.wire_fields() {
        assert!(!is_reserved(&name), "{name:?} was sent");
        again
            .append_from_wire(name, value)
            .expect("a field of ours");
    }
    let others = metadata
        .iter()
        .filter(|(key, _)| !is_reserved(key.as_bytes()));
    assert!(again.iter().eq(others), "{metadata:?} became {again:?}");
}

fn binary_value(value: &[u8]) {
    let encoded = encode_value(value);
    let decoded: Vec<_> = decode_values(&encoded).collect();
    assert_eq!(decoded, [Some(Bytes::copy_from_slice(value))]);
}

fn status_text(value: &[u8]) {
    let text = decode_message(value);
    assert!(text.len() <= 3 * value.len(), "U+FFFD has three octets");
    let encoded = encode_message(&text);
    assert!(encoded.bytes().all(|octet| matches!(octet, b' '..=b'~')));
    assert_eq!(decode_message(encoded.as_bytes()), text);
}
