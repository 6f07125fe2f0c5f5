//! JSON as agents write it: a value type, a pull reader, and reading with located errors.
//!
//! The dialect is that of Python's `json` module, which most instrumented agents use: `NaN` and `Infinity` are
//! numbers, integers have any size, and of duplicate keys the last wins. The lexer is `jiter`, which refuses nesting
//! deeper than 200 levels.

pub mod checked;
mod python;
mod reader;
mod surrogates;
mod syntax;
mod text;
mod value;
mod yaml;

pub use python::{parse_float, parse_int};
pub use reader::{Reader, Token, parse};
pub use surrogates::repair_lone_surrogates;
pub use syntax::SyntaxError;
pub use text::{member_text, members_of, repaired};
pub use value::{Map, Value};
pub use yaml::parse_yaml;
