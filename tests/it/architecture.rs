//! What a workspace of crates would enforce: modules use only those below them, and files have no circles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// The floors of the house, lowest first. A module may use lower floors, never its own or a higher one.
const FLOORS: [&[&str]; 16] = [
    &["batch", "ids", "json", "names", "net", "pace", "schema", "shutdown"],
    &["invocation", "trace"],
    &["eval_set", "extraction"],
    &["metrics"],
    &["evaluation"],
    &["reports"],
    &["credentials"],
    &["evaluators", "otel_export", "sources"],
    &["spec"],
    &["runs"],
    &["outbox"],
    &["uploads"],
    &["queue"],
    &["api", "storage"],
    &["config"],
    &["cli"],
];

/// Up to this module the code is pure: no runtime, no network, no database.
const HIGHEST_PURE: &str = "reports";

/// Leaves that are not pure: they guard the network, and time or group attempts.
const IMPURE_LEAVES: [&str; 4] = ["batch", "net", "pace", "shutdown"];

/// What pure code does not name.
const IMPURE: [&str; 10] = [
    "tokio",
    "tokio_util",
    "tokio_stream",
    "tokio_postgres",
    "poem",
    "reqwest",
    "bb8",
    "std::process",
    "std::fs",
    "std::net",
];

/// Libraries that stay in their rooms.
const AT_HOME: [(&str, &[&str]); 4] = [
    ("poem", &["api", "cli"]),
    ("poem_openapi", &["api", "schema"]),
    ("tokio_postgres", &["storage"]),
    ("bb8", &["storage"]),
];

/// Most lines of a module, unit tests included; one with more is two ideas.
const MAX_LINES: usize = 3000;

/// Modules that have an adapter or a resource for everything, and so may have more.
const LARGE: [&str; 2] = ["api", "storage"];

#[test]
fn modules_use_only_what_lies_below_them() {
    let mut faults = Vec::new();
    for file in HOUSE.files.values() {
        let Some(floor) = floor(file.top()) else {
            faults.push(format!("{}: module `{}` has no floor; add it to the map", file.name(), file.top()));
            continue;
        };
        // Re-exports count too: they would lend a module to those below it.
        for path in file.paths.iter().chain(file.exports.values()) {
            let used = HOUSE.absolute(&file.module, path);
            match self::floor(&used[0]) {
                _ if used[0] == file.top() => {}
                Some(below) if below < floor => {}
                _ => faults.push(format!("{}: `{}` must not use `{}`", file.name(), file.top(), used[0])),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_is_imported_in_a_way_that_hides_what_it_is() {
    let mut faults = Vec::new();
    for file in HOUSE.files.values() {
        for path in file.paths.iter().chain(file.exports.values()) {
            if path[path.len() - 1] == "*" || path == &["crate"] {
                faults.push(format!("{}: imports `{}`; name what is used", file.name(), path.join("::")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_core_does_no_input_or_output() {
    let highest = floor(HIGHEST_PURE);
    let mut faults = Vec::new();
    for file in HOUSE.files.values() {
        if floor(file.top()) <= highest && !IMPURE_LEAVES.contains(&file.top()) {
            let named = IMPURE.iter().filter(|name| file.foreign.contains(**name));
            faults.extend(named.map(|name| format!("{}: names `{name}`", file.name())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn libraries_stay_in_their_rooms() {
    let mut faults = Vec::new();
    for file in HOUSE.files.values() {
        for (library, rooms) in AT_HOME {
            if file.foreign.contains(library) && !rooms.contains(&file.top()) {
                faults.push(format!("{}: names `{library}`, which is at home in {rooms:?}", file.name()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_depends_on_itself_by_way_of_others() {
    let house = &*HOUSE;
    let uses: BTreeMap<_, _> = house.files.values().map(|file| (&*file.module, house.uses(file))).collect();
    let circles: Vec<_> = uses.keys().filter_map(|start| circle(&uses, start)).collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn no_module_is_two_ideas() {
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for file in HOUSE.files.values() {
        *lines.entry(file.top().to_owned()).or_default() +=
            fs::read_to_string(&file.path).unwrap().lines().count();
    }
    lines.retain(|module, lines| *lines > MAX_LINES && !LARGE.contains(&&**module));
    assert!(lines.is_empty(), "{lines:?}");
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The shortest way from a module back to itself, in words.
fn circle(uses: &BTreeMap<&[String], BTreeSet<&[String]>>, start: &[String]) -> Option<String> {
    let mut ways: Vec<Vec<&[String]>> = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in &uses[way[way.len() - 1]] {
                if *next == start {
                    let names: Vec<_> = way.iter().chain([next]).map(|module| module.join("::")).collect();
                    return Some(names.join(" → "));
                }
                if seen.insert(*next) {
                    longer.push([&way[..], &[next]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

static CHILD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bmod (\w+);").unwrap());
static USE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^[ \t]*(pub(?:\([^)]*\))? )?use ([^;]+);").unwrap());
static PATH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?:^|[^:\w])(\w+(?:::\w+)+)").unwrap());
static VISIBILITY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"pub\(in [^)]*\)").unwrap());

/// The path of a module from the crate's root: `["json", "reader"]`.
type Module = Vec<String>;

static HOUSE: LazyLock<House> = LazyLock::new(House::read);

/// Every source file but unit tests, and `lib.rs` and `main.rs`, which may use everything.
struct House {
    files: BTreeMap<Module, SourceFile>,
}

struct SourceFile {
    path: PathBuf,
    module: Module,
    /// All that is named by a path from `crate`, `super` or `self`, or by way of a child, re-exports aside.
    paths: Vec<Vec<String>>,
    /// Libraries that are named, and their modules: `std`, `std::fs`.
    foreign: BTreeSet<String>,
    /// Where the names come from that this file re-exports.
    exports: BTreeMap<String, Vec<String>>,
}

impl House {
    fn read() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = Vec::new();
        collect(&source, &mut paths);
        let files = paths.into_iter().map(|path| SourceFile::read(&source, path));
        let is_test = |file: &SourceFile| file.module.last().is_some_and(|last| last == "tests");
        let files = files.filter(|file| !matches!(file.top(), "lib" | "main") && !is_test(file));
        let files: BTreeMap<_, _> = files.map(|file| (file.module.clone(), file)).collect();
        assert!(files.len() > 100, "{} files", files.len());
        Self { files }
    }

    /// The modules whose definitions a file uses.
    fn uses(&self, file: &SourceFile) -> BTreeSet<&[String]> {
        let used = file.paths.iter().filter_map(|path| self.definer(&file.module, path));
        used.filter(|module| *module != file.module).collect()
    }

    /// A path from the crate's root, which is left out.
    fn absolute(&self, from: &[String], path: &[String]) -> Vec<String> {
        let mut absolute = from.to_vec();
        for segment in path {
            match &**segment {
                "crate" => absolute.clear(),
                "self" => {}
                "super" => drop(absolute.pop()),
                name => absolute.push(name.to_owned()),
            }
        }
        if absolute.is_empty() { path.to_vec() } else { absolute }
    }

    /// The module that defines what a path names, re-exports followed.
    fn definer(&self, from: &[String], path: &[String]) -> Option<&[String]> {
        let mut module = from.to_vec();
        for (index, segment) in path.iter().enumerate() {
            match &**segment {
                "crate" => module.clear(),
                "self" => {}
                "super" => drop(module.pop()),
                name => {
                    let child = [&module[..], &[name.to_owned()]].concat();
                    if self.files.contains_key(&child) {
                        module = child;
                        continue;
                    }
                    let exported = self.files.get(&module).and_then(|file| file.exports.get(name));
                    match exported {
                        Some(origin) => {
                            let rest = [&origin[..], &path[index + 1..]].concat();
                            return self.definer(&module, &rest);
                        }
                        None => break,
                    }
                }
            }
        }
        self.files.get(&module).map(|file| &*file.module)
    }
}

impl SourceFile {
    fn read(source: &Path, path: PathBuf) -> Self {
        let inside = path.strip_prefix(source).unwrap().with_extension("");
        let mut module: Module =
            inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let code = code(&path);
        let (mut paths, mut exports) = (Vec::new(), BTreeMap::new());
        let children: Vec<_> = CHILD.captures_iter(&code).map(|found| found[1].to_owned()).collect();
        let is_ours =
            |path: &[String]| matches!(&*path[0], "crate" | "super" | "self") || children.contains(&path[0]);
        let mut foreign = BTreeSet::new();
        let mut meet = |path: &[String]| {
            foreign.insert(path[0].clone());
            foreign.extend(path.get(1).map(|module| format!("{}::{module}", path[0])));
        };
        for found in USE.captures_iter(&code) {
            let mut named = Vec::new();
            flatten(Vec::new(), &found[2], &mut named);
            for (path, alias) in named {
                match found.get(1) {
                    _ if !is_ours(&path) => meet(&path),
                    Some(_) => drop(exports.insert(alias, path)),
                    None => paths.push(path),
                }
            }
        }
        let rest = USE.replace_all(&code, "");
        for found in PATH.captures_iter(&VISIBILITY.replace_all(&rest, "")) {
            let path: Vec<_> = found[1].split("::").map(str::to_owned).collect();
            if is_ours(&path) { paths.push(path) } else { meet(&path) }
        }
        Self { path, module, paths, foreign, exports }
    }

    fn top(&self) -> &str {
        &self.module[0]
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// The paths of a `use` tree, groups within groups included, each with the name that it is known by.
fn flatten(prefix: Vec<String>, tree: &str, paths: &mut Vec<(Vec<String>, String)>) {
    let tree = tree.trim();
    if let Some((before, group)) = tree.split_once('{') {
        let before = before.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let prefix = prefix.into_iter().chain(before).collect::<Vec<_>>();
        let group = group.trim_end().strip_suffix('}').expect("a group ends");
        let mut depth = 0;
        let is_between = |c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        };
        let parts: Vec<_> = group.split(is_between).filter(|part| !part.trim().is_empty()).collect();
        parts.into_iter().for_each(|part| flatten(prefix.clone(), part, paths));
        return;
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
    let names = path
        .split("::")
        .map(|name| name.trim().to_owned())
        .filter(|name| name != "self" || prefix.is_empty());
    let path: Vec<_> = prefix.iter().cloned().chain(names).collect();
    let alias = alias.map_or_else(|| path[path.len() - 1].clone(), |alias| alias.trim().to_owned());
    paths.push((path, alias));
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
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_are_read_with_groups_within_groups() {
    let mut paths = Vec::new();
    flatten(Vec::new(), "crate::{a::{self, B as C, d::{E}}, f}", &mut paths);
    let paths: Vec<_> = paths.iter().map(|(path, alias)| format!("{} {alias}", path.join("::"))).collect();
    assert_eq!(paths, ["crate::a a", "crate::a::B C", "crate::a::d::E E", "crate::f f"]);
}
