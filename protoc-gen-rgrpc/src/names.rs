//! Rust names: prost's case rules, and names that are still free.
//!
//! The case rules repeat prost-build's (they are private there), so that a service's name looks
//! like a message's. What prost has no rule for is two elements that want one Rust name: here the
//! later one, in the order of the schema, gets a trailing `_`, as prost does with keywords that
//! have no raw form.

use std::collections::BTreeSet;

use heck::{ToShoutySnakeCase, ToSnakeCase, ToUpperCamelCase};

/// `GetFeature` → `get_feature`, `Type` → `r#type`, `Self` → `self_`.
pub(crate) fn snake(name: &str) -> String {
    sanitize(&name.to_snake_case())
}

/// `route_guide` → `RouteGuide`, `self` → `Self_`.
pub(crate) fn upper_camel(name: &str) -> String {
    sanitize(&name.to_upper_camel_case())
}

/// `GetFeature` → `GET_FEATURE`.
pub(crate) fn shouty(name: &str) -> String {
    prefix_digit(name.to_shouty_snake_case())
}

/// `type` → `type`, not `r#type`: for composing longer names.
pub(crate) fn plain_snake(name: &str) -> String {
    prefix_digit(name.to_snake_case())
}

/// Returns whether a name has a Rust form: the case rules drop every `_` at its ends.
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

/// A value of `enum_name` without that name in front, as prost writes its variants.
pub(crate) fn variant(enum_name: &str, value_name: &str) -> String {
    let value = upper_camel(value_name);
    match value.strip_prefix(&upper_camel(enum_name)) {
        Some(rest) if rest.starts_with(char::is_uppercase) => sanitize(rest),
        _ => sanitize(&value),
    }
}

fn sanitize(name: &str) -> String {
    match name {
        // Keywords that have no raw form.
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

/// The names of one Rust namespace that are taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespace(BTreeSet<String>);

impl Namespace {
    /// A namespace in which `taken` are taken.
    pub(crate) fn of<S: Into<String>>(taken: impl IntoIterator<Item = S>) -> Self {
        Self(taken.into_iter().map(Into::into).collect())
    }

    /// Takes `wanted`, or the first of `wanted_`, `wanted__`, … that is free.
    pub(crate) fn claim(&mut self, wanted: String) -> String {
        let mut name = wanted;
        while !self.0.insert(name.clone()) {
            name = format!("{}_", name.strip_prefix("r#").unwrap_or(&name));
        }
        name
    }

    /// What [`claim`](Self::claim) would return, without taking it.
    pub(crate) fn free(&self, wanted: &str) -> String {
        self.clone().claim(wanted.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prosts_case_rules() {
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
    fn an_enum_value_loses_the_enums_name_only_where_a_word_ends() {
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
        for (wanted, given) in [
            ("new", "new_"),
            ("get_x", "get_x"),
            ("get_x", "get_x_"),
            ("get_x", "get_x__"),
            ("r#type", "r#type"),
            ("r#type", "type_"),
        ] {
            assert_eq!(names.claim(wanted.to_owned()), given);
        }
    }
}
