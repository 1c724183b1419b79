//! The five bytes before every message on the wire ("PROTOCOL-HTTP2", Length-Prefixed-Message):
//! what codecs frame messages with, and what tells a transport how long one is.

/// One flag byte and four bytes of length.
pub(crate) const PREFIX_LEN: usize = 5;

/// A message's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) compressed: bool,
    pub(crate) len: u32,
}

impl Prefix {
    /// Reads the five bytes; `None` when the flag is neither 0 nor 1.
    pub(crate) fn parse(bytes: [u8; PREFIX_LEN]) -> Option<Self> {
        let [flag, length @ ..] = bytes;
        let compressed = match flag {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self {
            compressed,
            len: u32::from_be_bytes(length),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flags_0_and_1_are_known() {
        assert_eq!(
            Prefix::parse([1, 0, 0, 1, 2]),
            Some(Prefix {
                compressed: true,
                len: 258
            })
        );
        assert_eq!(Prefix::parse([2, 0, 0, 0, 0]), None);
    }
}
