//! Reports as text: a table and a summary for people, JSON for programs.
//!
//! Each format is one file with a function `write`; [`write()`] chooses between them. A format sees nothing but the
//! report and the [`RenderOptions`]: the caller knows whether it writes to a terminal or to a file. `phrases` has the
//! marks, reasons and closing lines on which the formats for people agree, `text` the escaping and the spelling of
//! durations and counts.

mod json;
mod options;
mod performance;
mod phrases;
mod render;
mod responses;
mod summary;
mod table;
mod text;

pub use options::RenderOptions;
pub use render::write;
pub use text::{counted, printable};
