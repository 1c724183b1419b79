//! Typed values of endpoints and subchannels, compared when a resolver sends new ones.
//!
//! Set by resolvers and policies; read by policies, on the channel's task, by pickers and by
//! handshakes.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

/// Typed values of an endpoint, a subchannel or a handshake, with equality.
///
/// A resolver attaches them to endpoints, for balancing policies and for
/// [handshakes](crate::credentials::ClientHandshakeInfo::attributes). There is at most one value of
/// each type, and the type is the key. Clones share the values.
///
/// ```
/// use rgrpc::resolver::Attributes;
///
/// #[derive(Debug, PartialEq)]
/// struct Zone(&'static str);
///
/// let attributes = Attributes::new().with(Zone("eu-1"));
/// assert_eq!(attributes.get::<Zone>(), Some(&Zone("eu-1")));
/// ```
///
/// Source: grpc-go's package `attributes`.
#[derive(Clone, Default)]
pub struct Attributes(Option<Arc<Vec<Entry>>>);

/// A value with its type.
#[derive(Clone)]
struct Entry {
    id: TypeId,
    value: Arc<dyn Attribute>,
}

/// A value that can be an attribute. Implemented for every type that has equality, to detect
/// changes, and `Debug`, for logs.
pub trait Attribute: Any + fmt::Debug + Send + Sync {
    #[doc(hidden)]
    fn as_any(&self) -> &dyn Any;
    #[doc(hidden)]
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<T: Any + PartialEq + fmt::Debug + Send + Sync> Attribute for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<Self>() == Some(self)
    }
}

impl Attributes {
    /// Creates an empty set of attributes.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds a value. It replaces an earlier value of the same type.
    #[must_use]
    pub fn with<T: Attribute>(mut self, value: T) -> Self {
        let id = TypeId::of::<T>();
        let entries = Arc::make_mut(self.0.get_or_insert_default());
        entries.retain(|entry| entry.id != id);
        entries.push(Entry {
            id,
            value: Arc::new(value),
        });
        self
    }

    /// Adds all values of `other`. They replace those of the same types.
    #[must_use]
    pub fn merge(mut self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        let added = other.entries();
        if !added.is_empty() {
            let entries = Arc::make_mut(self.0.get_or_insert_default());
            entries.retain(|entry| added.iter().all(|new| new.id != entry.id));
            entries.extend_from_slice(added);
        }
        self
    }

    /// Returns whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// The value of a type, if there is one.
    #[must_use]
    pub fn get<T: Attribute>(&self) -> Option<&T> {
        let id = TypeId::of::<T>();
        let entry = self.entries().iter().find(|entry| entry.id == id)?;
        (*entry.value).as_any().downcast_ref()
    }

    fn entries(&self) -> &[Entry] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

/// Equal if both have the same types with equal values.
impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.entries(), other.entries());
        ours.len() == theirs.len()
            && ours.iter().all(|entry| {
                let same = theirs.iter().find(|other| other.id == entry.id);
                same.is_some_and(|other| (*entry.value).equals((*other.value).as_any()))
            })
    }
}

impl Eq for Attributes {}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.entries().iter().map(|entry| &entry.value);
        f.debug_list().entries(values).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Weight(u32);

    #[derive(Debug, PartialEq)]
    struct Zone(&'static str);

    #[test]
    fn a_value_is_found_by_its_type_and_replaced_by_one_of_the_same_type() {
        let attributes = Attributes::new().with(Weight(1)).with(Zone("a"));
        assert_eq!(attributes.get(), Some(&Weight(1)));
        assert_eq!(attributes.get(), Some(&Zone("a")));
        assert_eq!(attributes.get::<u8>(), None);
        assert_eq!(attributes.with(Weight(2)).get(), Some(&Weight(2)));
    }

    #[test]
    fn a_change_of_a_clone_does_not_change_the_original() {
        let first = Attributes::new().with(Weight(1));
        let second = first.clone().with(Weight(2));
        assert_eq!(first.get(), Some(&Weight(1)));
        assert_ne!(first, second);
    }

    #[test]
    fn values_that_are_merged_replace_those_of_the_same_type() {
        let zone = Attributes::new().with(Zone("a"));
        let both = Attributes::new().with(Weight(1)).merge(&zone);
        assert_eq!(both, zone.clone().with(Weight(1)));
        let heavy = both.clone().merge(&Attributes::new().with(Weight(2)));
        assert_eq!(heavy, zone.clone().with(Weight(2)));
        assert_eq!(Attributes::new().merge(&zone), zone);
        assert_eq!(both.clone().merge(&Attributes::new()), both);
    }

    #[test]
    fn the_order_does_not_matter_for_equality() {
        let one = Attributes::new().with(Weight(1)).with(Zone("a"));
        let other = Attributes::new().with(Zone("a")).with(Weight(1));
        assert_eq!(one, other);
        assert_ne!(one, Attributes::new().with(Weight(1)));
        assert_ne!(one, other.with(Zone("b")));
        assert_eq!(Attributes::new(), Attributes::default());
    }
}
