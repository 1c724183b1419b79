//! The unknown fields of a service config, most of them misspelled.
//!
//! A service config ignores unknown fields, because later versions of gRPC add fields. A misspelled
//! field is therefore ignored too, unless it is reported. There is no list of known fields: a field
//! is known if a parser has read it. So the fields of users' policies are known as well.
//!
//! Filled by the parser of a service config, on its task; read after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use crate::lock::lock;

/// Records the fields that each object of a document has, and the fields that parsers have read.
/// All values of the document share one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldLog(Arc<Mutex<BTreeMap<String, Object>>>);

/// The fields of one object.
#[derive(Debug, Default)]
struct Object {
    present: BTreeSet<String>,
    read: BTreeSet<String>,
    /// The field names are data, such as names of policies.
    names_are_data: bool,
}

/// A field that no parser has read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownField {
    /// The path from the root of the document.
    path: String,
    /// The most similar known name in the same object.
    nearest: Option<String>,
}

impl FieldLog {
    /// Records the fields of an object.
    pub(super) fn record(&self, path: &str, fields: &Map<String, Value>) {
        let mut objects = lock(&self.0);
        let object = objects.entry(path.to_owned()).or_default();
        let present = fields.iter().filter(|(_, value)| !value.is_null());
        object.present.extend(present.map(|(name, _)| name.clone()));
    }

    /// Marks a field as read.
    pub(super) fn mark_read(&self, path: &str, name: &str) {
        if let Some(object) = lock(&self.0).get_mut(path) {
            object.read.insert(name.to_owned());
        }
    }

    /// Marks all fields of an object as read.
    pub(super) fn mark_all_read(&self, path: &str) {
        if let Some(object) = lock(&self.0).get_mut(path) {
            object.names_are_data = true;
        }
    }

    /// The fields that no parser has read, in the objects that parsers have read, sorted by path.
    pub(crate) fn unknown(&self) -> Vec<UnknownField> {
        let objects = lock(&self.0);
        let named = objects.iter().filter(|(_, object)| !object.names_are_data);
        named
            .flat_map(|(path, object)| {
                let unknown = object.present.difference(&object.read);
                unknown.map(move |name| UnknownField {
                    path: join(path, name),
                    nearest: nearest(name, &object.read).map(str::to_owned),
                })
            })
            .collect()
    }
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is unknown and ignored", self.path)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; the nearest known name is {nearest}"),
            None => Ok(()),
        }
    }
}

/// The path of a field.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The known name that is most similar to `name`, if one is similar.
fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    let spelled = spelling(name);
    let most = 1.max(spelled.len() / 3);
    known
        .iter()
        .map(|known| (distance(&spelled, &spelling(known)), known.as_str()))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}

/// The letters of a name, in lower case and without `_` and `-`: `max_attempts` and `MaxAttempts`
/// equal `maxAttempts`. At most 64 letters, because a document from the network has names of any
/// length.
fn spelling(name: &str) -> Vec<char> {
    let letters = name
        .chars()
        .filter(|letter| *letter != '_' && *letter != '-');
    letters
        .take(64)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// The edit distance of Levenshtein: the number of letters to insert, delete or replace.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let exchanged = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_the_number_of_edited_letters() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "ac", 1),
            ("kitten", "sitting", 3),
        ] {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(distance(&letters(one), &letters(other)), expected);
        }
    }

    #[test]
    fn the_nearest_name_is_a_similar_one() {
        let known = ["maxAttempts", "maxBackoff", "name"].map(str::to_owned);
        let known = BTreeSet::from(known);
        for (name, expected) in [
            ("maxAttempt", Some("maxAttempts")),
            ("max_attempts", Some("maxAttempts")),
            ("MaxBackOff", Some("maxBackoff")),
            ("names", Some("name")),
            ("x", None),
            ("perAttemptTimeout", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), expected, "{name:?}");
        }
        let long = "x".repeat(1_000_000);
        assert_eq!(nearest(&long, &known), None);
    }
}
