//! The test of the checked-in code: `buf generate` wrote `src/proto`, and `build.rs` generates the
//! same code with the embedded compiler.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/proto");
const GENERATED: &str = env!("OUT_DIR");

/// Collects the Rust files of a folder and its subfolders.
fn files(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            self::files(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .strip_prefix(root)
                .expect("below")
                .display()
                .to_string();
            let text = fs::read_to_string(&path).expect("the file is readable");
            files.insert(name, text);
        }
    }
}

#[test]
fn checked_in_code_is_what_the_embedded_compiler_generates() {
    let [checked_in, generated] = [CHECKED_IN, GENERATED].map(|folder| {
        let mut found = BTreeMap::new();
        files(Path::new(folder), Path::new(folder), &mut found);
        found
    });
    let names = |files: &BTreeMap<String, String>| Vec::from_iter(files.keys().cloned());
    assert_eq!(names(&checked_in), names(&generated));
    for (name, text) in checked_in {
        // `assert_eq!` would print two whole files.
        assert!(
            text == generated[&name],
            "src/proto/{name} is out of date: run `buf generate` in the repository's root"
        );
    }
}
