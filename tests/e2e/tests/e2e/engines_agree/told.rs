//! The events that either side saw, a line of text each.

use std::fmt::Debug;

use rgrpc::{Metadata, Response, Status};
use rgrpc_e2e::Message;

fn tell(told: &mut Vec<String>, what: &str, value: impl Debug) {
    told.push(format!("{what}: {value:?}"));
}

/// Describes a message by its length and a checksum of its octets and their places.
pub(super) fn tell_message(told: &mut Vec<String>, what: &str, message: &Message) {
    let add = |sum: u64, octet: &u8| sum.wrapping_mul(31).wrapping_add(u64::from(*octet));
    let sum = message.body.iter().fold(0, add);
    tell(told, what, (message.body.len(), sum));
}

/// The metadata that the test has set.
pub(super) fn tell_metadata(told: &mut Vec<String>, what: &str, metadata: &Metadata) {
    let own = metadata.iter().filter(|(key, _)| key.starts_with("x-"));
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(|(key, _)| *key);
    tell(told, what, own);
}

pub(super) fn tell_status(told: &mut Vec<String>, status: &Status) {
    tell(
        told,
        "status",
        (status.code(), status.message(), status.details()),
    );
    tell_metadata(told, "trailer", status.metadata());
}

pub(super) fn tell_response(told: &mut Vec<String>, response: Result<Response<Message>, Status>) {
    match response {
        Ok(response) => {
            tell_metadata(told, "header", response.metadata());
            tell_message(told, "response", response.message());
            tell_metadata(told, "trailer", response.trailer());
        }
        Err(status) => tell_status(told, &status),
    }
}
