//! What README and the pages of `docs/` say about options, attributes and metrics, and what lies at the top level.
//!
//! `dev/docs.sh` runs their commands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentevals::metrics::catalog;
use clap::{Arg, CommandFactory};
use regex::Regex;

use crate::support::agentevals;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The pages that link to each other.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let others =
        ["README.md", "chart/README.md", "clients/README.md", "samples/README.md", "benches/README.md"];
    others.map(|page| root().join(page)).into_iter().chain(docs).collect()
}

#[test]
fn readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines; move something to docs/");
}

/// Leaves out the column `Time`, which differs from run to run.
fn without_times(text: &str) -> String {
    Regex::new(r"(?m)^(  \[\w+\] .*?) +[\d.]+m?s$").unwrap().replace_all(text, "$1").into_owned()
}

#[test]
fn the_first_command_prints_what_readme_shows() {
    let readme = read("README.md");
    let block =
        readme.split("```console\n$ cargo run --release -- ").nth(1).unwrap().split("```").next().unwrap();
    let (command, shown) = block.split_once('\n').unwrap();
    let output = agentevals().args(command.split_whitespace()).current_dir(root()).output().unwrap();
    assert_eq!(without_times(&String::from_utf8(output.stdout).unwrap()), without_times(shown));
}

/// An option as the page and the program have it, besides its long name.
#[derive(Debug, PartialEq, Eq)]
struct OptionRow {
    short: Option<char>,
    variable: Option<String>,
    default: Option<String>,
}

/// The options of a command and of those below it, by long name. Hidden ones exist for their variables only.
fn options_of(command: &clap::Command) -> BTreeMap<String, OptionRow> {
    let shown = |option: &&Arg| !matches!(option.get_long(), None | Some("help" | "version" | "verbose"));
    let row = |option: &Arg| {
        let mut defaults =
            option.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
        let takes_value = option.get_action().takes_values();
        OptionRow {
            short: option.get_short(),
            variable: option.get_env().map(|name| name.to_string_lossy().into_owned()),
            default: defaults.find(|value| takes_value && !value.is_empty()),
        }
    };
    let own = command.get_arguments().filter(shown).filter(|option| !option.is_hide_set());
    let own = own.map(|option| (option.get_long().unwrap().to_owned(), row(option)));
    own.chain(command.get_subcommands().flat_map(options_of)).collect()
}

/// The rows about options in the sections whose headings name the command.
fn documented(page: &str, command: &str) -> BTreeMap<String, OptionRow> {
    let code = Regex::new("`([^`]+)`").unwrap();
    let words = |text: &str| code.captures_iter(text).map(|found| found[1].to_owned()).collect::<Vec<_>>();
    let sections = page
        .split("\n## ")
        .filter(|section| words(section.lines().next().unwrap()).iter().any(|named| named == command));
    let rows = sections.flat_map(|section| section.lines().filter(|line| line.starts_with("| `-")));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let names = words(cells[0]);
        let long = names.iter().find_map(|name| name.strip_prefix("--")).unwrap();
        let short =
            names.iter().find_map(|name| name.strip_prefix('-')?.chars().next().filter(|c| *c != '-'));
        let variable = words(cells[1]).into_iter().next();
        let default = Some(cells[2].trim_matches('`').to_owned()).filter(|default| !default.is_empty());
        (long.to_owned(), OptionRow { short, variable, default })
    })
    .collect()
}

#[test]
fn every_option_is_documented_with_its_variable_and_default() {
    let page = read("docs/configuration.md");
    for command in agentevals::cli::Arguments::command().get_subcommands() {
        let name = command.get_name();
        let (known, mut told) = (options_of(command), documented(&page, name));
        for (option, row) in &mut told {
            // A default that clap does not know is one in words, such as "all cores".
            if known.get(option).is_some_and(|known| known.default.is_none()) {
                row.default = None;
            }
        }
        assert_eq!(
            told, known,
            "docs/configuration.md about `{name}`, on the left, is not as the program has it"
        );
        for variable in command.get_arguments().filter_map(|argument| argument.get_env()) {
            let variable = variable.to_str().unwrap();
            assert!(
                page.contains(&format!("`{variable}`")),
                "docs/configuration.md does not mention {variable}"
            );
        }
    }
}

/// The texts of constants and arguments in the sources below a folder.
fn sources(folder: &str) -> String {
    fn collect(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => collect(&entry, text),
                false => text.push_str(&fs::read_to_string(entry).unwrap()),
            }
        }
    }
    let mut text = String::new();
    collect(&root().join(folder), &mut text);
    text
}

#[test]
fn every_attribute_that_is_read_is_documented() {
    let page = read("docs/traces.md");
    let constants = read("src/extraction/attrs.rs");
    let constant = Regex::new(r#"&str = "([^"]+)";"#).unwrap();
    let attributes: Vec<_> = constant.captures_iter(&constants).map(|found| found[1].to_owned()).collect();
    assert!(attributes.len() > 40, "only {} attributes are known", attributes.len());
    for attribute in attributes {
        assert!(page.contains(&format!("`{attribute}")), "docs/traces.md does not mention {attribute}");
    }
}

#[test]
fn the_warnings_that_are_documented_are_those_there_are() {
    let page = read("docs/traces.md");
    let rows = page.split("## Warnings").nth(1).unwrap().lines().filter(|line| line.starts_with("| `"));
    let code = Regex::new("`([a-z0-9_]+)`").unwrap();
    let told: BTreeSet<_> = rows
        .flat_map(|row| code.captures_iter(row.split(" | ").next().unwrap()).map(|it| it[1].to_owned()))
        .collect();
    let sources = ["src/trace", "src/extraction", "src/evaluation"].map(sources).concat();
    for warning in &told {
        assert!(sources.contains(&format!("\"{warning}\"")), "there is no warning {warning}");
    }
    for pushed in Regex::new(r#"push\(\s*"([a-z_]+)","#).unwrap().captures_iter(&sources) {
        assert!(told.contains(&pushed[1]), "docs/traces.md does not mention the warning {}", &pushed[1]);
    }
}

#[test]
fn every_metric_is_documented() {
    let page = read("docs/metrics.md");
    for metric in catalog::descriptions().filter(|metric| metric.is_working()) {
        assert!(
            page.contains(&format!("`{}`", metric.name)),
            "docs/metrics.md does not mention {}",
            metric.name
        );
    }
}

/// What GitHub and others make of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#]*)(?:#([^)]+))?\)").unwrap();
    let mut faults = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for found in link.captures_iter(&text).filter(|found| !found[1].contains("://")) {
            let target =
                if found[1].is_empty() { page.clone() } else { page.parent().unwrap().join(&found[1]) };
            let Ok(target) = fs::read_to_string(&target) else {
                faults.push(format!("{}: {} is not there", page.display(), &found[1]));
                continue;
            };
            let is_there = |wanted: &str| {
                target.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == wanted)
            };
            if let Some(wanted) = found.get(2).filter(|wanted| !is_there(wanted.as_str())) {
                faults.push(format!("{}: no heading #{}", page.display(), wanted.as_str()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Everything that belongs at the top level.
const TOP_LEVEL: [&str; 22] = [
    ".ci",
    ".containerignore",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Containerfile",
    "LICENSE",
    "README.md",
    "benches",
    "chart",
    "clients",
    "clippy.toml",
    "dev",
    "docs",
    "justfile",
    "openapi",
    "rustfmt.toml",
    "samples",
    "sql",
    "src",
    "tests",
];

#[test]
fn nothing_strays_at_the_top_level() {
    let listed = Command::new("git").arg("ls-files").current_dir(root()).output();
    let listed = listed.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    if listed.is_empty() {
        return; // sources without their history may lie among anything
    }
    let names: BTreeSet<_> = listed.lines().filter_map(|path| path.split('/').next()).collect();
    let stray: Vec<_> = names.into_iter().filter(|name| !TOP_LEVEL.contains(name)).collect();
    assert!(stray.is_empty(), "{stray:?} do not belong at the top level; see TOP_LEVEL in tests/it/docs.rs");
}
