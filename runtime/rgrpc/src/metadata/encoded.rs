//! Metadata in the form of header fields, for proxies and tools that read or write header fields.
//!
//! Called by users, on any task.

use std::borrow::Cow;

use bytes::Bytes;

use super::rules::check_value;
use super::{Entry, Metadata, MetadataError, binary, check_key, is_binary};

impl Metadata {
    /// Encodes the value of a `-bin` key for a header field: base64 without padding.
    ///
    /// Only tools that write header fields need it. Everywhere else in this crate the value of a
    /// `-bin` key is the decoded bytes.
    ///
    /// Source: "PROTOCOL-HTTP2", Custom-Metadata; grpc-go `encodeBinHeader`.
    #[must_use]
    pub fn encode_binary(value: &[u8]) -> String {
        binary::encode(value)
    }

    /// Decodes the value of a `-bin` key from a header field: base64 with or without padding.
    ///
    /// It decodes one value. [`append_encoded`](Self::append_encoded) is for several values joined
    /// by commas.
    ///
    /// # Errors
    /// The value is not base64.
    ///
    /// Source: "PROTOCOL-HTTP2", Custom-Metadata; grpc-go `decodeBinHeader`.
    ///
    /// ```
    /// use rgrpc::Metadata;
    ///
    /// assert_eq!(Metadata::encode_binary(&[0xab; 4]), "q6urqw");
    /// assert_eq!(Metadata::decode_binary("q6urqw")?, [0xab; 4]);
    /// assert_eq!(Metadata::decode_binary("q6urqw==")?, [0xab; 4]);
    /// # Ok::<(), rgrpc::MetadataError>(())
    /// ```
    pub fn decode_binary(encoded: impl AsRef<[u8]>) -> Result<Vec<u8>, MetadataError> {
        binary::decode(encoded.as_ref()).ok_or_else(|| MetadataError::base64(b""))
    }

    /// Appends the value or values of a header field. The value of a `-bin` key is base64, and
    /// commas separate several values. Other values are taken unchanged.
    ///
    /// # Errors
    /// The same as of [`append`](Self::append), and a value of a `-bin` key that is not base64. The
    /// metadata is then unchanged.
    ///
    /// ```
    /// let mut metadata = rgrpc::Metadata::new();
    /// metadata.append_encoded("trace-bin", "AQI=,Aw")?;
    /// metadata.append_encoded("x-hop", "a,b")?;
    /// let traces: Vec<_> = metadata.get_all("trace-bin").collect();
    /// assert_eq!(traces, [&[1, 2][..], &[3]]);
    /// assert_eq!(metadata.get("x-hop"), Some("a,b"));
    ///
    /// let fields: Vec<_> = metadata.iter_encoded().collect();
    /// let expected = [("trace-bin", "AQI"), ("trace-bin", "Aw"), ("x-hop", "a,b")];
    /// assert_eq!(fields, expected.map(|(key, value)| (key, value.as_bytes().into())));
    /// # Ok::<(), rgrpc::MetadataError>(())
    /// ```
    pub fn append_encoded(
        &mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<(), MetadataError> {
        let key = check_key(key.into())?;
        let value = value.into();
        if !is_binary(&key) {
            check_value(&key, &value)?;
            self.entries_mut().push(Entry::own(key, value));
            return Ok(());
        }
        let values: Option<Vec<_>> = binary::decode_values(&value).collect();
        let values = values.ok_or_else(|| MetadataError::base64(&key))?;
        let entries = values
            .into_iter()
            .map(|value| Entry::own(key.clone(), value));
        self.entries_mut().extend(entries);
        Ok(())
    }

    /// Iterates over all keys and values in order, in the form of header fields: the values of
    /// `-bin` keys are base64 without padding.
    pub fn iter_encoded(&self) -> impl Iterator<Item = (&str, Cow<'_, [u8]>)> {
        self.entries().iter().map(|entry| {
            let value = if is_binary(&entry.key) {
                Cow::Owned(binary::encode(&entry.value).into_bytes())
            } else {
                Cow::Borrowed(&*entry.value)
            };
            (entry.key(), value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_value_is_decoded_with_or_without_padding() {
        for (encoded, expected) in [
            ("", Some(&b""[..])),
            ("YQ", Some(b"a")),
            ("YQ==", Some(b"a")),
            ("YWI=", Some(b"ab")),
            ("YWI", Some(b"ab")),
            ("/+++", Some(b"\xff\xef\xbe")),
            ("YQ,YQ", None),
            ("!", None),
            ("Y", None),
        ] {
            let decoded = Metadata::decode_binary(encoded);
            assert_eq!(decoded.as_deref().ok(), expected, "{encoded}");
        }
    }

    #[test]
    fn an_invalid_field_leaves_the_metadata_unchanged() {
        for (key, value) in [
            ("k-bin", "AQ,!"),
            ("grpc-status", "0"),
            ("k", "\n"),
            ("", ""),
        ] {
            let mut metadata = Metadata::new();
            metadata.append_encoded(key, value).expect_err(key);
            assert!(metadata.is_empty(), "{key}");
        }
    }

    #[test]
    fn encoded_values_round_trip() {
        let values = [&[0; 1][..], &[0xff; 2], &[1, 2, 3], &[]];
        let metadata = Metadata::from_pairs(values.map(|value| ("k-bin", value))).expect("valid");
        let mut read = Metadata::new();
        for (key, value) in metadata.iter_encoded() {
            read.append_encoded(key.to_owned(), value.into_owned())
                .expect("valid");
        }
        assert_eq!(read, metadata);
    }
}
