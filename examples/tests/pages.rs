//! The pages of the repository.

use std::fs;
use std::path::Path;

/// The targets of a page's links, `[text](target)`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

#[test]
fn relative_links_point_to_files_of_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut checked = 0;
    for page in [
        "README",
        "CONTRIBUTING",
        "SECURITY",
        "STATUS",
        "ARCHITECTURE",
    ] {
        let path = root.join(page).with_extension("md");
        let text = fs::read_to_string(&path).expect(page);
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || link.contains("://") {
                continue;
            }
            assert!(root.join(file).exists(), "{page}.md links to {file}");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked} links");
}
