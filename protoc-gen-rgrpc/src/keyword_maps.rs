//! Map fields of enums whose name is a keyword: `type_` instead of `r#type`.
//!
//! prost derives the accessors `get_…` and `insert_…` of such a field from its Rust name, and
//! `get_r#type` is not an identifier. Without the `r#` the accessors are `get_type_` and
//! `insert_type_`. No other field has such a name, because the case rules remove the trailing `_`.
//!
//! Called by the generator, on the code of prost-build, and by the check of conflicts.

use syn::{Item, Meta};

/// Renames the fields in the code of prost-build.
pub(crate) fn rename(items: &mut [Item]) {
    for item in items {
        match item {
            Item::Struct(item) => {
                for field in item.fields.iter_mut().filter(|field| is_enum_map(field)) {
                    if let Some(name) = &mut field.ident {
                        *name = proc_macro2::Ident::new(&named(&name.to_string()), name.span());
                    }
                }
            }
            Item::Mod(item) => {
                if let Some((_, items)) = &mut item.content {
                    rename(items);
                }
            }
            _ => {}
        }
    }
}

/// Returns the name of a map field of enums: that of any other field, unless it is raw.
pub(crate) fn named(rust: &str) -> String {
    match rust.strip_prefix("r#") {
        Some(keyword) => format!("{keyword}_"),
        None => rust.to_owned(),
    }
}

/// Returns whether a field has an attribute such as `#[prost(map = "string, enumeration(E)", tag =
/// "1")]`.
fn is_enum_map(field: &syn::Field) -> bool {
    field.attrs.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("prost") => {
            let text = list.tokens.to_string();
            let is_map = text.starts_with("map ") || text.starts_with("btree_map ");
            is_map && text.contains("enumeration(")
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens as _;
    use syn::parse_quote;

    #[test]
    fn only_a_raw_name_of_a_map_of_enums_changes() {
        let file: syn::File = parse_quote! {
            pub struct M {
                #[prost(enumeration = "E", tag = "1")]
                pub r#fn: i32,
                #[prost(map = "string, int32", tag = "2")]
                pub r#in: HashMap<String, i32>,
                #[prost(map = "string, enumeration(E)", tag = "3")]
                pub kind: HashMap<String, i32>,
                #[prost(map = "string, enumeration(E)", tag = "4")]
                pub r#type: HashMap<String, i32>,
            }
            pub mod m {
                pub struct N {
                    #[prost(btree_map = "string, enumeration(super::E)", tag = "1")]
                    pub r#async: BTreeMap<String, i32>,
                }
            }
        };
        let mut items = file.items;
        rename(&mut items);
        let text: String = items
            .iter()
            .map(|item| item.to_token_stream().to_string())
            .collect();
        for (name, expected) in [
            ("pub r#fn :", true),
            ("pub r#in :", true),
            ("pub kind :", true),
            ("pub type_ :", true),
            ("pub async_ :", true),
            ("r#type", false),
        ] {
            assert_eq!(text.contains(name), expected, "{name}: {text}");
        }
    }
}
