//! Typed values of a call, a connection or a resolver's state.
//!
//! Filled and read by users' code at every seam: interceptors, stats handlers, hooks, resolvers,
//! policies and handlers, each on its own task.

use std::any::{Any, TypeId, type_name};
use std::fmt;

/// Typed values that travel with a call inside this program, at most one of each type.
///
/// They pass values from one layer to another: an interceptor that authenticates the caller inserts
/// the user, and the handler reads it. They are never sent to the peer. Empty extensions are one
/// word and allocate nothing.
///
/// A [`Request`](crate::Request) has them in a handler and towards a stub, which hands them to
/// [`Invoke`](crate::Invoke) in [`CallOptions::extensions`](crate::CallOptions::extensions). They
/// stay with the request in [`Request::map`](crate::Request::map) and
/// [`Request::split`](crate::Request::split); they are dropped by
/// [`into_message`](crate::Request::into_message) and [`into_parts`](crate::Request::into_parts);
/// and a request made by [`Request::outgoing`](crate::Request::outgoing) begins without any.
///
/// ```
/// # use rgrpc::Request;
/// #[derive(Clone)]
/// struct User(String);
///
/// let mut request = Request::new("message");
/// request.extensions_mut().insert(User("ada".to_owned()));
/// let (message, request) = request.split();
/// assert_eq!(request.extensions().get::<User>().expect("set before").0, "ada");
/// ```
#[derive(Default)]
pub struct Extensions {
    /// `None` until there is one. Few, so that a search is faster than a hash.
    #[expect(clippy::box_collection, reason = "requests without values stay small")]
    values: Option<Box<Vec<Box<dyn Value>>>>,
}

/// A value that [`Extensions`] can hold.
trait Value: Any + Send + Sync {
    fn boxed_clone(&self) -> Box<dyn Value>;
    fn type_name(&self) -> &'static str;
}

impl<T: Clone + Send + Sync + 'static> Value for T {
    fn boxed_clone(&self) -> Box<dyn Value> {
        Box::new(self.clone())
    }

    fn type_name(&self) -> &'static str {
        type_name::<T>()
    }
}

impl Extensions {
    /// Creates an empty set. Does not allocate.
    #[must_use]
    pub const fn new() -> Self {
        Self { values: None }
    }

    /// Sets the value of this type, and returns the previous one.
    pub fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let previous = self.remove();
        let values = self.values.get_or_insert_default();
        values.push(Box::new(value));
        previous
    }

    /// The value of this type.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        let values = self.values.as_deref()?.iter();
        values
            .map(|value| &**value as &dyn Any)
            .find_map(<dyn Any>::downcast_ref)
    }

    /// The value of this type, mutable.
    pub fn get_mut<T: Clone + Send + Sync + 'static>(&mut self) -> Option<&mut T> {
        let values = self.values.as_deref_mut()?.iter_mut();
        values
            .map(|value| &mut **value as &mut dyn Any)
            .find_map(<dyn Any>::downcast_mut)
    }

    /// Removes the value of this type and returns it.
    pub fn remove<T: Clone + Send + Sync + 'static>(&mut self) -> Option<T> {
        let values = self.values.as_deref_mut()?;
        let index = values
            .iter()
            .position(|value| (**value).type_id() == TypeId::of::<T>())?;
        let value = values.swap_remove(index);
        let value: Box<dyn Any> = value;
        value.downcast().ok().map(|value| *value)
    }

    /// Adds all values of `other`. They replace those of the same types.
    pub fn merge(&mut self, other: Self) {
        let Some(added) = other.values else {
            return;
        };
        let Some(values) = &mut self.values else {
            self.values = Some(added);
            return;
        };
        values.retain(|value| {
            added
                .iter()
                .all(|new| (**new).type_id() != (**value).type_id())
        });
        values.extend(*added);
    }

    /// Returns whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.as_ref().is_none_or(|values| values.is_empty())
    }
}

impl Clone for Extensions {
    fn clone(&self) -> Self {
        let clone = |values: &Vec<Box<dyn Value>>| {
            Box::new(values.iter().map(|value| (**value).boxed_clone()).collect())
        };
        Self {
            values: self.values.as_deref().map(clone),
        }
    }
}

/// Shows the types of the values.
impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.iter().flat_map(|values| values.iter());
        f.debug_set()
            .entries(values.map(|value| (**value).type_name()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let mut extensions = Extensions::new();
        assert_eq!(extensions.insert(1_u8), None);
        assert_eq!(extensions.insert("a"), None);
        assert_eq!(extensions.insert(2_u8), Some(1));
        assert_eq!(extensions.get::<u8>(), Some(&2));
        assert_eq!(extensions.get::<&str>(), Some(&"a"));
        assert_eq!(extensions.get::<u16>(), None);
        *extensions.get_mut::<u8>().expect("set") += 1;
        assert_eq!(extensions.remove::<u8>(), Some(3));
        assert_eq!(extensions.remove::<u8>(), None);
        assert!(!extensions.is_empty());
    }

    #[test]
    fn values_that_are_merged_replace_those_of_the_same_type() {
        let mut extensions = Extensions::new();
        extensions.insert(1_u8);
        extensions.insert(1_u16);
        let mut other = Extensions::new();
        other.insert(2_u8);
        other.insert(2_u32);
        extensions.merge(other);
        assert_eq!(extensions.get::<u8>(), Some(&2));
        assert_eq!(extensions.get::<u16>(), Some(&1));
        assert_eq!(extensions.get::<u32>(), Some(&2));
    }

    #[test]
    fn a_clone_has_values_of_its_own() {
        let mut extensions = Extensions::new();
        extensions.insert(1_u8);
        let mut clone = extensions.clone();
        clone.insert(2_u8);
        assert_eq!(extensions.get::<u8>(), Some(&1));
        assert_eq!(format!("{clone:?}"), r#"{"u8"}"#);
    }

    #[test]
    fn empty_extensions_are_one_word() {
        assert_eq!(size_of::<Extensions>(), size_of::<usize>());
    }
}
