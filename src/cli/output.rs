//! Standard output, and errors as one line.

use std::io::{self, BufWriter, Write};

use crate::evaluation::Report;
use crate::evaluation::config::OutputFormat;
use crate::reports::{self, RenderOptions, printable};

/// Prints a report, in colours on a terminal.
pub(super) fn print_report(report: &Report, format: OutputFormat) -> io::Result<()> {
    let options = RenderOptions { colors: console::colors_enabled() };
    to_stdout(|out| reports::write(report, format, options, out))
}

/// Prints lines, their control characters escaped.
pub(super) fn print_lines(lines: &[String]) -> io::Result<()> {
    to_stdout(|out| lines.iter().try_for_each(|line| writeln!(out, "{}", printable(line))))
}

/// Lets `write` fill standard output. A reader that closed the pipe, as `head` does, is no error.
fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// An error with its causes, on one line and without control characters.
pub fn one_line(error: &anyhow::Error) -> String {
    printable(&format!("{error:#}")).into_owned()
}
