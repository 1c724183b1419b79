//! Forbidden octets in fields (RFC 9113 section 8.2.1).
//!
//! The decoder checks a string once and stores the result with the table's entry, so that indexed
//! fields are not checked again.

/// The defect of a malformed field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The name is empty.
    EmptyName,
    /// The name contains an upper-case letter.
    UpperCaseName,
    /// The name contains a control character, white space, a colon after its first octet, or an
    /// octet that is not ASCII.
    NameOctet,
    /// The value contains NUL, CR or LF.
    ///
    /// White space around a value, which the RFC also forbids, is accepted, because gRPC allows
    /// receivers to strip it.
    ValueOctet,
}

impl Defect {
    /// Returns a description for error texts.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::EmptyName => "field without a name",
            Self::UpperCaseName => "field name with an upper-case letter",
            Self::NameOctet => "field name with a forbidden octet",
            Self::ValueOctet => "field value with NUL, CR or LF",
        }
    }

    /// Checks a name.
    pub(super) fn of_name(name: &[u8]) -> Option<Self> {
        let Some(&first) = name.first() else {
            return Some(Self::EmptyName);
        };
        let rest = if first == b':' { &name[1..] } else { name };
        let classes = rest
            .iter()
            .fold(0, |classes, &octet| classes | class(octet));
        if classes & UPPER_CASE != 0 {
            Some(Self::UpperCaseName)
        } else if classes & FORBIDDEN != 0 {
            Some(Self::NameOctet)
        } else {
            None
        }
    }

    /// Checks a value.
    pub(super) fn of_value(value: &[u8]) -> Option<Self> {
        let bad = value.iter().fold(false, |bad, &octet| {
            bad | (octet == b'\0') | (octet == b'\r') | (octet == b'\n')
        });
        bad.then_some(Self::ValueOctet)
    }
}

const UPPER_CASE: u8 = 1;
const FORBIDDEN: u8 = 2;

/// Returns the class of an octet in a name, or 0 if it is allowed.
const fn class(octet: u8) -> u8 {
    match octet {
        b'A'..=b'Z' => UPPER_CASE,
        0..=b' ' | 0x7f.. | b':' => FORBIDDEN,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_tokens() {
        let table: [(&[u8], Option<Defect>); 9] = [
            (b"grpc-status", None),
            (b":path", None),
            (b"x_1.2~", None),
            (b"", Some(Defect::EmptyName)),
            (b"Name", Some(Defect::UpperCaseName)),
            (b"a name", Some(Defect::NameOctet)),
            (b"a:b", Some(Defect::NameOctet)),
            (b"a\x7f", Some(Defect::NameOctet)),
            ("ä".as_bytes(), Some(Defect::NameOctet)),
        ];
        for (name, defect) in table {
            assert_eq!(Defect::of_name(name), defect, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn values_contain_no_nul_cr_or_lf() {
        for value in [&b""[..], b" value ", b"\xff\t\x01"] {
            assert_eq!(Defect::of_value(value), None);
        }
        for value in [&b"\0"[..], b"a\rb", b"a\n"] {
            assert_eq!(Defect::of_value(value), Some(Defect::ValueOctet));
        }
    }
}
