//! The whole report as indented JSON.

use std::io::{self, Write};

use crate::evaluation::Report;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
