//! What a workspace of crates would enforce: modules use only what lies below them.

use std::fs;
use std::path::{Path, PathBuf};

/// Every top-level module and its level. A module may use lower levels, never its own or a higher one.
const LEVELS: [(&str, u8); 19] = [
    ("ids", 0),
    ("json", 0),
    ("trace", 1),
    ("invocation", 1),
    ("eval_set", 2),
    ("extraction", 2),
    ("metrics", 3),
    ("evaluation", 4),
    ("reports", 5),
    ("evaluators", 5),
    ("evaluation_events", 5),
    ("net", 5),
    ("shutdown", 5),
    ("wire", 5),
    ("runs", 6),
    ("storage", 8),
    ("api", 8),
    ("config", 9),
    ("cli", 10),
];

/// Up to this level the code is pure: no runtime, no network, no database.
const PURE_LEVEL: u8 = 4;

/// What pure code does not name.
const IMPURE: [&str; 7] = ["tokio", "poem", "reqwest", "bb8", "std::process", "std::fs", "std::net"];

#[test]
fn modules_use_only_what_lies_below_them() {
    let mut faults = Vec::new();
    for (module, file) in source_files() {
        let Some(level) = level(&module) else {
            faults.push(format!("{}: module `{module}` has no level; add it to the map", file.display()));
            continue;
        };
        for used in modules_used(&code(&file)) {
            match self::level(&used) {
                _ if used == module => {}
                Some(below) if below < level => {}
                _ => faults.push(format!("{}: `{module}` must not use `{used}`", file.display())),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_core_does_no_input_or_output() {
    let mut faults = Vec::new();
    for (module, file) in source_files() {
        if level(&module).is_some_and(|level| level <= PURE_LEVEL) {
            let code = code(&file);
            let named = IMPURE.iter().filter(|name| code.contains(&format!("{name}::")));
            faults.extend(named.map(|name| format!("{}: names `{name}`", file.display())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn level(module: &str) -> Option<u8> {
    LEVELS.iter().find(|(name, _)| *name == module).map(|(_, level)| *level)
}

/// Every source file with its top-level module; `lib.rs` and `main.rs` may use everything.
fn source_files() -> Vec<(String, PathBuf)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    let named = files.into_iter().map(|file| {
        let inside = file.strip_prefix(&source).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        (first.trim_end_matches(".rs").to_owned(), file)
    });
    named.filter(|(module, _)| !matches!(&**module, "lib" | "main")).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The code of a file without comments and unit tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The top-level modules named by `crate::…` paths, grouped imports included.
fn modules_used(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let names = rest.strip_prefix('{').map(|group| group.split('}').next().unwrap_or_default());
        for name in names.map_or(vec![rest], |group| group.split(',').map(str::trim).collect()) {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            used.push(name[..end].to_owned());
        }
    }
    used
}
