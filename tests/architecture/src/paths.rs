//! The paths in the code of an item: those of its types, expressions, local `use` items and macros.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Field, ImplItem, Item, ItemUse, Macro, Stmt, TraitItem, UseTree};

use crate::test_code::is_test_code;

/// A path: its segments, as written.
pub(crate) type Path = Vec<String>;

/// Returns the paths that an item uses. Those that begin with `::` lead out of the crate and are left
/// out.
pub(crate) fn in_item(item: &Item) -> Vec<Path> {
    let mut found = Paths(Vec::new());
    found.visit_item(item);
    found.0
}

/// Returns the names that a `use` item brings into scope, each with its path.
///
/// # Panics
/// The item has a `*`, which hides what it imports.
pub(crate) fn of_use(item: &ItemUse) -> Vec<(String, Path)> {
    let mut names = Vec::new();
    if item.leading_colon.is_none() {
        of_tree(&item.tree, &mut Vec::new(), &mut names);
    }
    names
}

fn of_tree(tree: &UseTree, prefix: &mut Path, names: &mut Vec<(String, Path)>) {
    let (last, name) = match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            of_tree(&path.tree, prefix, names);
            prefix.pop();
            return;
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                of_tree(tree, prefix, names);
            }
            return;
        }
        UseTree::Glob(_) => panic!("`use {}::*` hides what it imports", prefix.join("::")),
        UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
        UseTree::Rename(rename) => (rename.ident.to_string(), rename.rename.to_string()),
    };
    let mut path = prefix.clone();
    // `use a::{self}` brings `a` into scope.
    let is_self = last == "self" && !path.is_empty();
    let name = match is_self && name == "self" {
        true => prefix.last().cloned().unwrap_or_default(),
        false => name,
    };
    if !is_self {
        path.push(last);
    }
    names.push((name, path));
}

struct Paths(Vec<Path>);

impl Paths {
    /// Adds the paths of several segments in tokens, which syn does not parse.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Path::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end(&mut path);
                    self.tokens(group.stream());
                    colons = 0;
                }
                _ => {
                    self.end(&mut path);
                    colons = 0;
                }
            }
        }
        self.end(&mut path);
    }

    fn end(&mut self, path: &mut Path) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.0.push(path);
        }
    }
}

impl<'a> Visit<'a> for Paths {
    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter();
            self.0
                .push(segments.map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'a Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        self.0
            .extend(of_use(item).into_iter().map(|(_, path)| path));
    }

    fn visit_item(&mut self, item: &'a Item) {
        if !is_test_code(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'a ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_test_code(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'a TraitItem) {
        let attributes = match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_test_code(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'a Field) {
        if !is_test_code(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_stmt(&mut self, statement: &'a Stmt) {
        let is_test_code = match statement {
            Stmt::Local(local) => is_test_code(&local.attrs),
            Stmt::Macro(statement) => is_test_code(&statement.attrs),
            // An item is asked when it is visited. Tests alone do not run an expression.
            Stmt::Item(_) | Stmt::Expr(..) => false,
        };
        if !is_test_code {
            visit::visit_stmt(self, statement);
        }
    }
}

/// The attributes of an item.
pub(crate) fn attributes(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn found(item: &Item) -> Vec<String> {
        in_item(item).iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn paths_are_found_in_types_bodies_and_macros() {
        let item = parse_quote! {
            fn run(input: a::Input<b::Inner>) -> Option<String> {
                use super::c::{D, E as F};
                debug!(target: "x", value = e::f(), "{}", g.h(i::J { k: l }));
                ::std::mem::drop(input);
                let made = D::new();
            }
        };
        let found = found(&item);
        for path in [
            "a::Input",
            "b::Inner",
            "super::c::D",
            "super::c::E",
            "e::f",
            "i::J",
            "D::new",
        ] {
            assert!(found.iter().any(|other| other == path), "{path}: {found:?}");
        }
        assert!(
            !found.iter().any(|path| path.starts_with("std")),
            "{found:?}"
        );
    }

    #[test]
    fn test_code_within_an_item_is_left_out() {
        let item = parse_quote! {
            impl Type {
                #[cfg(test)]
                fn for_tests() -> a::Left {}
                fn run(&self) {
                    #[cfg(test)]
                    let left = b::left();
                    c::run();
                }
            }
        };
        let found = found(&item);
        assert!(found.contains(&"c::run".to_owned()), "{found:?}");
        assert!(
            !found
                .iter()
                .any(|path| path.to_lowercase().contains("left")),
            "{found:?}"
        );
    }

    #[test]
    fn use_items_bring_names_into_scope() {
        let item = parse_quote! { pub use a::{self, b::{self as c, D}, E as F}; };
        let names = of_use(&item);
        let names: Vec<_> = names
            .iter()
            .map(|(name, path)| format!("{name} = {}", path.join("::")))
            .collect();
        assert_eq!(names, ["a = a", "c = a::b", "D = a::b::D", "F = a::E"]);
    }

    #[test]
    #[should_panic(expected = "`use a::b::*` hides what it imports")]
    fn a_glob_import_is_refused() {
        let _ = of_use(&parse_quote! { use a::b::*; });
    }
}
