//! The house's rules that a compiler does not hold: which room may name which, and that every
//! module says what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may name whom outside of tests. `relay` and `core` name nobody; the middle rooms never each other.
const ARROWS: [(&str, &[&str]); 7] = [
    ("flotilla-core", &[]),
    ("flotilla-relay", &[]),
    ("flotilla-registry", &["flotilla-core"]),
    ("flotilla-gateway", &["flotilla-core", "flotilla-relay"]),
    ("flotilla-worker", &["flotilla-core", "flotilla-relay"]),
    ("flotilla-testkit", &["flotilla-core"]),
    (
        "flotilla",
        &[
            "flotilla-core",
            "flotilla-gateway",
            "flotilla-registry",
            "flotilla-relay",
            "flotilla-worker",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// What each room of the workspace names, and from outside, without what only its tests do.
fn named() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rooms = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let needs = package["dependencies"].as_array().unwrap().iter();
        let names = needs.filter(|need| need["kind"] != "dev").map(|need| text(&need["name"]));
        (text(&package["name"]), names.collect())
    });
    rooms.collect()
}

#[test]
fn arrows_between_rooms_point_one_way() {
    let named = named();
    assert_eq!(named.len(), ARROWS.len(), "a new room needs its arrows: {:?}", named.keys());
    for (room, allowed) in ARROWS {
        let ours = named[room].iter().filter(|name| name.starts_with("flotilla"));
        let strangers: Vec<_> = ours.filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(strangers.is_empty(), "{room} names {strangers:?}");
    }
}

#[test]
fn only_the_registry_names_a_client_of_redis() {
    let who: Vec<_> = named()
        .into_iter()
        .filter(|(_, names)| names.contains("redis"))
        .map(|room| room.0)
        .collect();
    assert_eq!(who, ["flotilla-registry"]);
}

#[test]
fn core_can_be_simulated_because_it_has_no_world() {
    let named = named();
    for world in ["tokio", "hyper", "rustix", "tracing", "getrandom"] {
        assert!(!named["flotilla-core"].contains(world), "core names {world}");
    }
    let sources = sources(&root().join("crates/core/src"));
    for (path, text) in &sources {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for banned in [
            "SystemTime::now",
            "Instant::now",
            "std::fs",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "std::process",
            "std::thread",
        ] {
            assert!(!code.contains(banned), "{} uses {banned}", path.display());
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    let crates = root().join("crates");
    let sources = sources(&crates);
    assert!(sources.len() > 100, "the sources were not found: {}", sources.len());
    for (path, text) in &sources {
        assert!(text.starts_with("//!"), "{} does not begin with //!", path.display());
        let lines = text.lines().count();
        assert!(lines <= 700, "{} has {lines} lines: is it still one idea?", path.display());
    }
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && entry.file_name() != "target" {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}
