//! What the README promises.

use std::fs;
use std::path::Path;

use clap::CommandFactory;

use crate::support::agentevals;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn without_times(text: &str) -> String {
    regex::Regex::new(r"\b\d+ms\b").unwrap().replace_all(text, "0ms").into_owned()
}

#[test]
fn its_first_command_prints_what_it_shows() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let block =
        readme.split("```console\n$ cargo run --release -- ").nth(1).unwrap().split("```").next().unwrap();
    let (command, shown) = block.split_once('\n').unwrap();
    let output = agentevals().args(command.split_whitespace()).current_dir(root()).output().unwrap();
    assert_eq!(without_times(&String::from_utf8(output.stdout).unwrap()), without_times(shown));
}

#[test]
fn every_environment_variable_is_listed() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut known = 0;
    for command in agentevals::cli::Arguments::command().get_subcommands() {
        for variable in command.get_arguments().filter_map(|argument| argument.get_env()) {
            let variable = variable.to_str().unwrap();
            assert!(readme.contains(&format!("`{variable}`")), "README.md does not mention {variable}");
            known += 1;
        }
    }
    assert!(known > 5, "only {known} variables are known");
}

#[test]
fn every_option_of_run_is_listed() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let help = agentevals().args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = regex::Regex::new(r"(?m)^ +(?:-\w, )?(--[a-z-]+)").unwrap();
    let options: Vec<_> = options.captures_iter(&help).map(|found| found[1].to_owned()).collect();
    assert!(options.len() > 10, "{options:?}");
    for option in options.iter().filter(|option| !matches!(&***option, "--help" | "--version" | "--verbose"))
    {
        assert!(readme.contains(&**option), "README.md does not mention {option}");
    }
}

#[test]
fn its_configuration_is_accepted() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let block = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = agentevals::evaluation::config::EvalConfig::parse(block).unwrap();
    assert_eq!(config.evaluators.unwrap().len(), 2);
}
