//! The fields of a document that nobody has asked for: misspelled ones, mostly.
//!
//! A service config ignores fields that it does not know, as fields of the future have to be. So a
//! misspelled field changes nothing and says nothing, unless it is reported. What is known is not
//! listed anywhere: it is what the readers ask for, those of users' policies included.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use crate::lock::lock;

/// Notes which fields the objects of a document have, and which are asked for. Shared by the
/// document's values.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldLog(Arc<Mutex<BTreeMap<String, Object>>>);

/// An object that was read, by its path.
#[derive(Debug, Default)]
struct Object {
    present: BTreeSet<String>,
    asked: BTreeSet<String>,
    /// Its names are data, such as names of policies.
    names_are_data: bool,
}

/// A field that nobody has asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownField {
    /// The whole path.
    path: String,
    /// The known name of the same object that is spelled most alike.
    nearest: Option<String>,
}

impl FieldLog {
    /// An object is read.
    pub(super) fn open(&self, path: &str, fields: &Map<String, Value>) {
        let mut objects = lock(&self.0);
        let object = objects.entry(path.to_owned()).or_default();
        let present = fields.iter().filter(|(_, value)| !value.is_null());
        object.present.extend(present.map(|(name, _)| name.clone()));
    }

    /// A field is asked for.
    pub(super) fn ask(&self, path: &str, name: &str) {
        if let Some(object) = lock(&self.0).get_mut(path) {
            object.asked.insert(name.to_owned());
        }
    }

    /// All fields are asked for, whatever their names.
    pub(super) fn ask_all(&self, path: &str) {
        if let Some(object) = lock(&self.0).get_mut(path) {
            object.names_are_data = true;
        }
    }

    /// The fields of the objects that were read which nobody has asked for, by their paths.
    pub(crate) fn unknown(&self) -> Vec<UnknownField> {
        let objects = lock(&self.0);
        let named = objects.iter().filter(|(_, object)| !object.names_are_data);
        named
            .flat_map(|(path, object)| {
                let unknown = object.present.difference(&object.asked);
                unknown.map(move |name| UnknownField {
                    path: join(path, name),
                    nearest: nearest(name, &object.asked).map(str::to_owned),
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

/// The known name that is spelled most like `name`, if one is alike.
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

/// The letters of a name, so that `max_attempts` and `MaxAttempts` are spelled as `maxAttempts` is.
/// The length is bounded: a document from the network has names of any.
fn spelling(name: &str) -> Vec<char> {
    let letters = name
        .chars()
        .filter(|letter| *letter != '_' && *letter != '-');
    letters
        .take(64)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// The edit distance of Levenshtein: how many letters have to be put in, left away or exchanged.
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
    fn the_distance_is_the_number_of_letters_to_change() {
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
    fn the_nearest_name_is_one_that_is_spelled_alike() {
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
