//! The statements of `sql/queries`, each in a file of its own.

use std::borrow::Cow;

use tokio_postgres::types::{ToSql, Type};

use super::Schema;

/// A statement from its file, with the types of its parameters.
///
/// The types are declared so that a statement can be sent without asking the server first, and so that a test can
/// compare them with those that the server infers.
#[derive(Debug)]
pub struct Query {
    /// The path of its file below `sql/queries`, without the suffix.
    pub name: &'static str,
    /// The text of the file.
    pub sql: &'static str,
    /// The parameters `$1`, `$2`, …, list after list.
    pub lists: &'static [&'static ParameterList],
}

/// Consecutive parameters of a statement.
#[derive(Debug)]
pub struct ParameterList {
    /// Their names, where they have some: those of the columns that a statement makes of them.
    pub names: &'static [&'static str],
    /// Their types.
    pub types: &'static [Type],
}

impl ParameterList {
    /// Parameters without names.
    pub const fn unnamed(types: &'static [Type]) -> Self {
        Self { names: &[], types }
    }
}

impl Query {
    /// The statement with another schema in place of `agentevals`.
    pub fn render(&self, schema: &Schema) -> Cow<'static, str> {
        render(self.sql, schema)
    }

    /// The types of `$1`, `$2`, ….
    pub fn types(&self) -> Vec<Type> {
        self.lists.iter().flat_map(|list| list.types).cloned().collect()
    }

    /// Parameters with their types.
    pub(super) fn typed<'a>(
        &self,
        parameters: &'a [&'a (dyn ToSql + Sync)],
    ) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
        parameters.iter().copied().zip(self.types()).collect()
    }
}

/// Replaces the schema `agentevals` in SQL: as a qualifier (`agentevals.run`), as a name of its own (`"agentevals"`)
/// and at the beginning of a channel (`'agentevals:runs'`).
///
/// This is the only substitution in SQL of this program. It is safe because [`Schema`] allows only words; qualifiers
/// and names are quoted, so that reserved words work too.
pub(super) fn render(sql: &'static str, schema: &Schema) -> Cow<'static, str> {
    if schema.name() == Schema::DEFAULT {
        return Cow::Borrowed(sql);
    }
    let name = schema.name();
    let sql = sql
        .replace("agentevals.", &format!("\"{name}\"."))
        .replace("\"agentevals\"", &format!("\"{name}\""))
        .replace("'agentevals:", &format!("'{name}:"));
    Cow::Owned(sql)
}

/// The statement of a file below `sql/queries`: `query!("queue/claim", [TEXT, INT8, INT8])`, or
/// `query!("runs/submit", lists LISTS)` where lists of columns say what the parameters are.
macro_rules! query {
    ($name:literal) => {
        query!($name, [])
    };
    ($name:literal, [$($type:ident),* $(,)?]) => {
        query!(
            $name,
            lists &[&$crate::storage::postgres::query::ParameterList::unnamed(
                &[$(tokio_postgres::types::Type::$type),*]
            )]
        )
    };
    ($name:literal, lists $lists:expr) => {
        $crate::storage::postgres::Query {
            name: $name,
            sql: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/queries/", $name, ".sql")),
            lists: $lists,
        }
    };
}
pub(crate) use query;

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str =
        "CREATE SCHEMA \"agentevals\"; SELECT pg_notify('agentevals:runs', id) FROM agentevals.run";

    #[test]
    fn the_default_schema_leaves_the_file_as_it_stands() {
        assert_eq!(render(SQL, &Schema::default()), SQL);
    }

    #[test]
    fn another_schema_takes_its_place_quoted() {
        let rendered = render(SQL, &"user".parse().unwrap());
        assert_eq!(rendered, "CREATE SCHEMA \"user\"; SELECT pg_notify('user:runs', id) FROM \"user\".run");
    }

    #[test]
    fn names_that_are_no_words_are_refused() {
        let long = "x".repeat(49);
        for name in ["", "Evals", "1st", "pg_temp", "information_schema", "a-b", "a\"b", "a.b", "é", &*long]
        {
            assert!(name.parse::<Schema>().is_err(), "{name}");
        }
        for name in ["public", "_x", "team_2", &"x".repeat(48)] {
            assert!(name.parse::<Schema>().is_ok(), "{name}");
        }
    }
}
