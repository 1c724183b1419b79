//! Metadata from pairs of keys and values.
//!
//! Called by users, on any task.

use bytes::Bytes;

use super::{Entry, Metadata, MetadataError};

impl Metadata {
    /// Creates metadata from pairs of a key and a value.
    ///
    /// Metadata has no `FromIterator` or `Extend`, because a pair can be invalid and they could
    /// only panic or skip it. An array also converts by `TryFrom`.
    ///
    /// # Errors
    /// The same as of [`append`](Self::append), for the first invalid pair.
    ///
    /// Source: grpc-go `metadata.Pairs`.
    ///
    /// ```
    /// use rgrpc::Metadata;
    ///
    /// let metadata = Metadata::from_pairs([("x-hop", "a"), ("x-hop", "b")])?;
    /// assert_eq!(metadata.get_all("x-hop").count(), 2);
    /// assert_eq!(Metadata::try_from([("x-hop", "a"), ("x-hop", "b")])?, metadata);
    /// # Ok::<(), rgrpc::MetadataError>(())
    /// ```
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, MetadataError>
    where
        K: Into<Bytes>,
        V: Into<Bytes>,
    {
        let mut metadata = Self::new();
        metadata.try_extend(pairs)?;
        Ok(metadata)
    }

    /// Appends pairs of a key and a value.
    ///
    /// # Errors
    /// The same as of [`append`](Self::append), for the first invalid pair. The metadata is then
    /// unchanged.
    pub fn try_extend<K, V>(
        &mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), MetadataError>
    where
        K: Into<Bytes>,
        V: Into<Bytes>,
    {
        let entries: Result<Vec<_>, _> = pairs
            .into_iter()
            .map(|(key, value)| Entry::new(key.into(), value.into()))
            .collect();
        let entries = entries?;
        if !entries.is_empty() {
            self.entries_mut().extend(entries);
        }
        Ok(())
    }
}

impl<K, V, const N: usize> TryFrom<[(K, V); N]> for Metadata
where
    K: Into<Bytes>,
    V: Into<Bytes>,
{
    type Error = MetadataError;

    /// Creates metadata like [`from_pairs`](Self::from_pairs).
    fn try_from(pairs: [(K, V); N]) -> Result<Self, MetadataError> {
        Self::from_pairs(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_order_and_keys_are_lowercased() {
        let metadata = Metadata::from_pairs([("A", "1"), ("b", "2"), ("a", "3")]).expect("valid");
        let all: Vec<_> = metadata.iter().collect();
        assert_eq!(all, [("a", &b"1"[..]), ("b", b"2"), ("a", b"3")]);
    }

    #[test]
    fn owned_and_binary_values_are_accepted() {
        let pairs = vec![("k-bin".to_owned(), vec![0, 0xff])];
        let metadata = Metadata::from_pairs(pairs).expect("valid");
        assert_eq!(metadata.get_bytes("k-bin"), Some(&[0, 0xff][..]));
    }

    #[test]
    fn an_invalid_pair_leaves_the_metadata_unchanged() {
        let mut metadata = Metadata::from_pairs([("a", "1")]).expect("valid");
        let before = metadata.clone();
        for invalid in [("", "1"), ("grpc-status", "0"), ("a", "\n")] {
            let extended = metadata.try_extend([("b", "2"), invalid, ("c", "3")]);
            extended.expect_err(invalid.0);
            assert_eq!(metadata, before);
        }
    }

    #[test]
    fn no_pairs_do_not_allocate() {
        let metadata = Metadata::from_pairs([] as [(&str, &str); 0]).expect("valid");
        assert!(metadata.entries.is_none());
    }
}
