//! The modules of the packages, with their files.
//!
//! Generated code refers to types of other packages by `super::…`, so the nesting of the modules is
//! part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::scan::Generated;

/// A module: the files of its package, and its submodules.
#[derive(Default)]
struct Tree<'a> {
    files: Vec<&'a str>,
    modules: BTreeMap<&'a str, Tree<'a>>,
}

/// Returns all packages as nested modules. Paths are below `base`, or relative without it.
pub(crate) fn nested(files: &[Generated], base: Option<&Path>) -> String {
    let mut root = Tree::default();
    for file in files {
        let node = file.module.iter().fold(&mut root, |node, part| {
            node.modules.entry(part).or_default()
        });
        node.files.push(&file.path);
    }
    let mut code = String::new();
    render(&root, 0, base, &mut code);
    code
}

/// Returns the files of one package, or `None` without any.
pub(crate) fn single(files: &[Generated], package: &str, base: &Path) -> Option<String> {
    let mut code = String::new();
    for file in files {
        if file.package == package || module_name(file) == package {
            include(&file.path, Some(base), &mut code);
        }
    }
    (!code.is_empty()).then_some(code)
}

/// Returns the names of all packages, for an error text.
pub(crate) fn names(files: &[Generated]) -> String {
    let names: BTreeSet<String> = files
        .iter()
        .map(|file| format!("`{}`", file.package))
        .collect();
    Vec::from_iter(names).join(", ")
}

/// Returns the module as a package name: `a.type`.
fn module_name(file: &Generated) -> String {
    file.module.join(".").replace("r#", "")
}

fn render(tree: &Tree<'_>, depth: usize, base: Option<&Path>, code: &mut String) {
    for path in &tree.files {
        include(path, base, code);
    }
    for (name, module) in &tree.modules {
        if depth == 0 {
            // Users cannot change the names and shapes that lints report, no program uses all of
            // its schemas, and derived code mentions deprecated messages.
            code.push_str(
                "#[allow(clippy::all, dead_code, deprecated, missing_docs, unreachable_pub)]\n",
            );
        }
        code.push_str(&format!("pub mod {name} {{\n"));
        render(module, depth + 1, base, code);
        code.push_str("}\n");
    }
}

fn include(path: &str, base: Option<&Path>, code: &mut String) {
    let path = match base {
        Some(base) => base.join(path).display().to_string(),
        None => path.to_owned(),
    };
    code.push_str(&format!("::core::include!({path:?});\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, package: &str, module: &[&str]) -> Generated {
        Generated {
            path: path.to_owned(),
            package: package.to_owned(),
            module: module.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    #[test]
    fn packages_are_nested_modules_with_the_files_of_all_folders() {
        let files = [
            file("a/keywords.pb.rs", "a.type", &["a", "r#type"]),
            file("b/more.grpc.rs", "a.type", &["a", "r#type"]),
            file("b/more.pb.rs", "a.type", &["a", "r#type"]),
            file("c.pb.rs", "a", &["a"]),
            file("none.pb.rs", "", &[]),
        ];
        assert_eq!(
            nested(&files, None),
            r#"::core::include!("none.pb.rs");
#[allow(clippy::all, dead_code, deprecated, missing_docs, unreachable_pub)]
pub mod a {
::core::include!("c.pb.rs");
pub mod r#type {
::core::include!("a/keywords.pb.rs");
::core::include!("b/more.grpc.rs");
::core::include!("b/more.pb.rs");
}
}
"#
        );
    }

    #[test]
    fn a_package_is_found_by_its_proto_name_or_its_module() {
        let files = [
            file("a.pb.rs", "Upper.type", &["upper", "r#type"]),
            file("b.pb.rs", "b", &["b"]),
        ];
        for (package, expected) in [
            ("Upper.type", Some("::core::include!(\"/out/a.pb.rs\");\n")),
            ("upper.type", Some("::core::include!(\"/out/a.pb.rs\");\n")),
            ("upper", None),
        ] {
            let code = single(&files, package, Path::new("/out"));
            assert_eq!(code.as_deref(), expected, "{package}");
        }
        assert_eq!(names(&files), "`Upper.type`, `b`");
    }
}
