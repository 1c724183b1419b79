//! Metadata: the ordered list of keys and values that a call sends before and after its messages.
//!
//! `rules` checks users' keys and values, `binary` has the base64 of `-bin` keys, `pairs` the
//! constructors, `received` the forwarding of received values, and `encoded` the form of header
//! fields for proxies and tools. Used by both sides, on the tasks of calls and connections.

mod binary;
mod encoded;
mod error;
mod pairs;
mod received;
mod rules;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use binary::{decode_values, encode_value};
pub use error::MetadataError;
pub(crate) use rules::is_reserved;
use rules::{check_key, check_value, is_binary};

/// An ordered list of keys and values. A key may occur several times.
///
/// Keys are lower case. The value of a key that ends in `-bin` is arbitrary bytes (base64 on the
/// wire, decoded here). Any other value is printable ASCII. Keys of the protocol cannot be added:
/// `grpc-*` names that gRPC defines, `content-type`, `te`, `user-agent`, and names that begin with
/// a colon.
///
/// Source: "PROTOCOL-HTTP2", Custom-Metadata; grpc-go's package `metadata`.
///
/// # Received metadata
///
/// A received value is not sent, in whichever request, response or status the metadata is used. A
/// service that passes on a request, a response or a [`Status`](crate::Status) of its upstream
/// selects the values to send by [`forward`](Self::forward). The reason is that received metadata
/// holds credentials (`authorization`, cookies) and instructions (`grpc-retry-pushback-ms`) that
/// are only for this service. A value that this program appends or inserts is sent, even if it is a
/// copy of a received one.
///
/// Source: grpc-go, which keeps the metadata of incoming and of outgoing calls separate
/// (`FromIncomingContext`, `NewOutgoingContext`).
///
/// An iteration over `&metadata` yields all keys and values, in order.
///
/// ```
/// let mut metadata = rgrpc::Metadata::from_pairs([("x-hop", "a")])?;
/// metadata.append("X-Hop", "b")?;
/// metadata.append("trace-bin", vec![0xff, 0x00])?;
/// assert_eq!(metadata.get("x-hop"), Some("a"));
/// assert_eq!(metadata.get_all("x-hop").count(), 2);
/// assert_eq!(metadata.get_bytes("trace-bin"), Some(&[0xff, 0x00][..]));
/// # Ok::<(), rgrpc::MetadataError>(())
/// ```
#[derive(Clone, Default)]
pub struct Metadata {
    /// The entries, shared between clones until one is changed, because the metadata of equal
    /// requests is parsed once. `None` if there has never been an entry.
    entries: Option<Arc<Vec<Entry>>>,
}

#[derive(Clone)]
struct Entry {
    /// The key: lower-case ASCII, checked when the entry is created.
    key: Bytes,
    value: Bytes,
    /// True if the entry came from a peer, so that it is not sent.
    received: bool,
}

impl Metadata {
    /// Creates an empty list. It does not allocate.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// Appends a value to those of the key.
    ///
    /// # Errors
    /// The key is invalid or reserved, or the value is not printable ASCII and the key does not end
    /// in `-bin`. The list is then unchanged.
    pub fn append(
        &mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<(), MetadataError> {
        let entry = Entry::new(key.into(), value.into())?;
        self.entries_mut().push(entry);
        Ok(())
    }

    /// Sets the key's only value, and removes its other values.
    ///
    /// # Errors
    /// The same as of [`append`](Self::append).
    pub fn insert(
        &mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<(), MetadataError> {
        let new = Entry::new(key.into(), value.into())?;
        let entries = self.entries_mut();
        entries.retain(|entry| entry.key != new.key);
        entries.push(new);
        Ok(())
    }

    /// Removes all values of the key. Returns whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let present = self.get_bytes(key).is_some();
        if present {
            self.entries_mut().retain(|entry| !entry.has_key(key));
        }
        present
    }

    /// Returns the key's first value as text, or `None` if there is none or it is not text.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(key)?).ok()
    }

    /// Returns the key's first value as bytes.
    #[must_use]
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        self.entries()
            .iter()
            .find(|entry| entry.has_key(key))
            .map(|entry| &*entry.value)
    }

    /// Iterates over the key's values as bytes, in order.
    pub fn get_all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.entries()
            .iter()
            .filter(move |entry| entry.has_key(key))
            .map(|entry| &*entry.value)
    }

    /// Iterates over all keys and values, in order.
    pub fn iter(&self) -> MetadataIter<'_> {
        self.into_iter()
    }

    /// Iterates over the keys, each once, in the order of their first values.
    /// [`get_all`](Self::get_all) returns the values of a key.
    ///
    /// ```
    /// let metadata = rgrpc::Metadata::from_pairs([("b", "1"), ("a", "2"), ("b", "3")])?;
    /// assert_eq!(metadata.keys().collect::<Vec<_>>(), ["b", "a"]);
    /// # Ok::<(), rgrpc::MetadataError>(())
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let mut seen = HashSet::new();
        let keys = self.entries().iter().map(Entry::key);
        keys.filter(move |key| seen.insert(*key))
    }

    /// Keeps only the values for which `keep` returns true.
    ///
    /// ```
    /// # let mut metadata = rgrpc::Metadata::from_pairs([("x-a", "1"), ("authorization", "2")])?;
    /// metadata.retain(|key, _| key.starts_with("x-"));
    /// assert_eq!(metadata.keys().collect::<Vec<_>>(), ["x-a"]);
    /// # Ok::<(), rgrpc::MetadataError>(())
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) {
        if !self.is_empty() {
            self.entries_mut()
                .retain(|entry| keep(entry.key(), &entry.value));
        }
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Returns whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// Appends all entries of `other`.
    #[inline]
    pub fn merge(&mut self, other: Self) {
        if let Some(entries) = other.entries {
            self.merge_entries(entries);
        }
    }

    fn merge_entries(&mut self, entries: Arc<Vec<Entry>>) {
        if self.is_empty() {
            self.entries = Some(entries);
        } else {
            self.entries_mut().extend(Arc::unwrap_or_clone(entries));
        }
    }

    fn entries(&self) -> &[Entry] {
        self.entries.as_deref().map_or(&[], Vec::as_slice)
    }

    fn entries_mut(&mut self) -> &mut Vec<Entry> {
        Arc::make_mut(self.entries.get_or_insert_default())
    }

    /// Appends a received field. HTTP/2 has checked `key`, and `value` is in the form of the wire.
    ///
    /// # Errors
    /// The value of a `-bin` key is not base64.
    pub(crate) fn append_from_wire(
        &mut self,
        key: Bytes,
        value: Bytes,
    ) -> Result<(), MetadataError> {
        if !is_binary(&key) {
            self.entries_mut().push(Entry::received(key, value));
            return Ok(());
        }
        for value in decode_values(&value) {
            let value = value.ok_or_else(|| MetadataError::base64(&key))?;
            self.entries_mut().push(Entry::received(key.clone(), value));
        }
        Ok(())
    }

    /// Iterates over the fields to send, in the form of the wire. Received values are left out. So
    /// are the protocol's own fields, some of which a handler can see.
    pub(crate) fn wire_fields(&self) -> impl Iterator<Item = (Bytes, Bytes)> {
        let own = |entry: &&Entry| !entry.received && !is_reserved(&entry.key);
        self.entries().iter().filter(own).map(|entry| {
            let value = if is_binary(&entry.key) {
                encode_value(&entry.value)
            } else {
                entry.value.clone()
            };
            (entry.key.clone(), value)
        })
    }
}

impl Entry {
    /// Creates an entry from a user's key and value, after checks.
    fn new(key: Bytes, value: Bytes) -> Result<Self, MetadataError> {
        let key = check_key(key)?;
        check_value(&key, &value)?;
        Ok(Self::own(key, value))
    }

    /// Creates an entry of this program from a checked key and value.
    fn own(key: Bytes, value: Bytes) -> Self {
        Self {
            key,
            value,
            received: false,
        }
    }

    /// Creates a received entry.
    fn received(key: Bytes, value: Bytes) -> Self {
        Self {
            key,
            value,
            received: true,
        }
    }

    fn key(&self) -> &str {
        // Every constructor's caller has checked it.
        std::str::from_utf8(&self.key).unwrap_or_default()
    }

    fn has_key(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key.as_bytes())
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

impl Eq for Entry {}

impl<'a> IntoIterator for &'a Metadata {
    type Item = (&'a str, &'a [u8]);
    type IntoIter = MetadataIter<'a>;

    fn into_iter(self) -> MetadataIter<'a> {
        MetadataIter(self.entries().iter())
    }
}

/// Iterates over the keys and values of a [`Metadata`], in order.
#[derive(Clone)]
pub struct MetadataIter<'a>(std::slice::Iter<'a, Entry>);

impl<'a> Iterator for MetadataIter<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.0.next()?;
        Some((entry.key(), &entry.value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for MetadataIter<'_> {}

impl fmt::Debug for MetadataIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}

impl Eq for Metadata {}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self
            .entries()
            .iter()
            .map(|entry| (entry.key(), &entry.value));
        f.debug_map().entries(entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_order_within_and_across_keys() {
        let mut metadata = Metadata::new();
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "2")] {
            metadata.append(key, value).expect("valid");
        }
        let all: Vec<_> = metadata.iter().collect();
        assert_eq!(
            all,
            [("a", &b"1"[..]), ("b", b"2"), ("a", b"3"), ("a", b"2")]
        );
        assert_eq!(
            metadata.get_all("A").collect::<Vec<_>>(),
            [&b"1"[..], b"3", b"2"]
        );
    }

    #[test]
    fn insert_replaces_and_remove_removes_all_values_of_a_key() {
        let mut metadata = Metadata::new();
        metadata.append("a", "1").expect("valid");
        metadata.append("a", "2").expect("valid");
        metadata.insert("A", "3").expect("valid");
        assert_eq!(metadata.get_all("a").collect::<Vec<_>>(), [b"3"]);
        assert!(metadata.remove("a"));
        assert!(!metadata.remove("a"));
        assert!(metadata.is_empty());
        assert_eq!(metadata, Metadata::new());
    }

    #[test]
    fn a_change_of_a_clone_leaves_the_original_unchanged() {
        let mut metadata = Metadata::new();
        metadata.append("a", "1").expect("valid");
        let mut clone = metadata.clone();
        clone.append("b", "2").expect("valid");
        assert_eq!((metadata.len(), clone.len()), (1, 2));
        metadata.merge(clone);
        assert_eq!(metadata.get_all("a").count(), 2);
    }

    #[test]
    fn joined_binary_values_are_split_and_invalid_base64_is_an_error() {
        let mut metadata = Metadata::new();
        metadata
            .append_from_wire(Bytes::from_static(b"k-bin"), Bytes::from_static(b"AQ==,Ag"))
            .expect("valid");
        assert_eq!(metadata.get_all("k-bin").collect::<Vec<_>>(), [[1], [2]]);
        let error = metadata
            .append_from_wire(Bytes::from_static(b"k-bin"), Bytes::from_static(b"?"))
            .expect_err("not base64");
        assert!(error.to_string().contains("k-bin"), "{error}");
    }
}
