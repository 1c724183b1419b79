//! The code in `src/proto`, which `buf generate` wrote, against what `build.rs` generated just now
//! with the embedded compiler.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/proto");
const GENERATED: &str = env!("OUT_DIR");

fn files(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a name in UTF-8"))
        .collect()
}

fn read(folder: &str, file: &str) -> String {
    fs::read_to_string(Path::new(folder).join(file)).expect("the file is there")
}

#[test]
fn checked_in_code_is_what_the_embedded_compiler_generates() {
    let files = files(CHECKED_IN);
    assert!(files.contains("mod.rs") && files.contains("helloworld.rs"));
    for file in files {
        // Not `assert_eq!`: nobody wants to read two whole files.
        assert!(
            read(CHECKED_IN, &file) == read(GENERATED, &file),
            "src/proto/{file} is out of date: run `buf generate` in the repository's root"
        );
    }
}

#[test]
fn checked_in_code_is_all_that_its_mod_rs_includes() {
    let included: BTreeSet<String> = read(CHECKED_IN, "mod.rs")
        .split("include!(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(file, _)| file.to_owned())
        .chain(["mod.rs".to_owned()])
        .collect();
    assert_eq!(files(CHECKED_IN), included);
}
