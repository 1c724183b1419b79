//! The static table (RFC 7541 appendix A).

use bytes::Bytes;

/// The number of entries. The indices of the dynamic table follow.
pub(super) const LEN: usize = 61;

/// The entries. The first one has the index 1.
const ENTRIES: [(&[u8], &[u8]); LEN] = [
    (b":authority", b""),                   // 1
    (b":method", b"GET"),                   // 2
    (b":method", b"POST"),                  // 3
    (b":path", b"/"),                       // 4
    (b":path", b"/index.html"),             // 5
    (b":scheme", b"http"),                  // 6
    (b":scheme", b"https"),                 // 7
    (b":status", b"200"),                   // 8
    (b":status", b"204"),                   // 9
    (b":status", b"206"),                   // 10
    (b":status", b"304"),                   // 11
    (b":status", b"400"),                   // 12
    (b":status", b"404"),                   // 13
    (b":status", b"500"),                   // 14
    (b"accept-charset", b""),               // 15
    (b"accept-encoding", b"gzip, deflate"), // 16
    (b"accept-language", b""),              // 17
    (b"accept-ranges", b""),                // 18
    (b"accept", b""),                       // 19
    (b"access-control-allow-origin", b""),  // 20
    (b"age", b""),                          // 21
    (b"allow", b""),                        // 22
    (b"authorization", b""),                // 23
    (b"cache-control", b""),                // 24
    (b"content-disposition", b""),          // 25
    (b"content-encoding", b""),             // 26
    (b"content-language", b""),             // 27
    (b"content-length", b""),               // 28
    (b"content-location", b""),             // 29
    (b"content-range", b""),                // 30
    (b"content-type", b""),                 // 31
    (b"cookie", b""),                       // 32
    (b"date", b""),                         // 33
    (b"etag", b""),                         // 34
    (b"expect", b""),                       // 35
    (b"expires", b""),                      // 36
    (b"from", b""),                         // 37
    (b"host", b""),                         // 38
    (b"if-match", b""),                     // 39
    (b"if-modified-since", b""),            // 40
    (b"if-none-match", b""),                // 41
    (b"if-range", b""),                     // 42
    (b"if-unmodified-since", b""),          // 43
    (b"last-modified", b""),                // 44
    (b"link", b""),                         // 45
    (b"location", b""),                     // 46
    (b"max-forwards", b""),                 // 47
    (b"proxy-authenticate", b""),           // 48
    (b"proxy-authorization", b""),          // 49
    (b"range", b""),                        // 50
    (b"referer", b""),                      // 51
    (b"refresh", b""),                      // 52
    (b"retry-after", b""),                  // 53
    (b"server", b""),                       // 54
    (b"set-cookie", b""),                   // 55
    (b"strict-transport-security", b""),    // 56
    (b"transfer-encoding", b""),            // 57
    (b"user-agent", b""),                   // 58
    (b"vary", b""),                         // 59
    (b"via", b""),                          // 60
    (b"www-authenticate", b""),             // 61
];

/// Returns the name and the value of an index of this table.
#[inline]
pub(super) fn get(index: usize) -> Option<(Bytes, Bytes)> {
    let (name, value) = ENTRIES.get(index.checked_sub(1)?)?;
    Some((Bytes::from_static(name), Bytes::from_static(value)))
}

/// Returns a static copy of a name that gRPC often uses and that is not in this table, so that its
/// octets need no allocation.
#[inline]
pub(super) fn frequent_name(name: &[u8]) -> Option<&'static [u8]> {
    const NAMES: [&[u8]; 8] = [
        b"te",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
        b"grpc-status",
        b"grpc-message",
        b"traceparent",
        b"grpc-trace-bin",
    ];
    NAMES.into_iter().find(|&known| known == name)
}

/// The result of looking up a field in the static or a dynamic table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The name and the value are at this index.
    Field(usize),
    /// Only the name is at this index.
    Name(usize),
    /// The name is not in the table.
    None,
}

/// Looks up a field.
#[inline]
pub(super) fn find(name: &[u8], value: &[u8]) -> Match {
    let Some(first) = find_name(name) else {
        return Match::None;
    };
    let same_name = ENTRIES[first - 1..]
        .iter()
        .take_while(|entry| entry.0 == name);
    for (offset, entry) in same_name.enumerate() {
        if entry.1 == value {
            return Match::Field(first + offset);
        }
    }
    Match::Name(first)
}

/// Returns the first index of a name.
fn find_name(name: &[u8]) -> Option<usize> {
    Some(match name {
        b":authority" => 1,
        b":method" => 2,
        b":path" => 4,
        b":scheme" => 6,
        b":status" => 8,
        b"accept-charset" => 15,
        b"accept-encoding" => 16,
        b"accept-language" => 17,
        b"accept-ranges" => 18,
        b"accept" => 19,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"authorization" => 23,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"cookie" => 32,
        b"date" => 33,
        b"etag" => 34,
        b"expect" => 35,
        b"expires" => 36,
        b"from" => 37,
        b"host" => 38,
        b"if-match" => 39,
        b"if-modified-since" => 40,
        b"if-none-match" => 41,
        b"if-range" => 42,
        b"if-unmodified-since" => 43,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"max-forwards" => 47,
        b"proxy-authenticate" => 48,
        b"proxy-authorization" => 49,
        b"range" => 50,
        b"referer" => 51,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"transfer-encoding" => 57,
        b"user-agent" => 58,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_at_its_index() {
        for (offset, (name, value)) in ENTRIES.iter().enumerate() {
            assert_eq!(find(name, value), Match::Field(offset + 1));
            assert_eq!(
                get(offset + 1).as_ref().map(|(name, _)| &name[..]),
                Some(*name)
            );
        }
        assert_eq!(get(0), None);
        assert_eq!(get(LEN + 1), None);
    }

    #[test]
    fn a_name_with_another_value_is_found_by_its_name() {
        assert_eq!(find(b":status", b"201"), Match::Name(8));
        assert_eq!(find(b"content-type", b"application/grpc"), Match::Name(31));
        assert_eq!(find(b"grpc-status", b"0"), Match::None);
    }
}
