//! The imports of small source trees.

use std::fs;
use std::path::{Path, PathBuf};

use rgrpc_architecture::{Imports, circles};

/// A source tree in a temporary folder, which is removed with it.
struct Source(PathBuf);

impl Source {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        for (file, text) in files {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder is made");
            fs::write(file, text).expect("a file is written");
        }
        Self(folder)
    }

    /// The imports, as `from > to`.
    fn imports(&self) -> Vec<String> {
        let imports = Imports::of(&self.0);
        let mut all = Vec::new();
        for folder in imports.folders() {
            for (from, used) in imports.between_entries(&folder) {
                for to in used {
                    let pairs = imports.between(&folder, &from, &to);
                    let pairs = pairs.iter();
                    all.extend(pairs.map(|(a, b)| format!("{} > {}", a.display(), b.display())));
                }
            }
        }
        all
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_path_through_re_exports_leads_to_the_definition() {
    let source = Source::new(
        "re_exports",
        &[
            (
                "lib.rs",
                "mod a; mod b; pub use a::Deep; pub use bytes::Bytes;",
            ),
            (
                "a/mod.rs",
                "mod inner; mod beside; pub use inner::Deep as Deep;",
            ),
            ("a/inner.rs", "pub struct Deep;"),
            ("a/beside.rs", "pub struct Other;"),
            (
                "b.rs",
                "use crate::{Bytes, Deep}; use crate::a::Deep as Again;",
            ),
        ],
    );
    assert_eq!(source.imports(), ["b.rs > a/inner.rs"]);
}

#[test]
fn super_leads_to_the_parent_as_often_as_it_stands() {
    let source = Source::new(
        "parents",
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod deep; pub(crate) mod c;"),
            ("a/c.rs", "pub struct C;"),
            ("a/deep/mod.rs", "mod leaf;"),
            (
                "a/deep/leaf.rs",
                "use super::super::c::C; fn run() { super::super::super::b::run(); }",
            ),
            ("b.rs", "pub fn run() {}"),
        ],
    );
    assert_eq!(
        source.imports(),
        ["a/deep/leaf.rs > b.rs", "a/deep/leaf.rs > a/c.rs"]
    );
}

#[test]
fn a_renamed_import_leads_to_the_definition() {
    let source = Source::new(
        "renamed",
        &[
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "pub struct A; pub mod inner { pub struct Inner; }"),
            (
                "b.rs",
                "pub use crate::a::A as B; pub use crate::a::inner as within;",
            ),
            (
                "c.rs",
                "use crate::b::{self as renamed}; fn c(_: renamed::B) {}",
            ),
            ("d.rs", "use crate::b::within; fn d(_: within::Inner) {}"),
        ],
    );
    // A re-export is an import too, and the rename of a module one of that module.
    assert_eq!(
        source.imports(),
        ["b.rs > a.rs", "c.rs > a.rs", "c.rs > b.rs", "d.rs > a.rs"]
    );
}

#[test]
fn macros_and_function_bodies_import() {
    let source = Source::new(
        "bodies",
        &[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "pub fn a() {}"),
            (
                "b.rs",
                "fn b() { assert!(vec![crate::a::a()].is_empty()); }",
            ),
            ("c.rs", "fn c() { use super::a::a; a(); }"),
        ],
    );
    assert_eq!(source.imports(), ["b.rs > a.rs", "c.rs > a.rs"]);
}

#[test]
fn the_path_of_a_macro_leads_to_its_definition() {
    let source = Source::new(
        "macro_paths",
        &[
            ("lib.rs", "mod a; mod b; mod c; pub use b::b;"),
            (
                "a.rs",
                "macro_rules! make { () => { $crate::b::b() }; } pub(crate) use make;",
            ),
            ("b.rs", "pub fn b() {}"),
            ("c.rs", "fn c() { crate::a::make!(); }"),
        ],
    );
    assert_eq!(source.imports(), ["a.rs > b.rs", "c.rs > a.rs"]);
}

#[test]
fn tests_import_nothing() {
    let source = Source::new(
        "tests",
        &[
            ("lib.rs", "mod a; mod b; #[cfg(test)] mod absent;"),
            ("a.rs", "pub fn a() {}"),
            (
                "b.rs",
                "#[cfg(test)] use crate::a::a; #[cfg(test)] fn helper() { crate::a::a(); } \
                 #[cfg(test)] mod tests { use super::*; use crate::a::a; }",
            ),
        ],
    );
    assert!(source.imports().is_empty(), "{:?}", source.imports());
}

#[test]
fn a_variable_with_a_modules_name_is_no_import() {
    let source = Source::new(
        "variables",
        &[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod name; mod user;"),
            ("a/name/mod.rs", "mod inner;"),
            ("a/name/inner.rs", "pub fn inner() {}"),
            ("a/user.rs", "fn run(name: u8) -> u8 { name }"),
        ],
    );
    assert!(source.imports().is_empty(), "{:?}", source.imports());
}

#[test]
fn a_function_with_its_modules_name_is_found_in_its_file() {
    let source = Source::new(
        "same_name",
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "pub mod make; pub use make::make;"),
            (
                "a/make/mod.rs",
                "mod inner; pub use inner::make; pub struct Made;",
            ),
            ("a/make/inner.rs", "pub fn make() {}"),
            (
                "b.rs",
                "use crate::a::make; fn b(_: make::Made) { make(); }",
            ),
        ],
    );
    let found = ["b.rs > a/make/inner.rs", "b.rs > a/make/mod.rs"];
    assert_eq!(source.imports(), found);
}

#[test]
fn a_circle_through_a_re_export_is_found() {
    let source = Source::new(
        "circle",
        &[
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B; impl From<crate::A> for B {}"),
        ],
    );
    let imports = Imports::of(&source.0);
    let found = circles(&imports.between_entries(Path::new("")));
    let found: Vec<Vec<String>> = found
        .into_iter()
        .map(|one| one.into_iter().collect())
        .collect();
    assert_eq!(found, [["a", "b"]]);
}
