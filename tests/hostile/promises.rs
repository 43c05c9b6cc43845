//! Every test and every fuzz target that docs/SECURITY.md names is there, and every target is named; and
//! where figures belong stand figures.

use std::{fs, path::Path};

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        // The fuzz targets' own folder holds what was built of them.
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, all);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn what_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let mut all = String::new();
    sources(&root.join("src"), &mut all);
    sources(&root.join("tests"), &mut all);
    let mut tests = 0;
    for name in page.split('`').skip(1).step_by(2) {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.matches('_').count() >= 3 && name.chars().all(is_word) {
            assert!(all.contains(&format!("fn {name}(")), "{name}");
            tests += 1;
        } else if name.starts_with("tests/") {
            let path = name.split(' ').next().unwrap();
            assert!(root.join(path).exists(), "{path}");
        }
    }
    assert!(tests > 30, "{tests}");
    let manifest = fs::read_to_string(root.join("tests/fuzz/Cargo.toml")).unwrap();
    let targets = manifest.split("[[bin]]\nname = \"").skip(1);
    for target in targets.map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.contains(&format!("\n| `{target}` |")), "{target}");
    }
}

/// A word in capitals that stands alone was written for somebody to replace.
#[test]
fn nothing_is_left_to_be_filled_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["docs/SECURITY.md", "docs/PERFORMANCE.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let is_left = |line: &&str| {
            let line = line.trim();
            !line.is_empty() && line.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        };
        let left: Vec<&str> = text.lines().filter(is_left).collect();
        assert!(left.is_empty(), "{page}: {left:?}");
    }
}
