//! Rust names: prost's case rules, and free names.
//!
//! The case rules repeat those of prost-build, which are private there, so that a service's name
//! looks like a message's. prost has no rule for two elements with the same Rust name. Here the
//! later one, in the order of the schema, gets a trailing `_`, like prost's keywords without a raw
//! form.
//!
//! Called by the generator for messages, services and their check.

use std::collections::BTreeSet;

use heck::{ToShoutySnakeCase, ToSnakeCase, ToUpperCamelCase};

/// Converts a name to snake case: `GetFeature` → `get_feature`, `Type` → `r#type`, `Self` →
/// `self_`.
pub(crate) fn snake(name: &str) -> String {
    sanitize(&name.to_snake_case())
}

/// Converts a name to camel case: `route_guide` → `RouteGuide`, `self` → `Self_`.
pub(crate) fn upper_camel(name: &str) -> String {
    sanitize(&name.to_upper_camel_case())
}

/// Converts a name to upper case: `GetFeature` → `GET_FEATURE`.
pub(crate) fn shouty(name: &str) -> String {
    prefix_digit(name.to_shouty_snake_case())
}

/// Converts a name to snake case without a raw prefix (`type` → `type`, not `r#type`), as a part of
/// longer names.
pub(crate) fn plain_snake(name: &str) -> String {
    prefix_digit(name.to_snake_case())
}

/// Returns whether a name has a Rust form. The case rules remove every `_` at its ends.
pub(crate) fn has_rust_form(name: &str) -> bool {
    name.chars().any(|c| c != '_')
}

fn prefix_digit(name: String) -> String {
    if name.starts_with(char::is_numeric) {
        format!("_{name}")
    } else {
        name
    }
}

/// Removes the prefix `enum_name` from an enum value, as prost does for variants.
pub(crate) fn variant(enum_name: &str, value_name: &str) -> String {
    let value = upper_camel(value_name);
    match value.strip_prefix(&upper_camel(enum_name)) {
        Some(rest) if rest.starts_with(char::is_uppercase) => sanitize(rest),
        _ => sanitize(&value),
    }
}

fn sanitize(name: &str) -> String {
    match name {
        // Keywords without a raw form.
        "_" | "super" | "self" | "Self" | "extern" | "crate" => format!("{name}_"),
        "abstract" | "as" | "async" | "await" | "become" | "box" | "break" | "const"
        | "continue" | "do" | "dyn" | "else" | "enum" | "false" | "final" | "fn" | "for"
        | "gen" | "if" | "impl" | "in" | "let" | "loop" | "macro" | "match" | "mod" | "move"
        | "mut" | "override" | "priv" | "pub" | "ref" | "return" | "static" | "struct"
        | "trait" | "true" | "try" | "type" | "typeof" | "unsafe" | "unsized" | "use"
        | "virtual" | "where" | "while" | "yield" => format!("r#{name}"),
        _ if name.starts_with(char::is_numeric) => format!("_{name}"),
        _ => name.to_owned(),
    }
}

/// The taken names of one Rust namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespace(BTreeSet<String>);

impl Namespace {
    /// Creates a namespace in which `taken` are taken.
    pub(crate) fn of<S: Into<String>>(taken: impl IntoIterator<Item = S>) -> Self {
        Self(taken.into_iter().map(Into::into).collect())
    }

    /// Takes `preferred`, or the first of `preferred_`, `preferred__`, … that is free.
    pub(crate) fn claim(&mut self, preferred: String) -> String {
        let mut name = preferred;
        while !self.0.insert(name.clone()) {
            name = format!("{}_", name.strip_prefix("r#").unwrap_or(&name));
        }
        name
    }

    /// Returns the name that [`claim`](Self::claim) would take.
    pub(crate) fn free(&self, preferred: &str) -> String {
        self.clone().claim(preferred.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_case_rules_of_prost() {
        for (name, expected_snake, expected_camel, expected_shouty) in [
            ("GetFeature", "get_feature", "GetFeature", "GET_FEATURE"),
            (
                "XMLHttpRequest",
                "xml_http_request",
                "XmlHttpRequest",
                "XML_HTTP_REQUEST",
            ),
            ("route_guide", "route_guide", "RouteGuide", "ROUTE_GUIDE"),
            ("type", "r#type", "Type", "TYPE"),
            ("Self", "self_", "Self_", "SELF"),
            ("crate", "crate_", "Crate", "CRATE"),
            ("gen", "r#gen", "Gen", "GEN"),
            ("v1beta1", "v1beta1", "V1beta1", "V1BETA1"),
            ("_1", "_1", "_1", "_1"),
        ] {
            assert_eq!(snake(name), expected_snake, "{name}");
            assert_eq!(upper_camel(name), expected_camel, "{name}");
            assert_eq!(shouty(name), expected_shouty, "{name}");
        }
    }

    #[test]
    fn an_enums_prefix_is_removed_only_at_the_end_of_a_word() {
        for (enum_name, value, expected) in [
            ("Color", "COLOR_RED", "Red"),
            ("Color", "COLORED", "Colored"),
            ("Color", "RED", "Red"),
            ("Color", "COLOR", "Color"),
            ("Color", "COLOR_SELF", "Self_"),
            ("Color", "COLOR_3D", "Color3d"),
        ] {
            assert_eq!(variant(enum_name, value), expected, "{value}");
        }
    }

    #[test]
    fn a_taken_name_gets_trailing_underscores_and_loses_its_raw_prefix() {
        let mut names = Namespace::of(["new"]);
        for (preferred, given) in [
            ("new", "new_"),
            ("get_x", "get_x"),
            ("get_x", "get_x_"),
            ("get_x", "get_x__"),
            ("r#type", "r#type"),
            ("r#type", "type_"),
        ] {
            assert_eq!(names.claim(preferred.to_owned()), given);
        }
    }
}
