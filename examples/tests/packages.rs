//! Tests of the packages on crates.io and docs.rs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

#[test]
fn a_package_has_its_readme_and_both_licences() {
    for package in ["rgrpc", "rgrpc-http2", "protoc-gen-rgrpc", "rgrpc-macros"] {
        let output = Command::new(env!("CARGO"))
            .args([
                "package",
                "--list",
                "--allow-dirty",
                "--offline",
                "--package",
                package,
            ])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        let files = String::from_utf8_lossy(&output.stdout);
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"] {
            assert!(
                files.lines().any(|line| line == file),
                "{package} has no {file}: {files}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

#[test]
fn the_front_page_shows_the_program_of_the_repositorys_readme() {
    let (whole, page) = (read("README.md"), read("runtime/rgrpc/README.md"));
    let start = whole.find("`Cargo.toml`:").expect("the program");
    let end = whole
        .find("Options of one call")
        .expect("the end of the program");
    assert!(page.contains(whole[start..end].trim()));

    let section = |text: &str| {
        let (_, rest) = text.split_once("## Not there yet\n").expect("the section");
        rest.split("\n## ").next().map(str::to_owned)
    };
    assert_eq!(section(&whole), section(&page));
}

#[test]
fn the_front_page_lists_every_feature() {
    let page = read("runtime/rgrpc/README.md");
    let manifest = read("runtime/rgrpc/Cargo.toml");
    let (_, rest) = manifest.split_once("[features]\n").expect("features");
    let section = rest.split("\n[").next().unwrap_or_default();
    let features = section
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" ="))
        .map(|(name, _)| name);
    // `fuzzing` is not part of the API.
    for feature in features.filter(|name| *name != "fuzzing") {
        assert!(page.contains(&format!("| `{feature}` |")), "{feature}");
    }
}
