//! The `:authority` of requests: what RFC 3986, section 3.2, allows, without the userinfo that
//! RFC 9113, section 8.3.1, forbids.
//!
//! Called when a channel is built, on the user's task, and by calls with an authority of their own,
//! on their callers'.

use std::net::Ipv6Addr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that are percent-encoded in an authority: all but unreserved characters,
/// sub-delimiters, and the delimiters that an authority has itself.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'[')
    .remove(b']');

/// The authority that a target has by itself, from what the builder of its resolver says. One that
/// no request may carry even so says nothing to a server, so that `localhost` stands for it.
///
/// Source: grpc-go `ClientConn.initAuthority`, `encodeAuthority`.
pub(crate) fn of_target(authority: &str) -> String {
    let mut encoded = utf8_percent_encode(authority, ENCODED).to_string();
    if encoded.starts_with(':') {
        encoded.insert_str(0, "localhost");
    }
    match host(&encoded) {
        Ok(_) => encoded,
        Err(_) => "localhost".to_owned(),
    }
}

/// The host of an authority, as certificates have it: without the brackets of an IPv6 address.
///
/// The error says what is wrong with the authority.
pub(crate) fn host(authority: &str) -> Result<&str, String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return Err("its [ has no ]".to_owned());
        };
        // A zone would mean nothing to the server.
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(format!("{address:?} is not an IPv6 address"));
        }
        return check_port(port).map(|()| address);
    }
    let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    check_name(host)?;
    check_port(port).map(|()| host)
}

/// A port with its colon, or nothing.
fn check_port(port: &str) -> Result<(), String> {
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
        _ => Err(format!("{port:?} is not a port")),
    }
}

/// Checks a `reg-name` (RFC 3986); an IPv4 address is one.
fn check_name(name: &str) -> Result<(), String> {
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            (byte, _) if is_unreserved(byte) || is_sub_delimiter(byte) => after,
            _ => return Err(format!("{name:?} is not a host name")),
        };
    }
    Ok(())
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn is_sub_delimiter(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_always_has_an_authority_that_can_be_sent() {
        for (authority, expected) in [
            ("host:1", "host:1"),
            ("[::1]:1", "[::1]:1"),
            (":1", "localhost:1"),
            ("services/a b", "services%2Fa%20b"),
            ("a,b;c=~!", "a,b;c=~!"),
            ("user@host", "user%40host"),
            ("100%", "100%25"),
            ("é", "%C3%A9"),
            ("", "localhost"),
            ("a:b:c", "localhost"),
            ("::1", "localhost"),
            ("[a]", "localhost"),
        ] {
            assert_eq!(of_target(authority), expected, "{authority:?}");
        }
    }

    #[test]
    fn a_host_is_found_with_and_without_a_port() {
        for (authority, expected) in [
            ("example.com", "example.com"),
            ("example.com:443", "example.com"),
            ("example.com:", "example.com"),
            ("127.0.0.1:50051", "127.0.0.1"),
            ("[::1]:50051", "::1"),
            ("[::1]", "::1"),
            ("a%20b:1", "a%20b"),
            ("under_score", "under_score"),
        ] {
            assert_eq!(host(authority).as_deref(), Ok(expected), "{authority:?}");
        }
    }

    #[test]
    fn forbidden_request_fields_are_refused() {
        for (authority, problem) in [
            ("", "it has no host"),
            (":443", "it has no host"),
            ("user@host", "not a host name"),
            ("a b", "not a host name"),
            ("a/b", "not a host name"),
            ("a%2", "not a host name"),
            ("a%zz", "not a host name"),
            ("é", "not a host name"),
            ("a\r\nb: c", "not a host name"),
            ("host:http", "not a port"),
            ("host:1:2", "not a port"),
            ("::1", "it has no host"),
            ("[::1", "has no ]"),
            ("[::1]x", "not a port"),
            ("[fe80::1%eth0]", "not an IPv6 address"),
            ("[name]", "not an IPv6 address"),
        ] {
            let error = host(authority).expect_err(authority);
            assert!(error.contains(problem), "{authority:?}: {error}");
        }
    }
}
