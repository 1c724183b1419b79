//! The compressors of a channel or a server.
//!
//! Filled by the builders of channels and servers; read by every call, without a lock.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{Compressor, IDENTITY};

/// The compressors of a channel or a server, in the order of registration.
#[derive(Clone)]
pub(crate) struct CompressorRegistry(Vec<Arc<dyn Compressor>>);

impl CompressorRegistry {
    /// Adds a compressor. It replaces an earlier one of the same name.
    ///
    /// # Errors
    /// The compressor's name, if it cannot be sent.
    pub(crate) fn register(&mut self, compressor: Arc<dyn Compressor>) -> Result<(), String> {
        let name = compressor.name();
        if !is_sendable(name) {
            return Err(name.to_owned());
        }
        match self.0.iter_mut().find(|other| other.name() == name) {
            Some(other) => *other = compressor,
            None => self.0.push(compressor),
        }
        Ok(())
    }

    /// Returns the compressor of this name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Arc<dyn Compressor>> {
        self.0.iter().find(|one| one.name().as_bytes() == name)
    }

    /// Returns the names, in the order of registration.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|compressor| compressor.name())
    }

    /// Returns the value of `grpc-accept-encoding`, or `None` without compressors.
    pub(crate) fn accept_encoding(&self) -> Option<Bytes> {
        let names: Vec<&str> = self.names().collect();
        (!names.is_empty()).then(|| names.join(",").into())
    }
}

/// Returns whether a name is valid in `grpc-encoding` and in `grpc-accept-encoding`.
fn is_sendable(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && byte != b',' && !byte.is_ascii_uppercase();
    !name.is_empty() && name != IDENTITY && name.bytes().all(legal)
}

impl Default for CompressorRegistry {
    /// Creates a registry with gzip, if the crate has the feature `gzip`.
    fn default() -> Self {
        #[cfg(feature = "gzip")]
        return Self(vec![Arc::new(super::Gzip::new())]);
        #[cfg(not(feature = "gzip"))]
        Self(Vec::new())
    }
}

impl fmt::Debug for CompressorRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::reversing::Reversing;
    use super::*;

    fn registry(names: &[&'static str]) -> CompressorRegistry {
        let mut registry = CompressorRegistry(Vec::new());
        for name in names {
            registry
                .register(Arc::new(Reversing(name)))
                .expect("a name that can be sent");
        }
        registry
    }

    #[test]
    fn all_names_are_advertised_in_the_order_of_registration() {
        for (names, value) in [
            (&[][..], None),
            (&["a"], Some("a")),
            (&["b", "a", "b"], Some("b,a")),
        ] {
            let value = value.map(|value: &str| Bytes::copy_from_slice(value.as_bytes()));
            assert_eq!(registry(names).accept_encoding(), value, "{names:?}");
        }
    }

    #[test]
    fn the_last_compressor_of_a_name_is_found_by_it() {
        let mut registry = registry(&["a", "b"]);
        let last: Arc<dyn Compressor> = Arc::new(Reversing("a"));
        registry.register(Arc::clone(&last)).expect("a valid name");
        let found = registry.get(b"a").expect("there is one");
        assert!(Arc::ptr_eq(found, &last));
        assert!(registry.get(b"c").is_none());
    }

    #[test]
    fn names_that_cannot_be_sent_are_refused() {
        for name in ["", "identity", "a,b", "a b", "Gzip", "zstd\n", "ä"] {
            let refused = CompressorRegistry(Vec::new()).register(Arc::new(Reversing(name)));
            assert_eq!(refused, Err(name.to_owned()));
        }
    }
}
