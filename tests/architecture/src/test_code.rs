//! The items that are compiled for tests only, by their attribute `#[cfg(test)]`.

use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// Returns whether an item with these attributes is compiled for tests only.
pub(crate) fn is_test_code(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.path().is_ident("cfg").then_some(&attribute.meta);
        let condition = condition.and_then(|meta| meta.require_list().ok()?.parse_args().ok());
        condition.is_some_and(|condition| requires_test(&condition))
    })
}

/// Returns whether a condition is false outside of tests.
fn requires_test(condition: &Meta) -> bool {
    let Meta::List(list) = condition else {
        return condition.path().is_ident("test");
    };
    let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
    let parts = list.parse_args_with(parser).unwrap_or_default();
    if list.path.is_ident("all") {
        parts.iter().any(requires_test)
    } else if list.path.is_ident("any") {
        !parts.is_empty() && parts.iter().all(requires_test)
    } else {
        false
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn code_that_is_also_compiled_without_tests_is_no_test_code() {
        let cases: [(Attribute, bool); 8] = [
            (parse_quote!(#[cfg(test)]), true),
            (parse_quote!(#[cfg(all(unix, test))]), true),
            (parse_quote!(#[cfg(any(test, all(test, unix)))]), true),
            (
                parse_quote!(#[cfg(any(test, feature = "invariants"))]),
                false,
            ),
            (parse_quote!(#[cfg(not(test))]), false),
            (parse_quote!(#[cfg(feature = "test")]), false),
            (parse_quote!(#[test]), false),
            (parse_quote!(#[inline]), false),
        ];
        for (at, (attribute, expected)) in cases.into_iter().enumerate() {
            assert_eq!(is_test_code(&[attribute]), expected, "case {at}");
        }
    }
}
