//! The statements in `sql/queries`: each is used, and each suits the schema.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use agentevals::storage::postgres::{Schema, queries};
use regex::Regex;
use tokio_postgres::Statement;

use crate::support::postgres::TestDb;

/// `(uuid, int4) -> run_id uuid, attempt int2`.
fn signature(statement: &Statement) -> String {
    let parameters: Vec<_> = statement.params().iter().map(|parameter| parameter.name()).collect();
    let columns: Vec<_> = statement
        .columns()
        .iter()
        .map(|column| format!("{} {}", column.name(), column.type_().name()))
        .collect();
    format!("({}) -> {}", parameters.join(", "), columns.join(", "))
}

#[tokio::test]
async fn every_statement_suits_the_schema() {
    let database = TestDb::new().await;
    let client = database.client().await;
    let mut queries = queries();
    queries.sort_by_key(|query| query.name);
    let mut signatures = String::new();
    for query in queries {
        let prepared = client.prepare_typed(&query.render(&Schema::default()), &query.types()).await;
        let statement = prepared.unwrap_or_else(|error| panic!("{}: {:?}", query.name, error.as_db_error()));
        assert_eq!(statement.params(), query.types(), "{} declares other types", query.name);
        writeln!(signatures, "{}{}", query.name, signature(&statement).trim_end()).unwrap();
    }
    insta::assert_snapshot!(signatures);
}

/// Statements that take rows column by column name the columns themselves, which is easily got wrong.
#[test]
fn columns_have_the_same_names_in_statements_and_in_the_program() {
    let unnest = Regex::new(r"(?s)unnest\(([^)]*)\)\s+(?:WITH ORDINALITY\s+)?AS \w+ \(([^)]*)\)").unwrap();
    let parameter = Regex::new(r"^\$(\d+)::").unwrap();
    let mut compared = 0;
    for query in queries() {
        let names: Vec<_> = query.lists.iter().flat_map(|list| list.names).copied().collect();
        if names.is_empty() {
            continue;
        }
        for (name, place) in names.iter().zip(1..) {
            // Single values are named in the header.
            compared += usize::from(query.sql.contains(&format!("${place} {name} ")));
        }
        for found in unnest.captures_iter(query.sql) {
            let columns: Vec<_> = found[2].split(',').map(str::trim).collect();
            let places =
                found[1].split(',').map(|text| parameter.captures(text.trim()).expect("a parameter"));
            let places: Vec<usize> = places.map(|found| found[1].parse().unwrap()).collect();
            let named: Vec<_> = places.iter().map(|place| names[place - 1]).collect();
            assert_eq!(columns[..named.len()], named, "{}", query.name);
            compared += named.len();
        }
    }
    assert_eq!(
        compared,
        16 + 17 + 34,
        "all of `submit`, `record_finished` but for its single values, and `record`"
    );
}

#[test]
fn every_file_is_a_statement_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/queries");
    let mut files = BTreeSet::new();
    collect(&root, &root, &mut files);
    let listed: Vec<_> = queries().iter().map(|query| query.name.to_owned()).collect();
    assert_eq!(listed.len(), files.len(), "a statement is listed twice, or not at all");
    assert_eq!(BTreeSet::from_iter(listed), files);
}

/// The names of the files in a folder and below, as statements are named.
fn collect(folder: &Path, root: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, root, names);
        } else {
            let name = path.strip_prefix(root).unwrap().with_extension("");
            names.insert(name.to_str().unwrap().to_owned());
        }
    }
}
