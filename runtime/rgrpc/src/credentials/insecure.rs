use std::future::ready;

use super::handshake::{ClientHandshake, HandshakeFuture, ServerHandshake};
use crate::io::{Connected, Peer};

/// The handshake of plain text, for both sides. It does nothing.
#[derive(Debug)]
pub(super) struct Insecure;

impl ClientHandshake for Insecure {
    fn scheme(&self) -> &'static str {
        "http"
    }

    fn server_name(&self) -> Option<&str> {
        None
    }

    fn unanswered_hint(&self) -> &'static str {
        "; it may expect TLS, and the channel's credentials are insecure()"
    }

    fn check_host(&self, _: &str, _: &Peer) -> Result<(), String> {
        Ok(())
    }

    fn handshake<'a>(&'a self, connected: Connected, _: &'a str) -> HandshakeFuture<'a> {
        Box::pin(ready(Ok(connected)))
    }
}

impl ServerHandshake for Insecure {
    fn handshake(&self, connected: Connected) -> HandshakeFuture<'_> {
        Box::pin(ready(Ok(connected)))
    }
}
