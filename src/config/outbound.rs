//! Options of outbound calls: allowed addresses, and limits on fetching traces.

use std::time::Duration;

use clap::Args;

use super::parse_seconds;
use crate::net::{Outbound, OutboundRules};
use crate::sources::FetchLimits;

/// Options of outbound calls.
#[derive(Debug, Args)]
#[command(next_help_heading = "Outbound calls")]
pub struct OutboundArguments {
    /// Destinations that runs may use besides public addresses: blocks (10.0.0.0/8), addresses and hosts (x.example.org,
    /// *.example.org), each with :PORT or without, separated by commas
    #[arg(
        long,
        env = "AGENTEVALS_OUTBOUND_ALLOW",
        default_value = "",
        hide_default_value = true,
        value_name = "LIST"
    )]
    outbound_allow: OutboundRules,
    /// Longest duration of fetching a trace, in seconds
    #[arg(long, env = "AGENTEVALS_FETCH_TIMEOUT_S", default_value = "30", value_parser = parse_seconds,
        value_name = "SECONDS")]
    fetch_timeout_s: Duration,
    /// Largest trace that is fetched, in bytes
    #[arg(long, env = "AGENTEVALS_FETCH_MAX_BYTES", default_value_t = 64 << 20, value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(1024..=1 << 30))]
    fetch_max_bytes: u64,
}

impl OutboundArguments {
    /// The client for outbound calls.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn outbound(&self) -> anyhow::Result<Outbound> {
        Outbound::new(self.outbound_allow.clone())
    }

    /// Limits on fetching a trace.
    pub fn fetch_limits(&self) -> FetchLimits {
        FetchLimits {
            timeout: self.fetch_timeout_s,
            max_bytes: usize::try_from(self.fetch_max_bytes).unwrap_or(usize::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        outbound: OutboundArguments,
    }

    #[test]
    fn what_is_not_set_is_as_the_limits_have_it() {
        let Program { outbound } = Program::parse_from(["x"]);
        assert_eq!(outbound.fetch_limits(), FetchLimits::default());
        assert_eq!(outbound.outbound_allow, OutboundRules::default());
    }

    #[test]
    fn an_allowance_that_means_nothing_is_refused() {
        let error = Program::try_parse_from(["x", "--outbound-allow", "10.0.0.0/8,http://x"]).unwrap_err();
        assert!(error.to_string().contains("`http://x` is no address"), "{error}");
    }
}
