//! The formats of recordings, and their names.

use std::fmt;
use std::str::FromStr;

/// A format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The export of Jaeger's UI and query API.
    JaegerJson,
    /// OTLP JSON in any of its wrappings.
    OtlpJson,
}

impl Format {
    /// The name used on the command line and in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::JaegerJson => "jaeger-json",
            Self::OtlpJson => "otlp-json",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "jaeger-json" => Ok(Self::JaegerJson),
            "otlp-json" => Ok(Self::OtlpJson),
            other => Err(format!("unknown trace format `{other}`; expected jaeger-json or otlp-json")),
        }
    }
}
