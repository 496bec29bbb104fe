//! Every promise of docs/promises.md names a test, and the test is there.

use std::collections::BTreeSet;
use std::path::Path;

use flotilla_testkit::bed;

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The names of test functions in a crate: `fn name` on the line after a test attribute.
fn tests_of(krate: &str) -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&bed::workspace().join("crates").join(krate), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            let function = line.strip_prefix("async ").unwrap_or(line);
            match function.strip_prefix("fn ") {
                Some(rest) if marked => {
                    names.insert(rest.split(['(', '<']).next().unwrap().to_owned());
                    marked = false;
                }
                _ => marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test"),
            }
        }
    }
    names
}

/// The proofs on a line: words in back-quotes of the form `crate::test_name`.
fn proofs(line: &str) -> Vec<(&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::")).collect()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let text = std::fs::read_to_string(bed::workspace().join("docs/promises.md")).unwrap();
    let mut promises = 0;
    let mut wrong = Vec::new();
    let numbered = |line: &&str| line.starts_with("| C") || line.starts_with("| U");
    for line in text.lines().filter(numbered) {
        promises += 1;
        let named = proofs(line);
        if named.is_empty() {
            wrong.push(format!("no proof: {line}"));
        }
        for (krate, test) in named {
            if !tests_of(krate).contains(test) {
                wrong.push(format!("no such test in {krate}: {test}"));
            }
        }
    }
    assert!(promises >= 20, "the table was read: {promises} rows");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    let tests = tests_of("flotilla");
    assert!(tests.contains("a_test_that_does_not_exist_is_noticed"));
    assert!(!tests.contains("tests_of"), "a function is no test");
    assert_eq!(
        proofs("| C1 | x | `flotilla::a`, `b` and `core::c` |"),
        [("flotilla", "a"), ("core", "c")]
    );
}
