//! An ordered list of header fields as on the wire: duplicates, order and odd bytes are kept.

use std::fmt;

use bytes::Bytes;

/// Header fields in wire order; names and values are bytes, because a test may send any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderList(Vec<(Bytes, Bytes)>);

impl HeaderList {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a field of any name and value.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.push((
            Bytes::copy_from_slice(name.as_ref()),
            Bytes::copy_from_slice(value.as_ref()),
        ));
    }

    /// The value of the first field of this name.
    ///
    /// # Panics
    ///
    /// If the value is not UTF-8; [`get_bytes`](Self::get_bytes) takes any.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_bytes(name).map(|value| text(name, value))
    }

    /// The value of the first field of this name, as bytes.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The values of all fields of this name, in wire order.
    ///
    /// # Panics
    ///
    /// If one of them is not UTF-8.
    pub fn get_all(&self, name: &str) -> Vec<&str> {
        self.values(name).map(|value| text(name, value)).collect()
    }

    /// Returns whether the list has a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get_bytes(name).is_some()
    }

    /// The names in wire order, lossily as text, for tests of field order.
    pub fn names(&self) -> Vec<String> {
        self.iter()
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    /// The fields in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&name[..], &value[..]))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter()
            .filter(move |(candidate, _)| *candidate == name.as_bytes())
            .map(|(_, value)| value)
    }
}

fn text<'a>(name: &str, value: &'a [u8]) -> &'a str {
    std::str::from_utf8(value).unwrap_or_else(|_| {
        panic!(
            "{name} is not UTF-8: {:?}",
            value.escape_ascii().to_string()
        )
    })
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for HeaderList {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut list = Self::new();
        for (name, value) in fields {
            list.push(name, value);
        }
        list
    }
}

/// One `name: value` line a field, as a transcript shows it.
impl fmt::Display for HeaderList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}", name.escape_ascii(), value.escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_fields_keep_their_order() {
        let list: HeaderList = [("a", "1"), ("b", "2"), ("a", "3")].into_iter().collect();
        assert_eq!(list.get("a"), Some("1"));
        assert_eq!(list.get_all("a"), ["1", "3"]);
        assert_eq!(list.names(), ["a", "b", "a"]);
        assert_eq!(list.get("c"), None);
    }

    #[test]
    fn names_are_compared_byte_for_byte() {
        let list: HeaderList = [("Grpc-Status", "0")].into_iter().collect();
        assert!(!list.contains("grpc-status"));
    }
}
