//! How messages get to the sinks of each kind.

mod file;
mod lines;
mod signature;
mod stdout;
mod turns;
mod webhook;

pub(super) use file::FileSink;
pub(super) use stdout::StdoutSink;
pub(super) use webhook::Webhook;
