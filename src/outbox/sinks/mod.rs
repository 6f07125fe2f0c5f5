//! The protocol of each kind of sink: webhooks, files, standard output.

mod file;
mod lines;
mod signature;
mod stdout;
mod turns;
mod webhook;

pub(super) use file::FileWriter;
pub(super) use stdout::StdoutWriter;
pub(super) use webhook::Webhook;
