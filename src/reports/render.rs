//! From a format's name to the file that writes it.

use std::io::{self, Write};

use super::{RenderOptions, json, summary, table};
use crate::evaluation::Report;
use crate::evaluation::config::OutputFormat;

/// Writes a report in a format.
///
/// # Errors
/// Those of `out`.
pub fn write(
    report: &Report,
    format: OutputFormat,
    options: RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        OutputFormat::Table => table::write(report, options, out),
        OutputFormat::Json => json::write(report, out),
        OutputFormat::Summary => summary::write(report, out),
    }
}
