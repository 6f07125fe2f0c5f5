//! `agentevals run`: score trace files.
//!
//! `arguments` declares the options, `settings` combines them with a configuration file, `command` does the work:
//! read, evaluate, print, export.

mod arguments;
mod command;
mod otel_export;
mod progress;
mod settings;

pub use arguments::RunArguments;

pub(super) use command::run;
