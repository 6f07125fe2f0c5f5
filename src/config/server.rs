//! Options of the server, of submissions, and of the log.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::Args;
use tracing::level_filters::LevelFilter;

use super::{AccessArguments, parse_whole_seconds};
use crate::api::ApiSettings;
use crate::api::access::AccessSettings;
use crate::queue::Resources;
use crate::spec::SubmissionRules;

/// Options of the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArguments {
    /// Address to listen on
    #[arg(long, env = "AGENTEVALS_HOST", default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// Port to listen on; 0 for any free one
    #[arg(short, long, env = "AGENTEVALS_PORT", default_value_t = 8001, value_name = "PORT")]
    port: u16,
    /// Largest request that is read, in bytes
    #[arg(long, env = "AGENTEVALS_MAX_BODY_BYTES", default_value_t = ApiSettings::DEFAULT_MAX_BODY_BYTES as u64, value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(1024..=1 << 30))]
    max_body_bytes: u64,
    /// Largest number of uploads that are evaluated at a time
    #[arg(long, env = "AGENTEVALS_MAX_CONCURRENT_EVALUATIONS", default_value_t = ApiSettings::DEFAULT_MAX_EVALUATIONS as u16,
        value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32))]
    max_concurrent_evaluations: u16,
    #[command(flatten)]
    access: AccessArguments,
}

impl ServerArguments {
    /// The address to listen on.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// The rules of access control.
    ///
    /// # Errors
    /// As [`AccessArguments::settings`].
    pub fn access(&self) -> anyhow::Result<AccessSettings> {
        self.access.settings(self.host)
    }

    /// Largest request that is read, in bytes.
    pub fn max_body_bytes(&self) -> usize {
        usize::try_from(self.max_body_bytes).unwrap_or(usize::MAX)
    }

    /// Largest number of uploads that are evaluated at a time.
    pub fn max_evaluations(&self) -> usize {
        self.max_concurrent_evaluations.into()
    }
}

/// Defaults and limits of submissions.
#[derive(Debug, Args)]
#[command(next_help_heading = "Runs")]
pub struct SubmissionArguments {
    /// Longest duration of one attempt in seconds, unless the submission sets another
    #[arg(long, env = "AGENTEVALS_RUN_DEADLINE_S", default_value = "300", value_parser = parse_whole_seconds,
        value_name = "SECONDS")]
    run_deadline_s: Duration,
    /// Longest duration that a submission may set
    #[arg(long, env = "AGENTEVALS_MAX_RUN_DEADLINE_S", default_value = "3600", value_parser = parse_whole_seconds,
        value_name = "SECONDS")]
    max_run_deadline_s: Duration,
    /// Attempts at a run, unless the submission sets another number
    #[arg(long, env = "AGENTEVALS_MAX_RUN_ATTEMPTS", default_value_t = 3, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100))]
    max_run_attempts: u32,
    /// Most attempts that a submission may set
    #[arg(long, env = "AGENTEVALS_RUN_ATTEMPTS_LIMIT", default_value_t = 10, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100))]
    run_attempts_limit: u32,
}

impl SubmissionArguments {
    /// The rules for submissions. They include those for `resources`, so that a run is refused at submission if it names
    /// a resource that it may not use.
    ///
    /// A default beyond its limit raises the limit, since the operator asked for that default.
    pub fn rules(&self, resources: &Resources) -> SubmissionRules {
        SubmissionRules {
            code: resources.code.rule(),
            credentials: resources.credentials.rules().clone(),
            outbound: resources.outbound.rules().clone(),
            default_deadline: self.run_deadline_s,
            max_deadline: self.max_run_deadline_s.max(self.run_deadline_s),
            default_attempts: self.max_run_attempts,
            max_attempts: self.run_attempts_limit.max(self.max_run_attempts),
            ..SubmissionRules::default()
        }
    }
}

/// Options of the log.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// Least severe level that is logged: error, warn, info, debug or trace
    #[arg(
        long,
        env = "AGENTEVALS_LOG_LEVEL",
        default_value = "info",
        value_name = "LEVEL",
        ignore_case = true
    )]
    log_level: LevelFilter,
}

impl LogArguments {
    /// The least severe level that is logged.
    pub fn level(&self) -> LevelFilter {
        self.log_level
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::credentials::Credentials;
    use crate::evaluators::CodePolicy;
    use crate::net::{Outbound, OutboundRules};
    use crate::sources::FetchLimits;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        submissions: SubmissionArguments,
    }

    #[test]
    fn what_is_not_set_is_as_the_rules_have_it() {
        let Program { submissions } = Program::parse_from(["x"]);
        let resources = Resources {
            code: CodePolicy::Refused,
            outbound: Outbound::new(OutboundRules::default()).unwrap(),
            credentials: Credentials::default(),
            fetch: FetchLimits::default(),
        };
        let expected = format!("{:?}", SubmissionRules::default());
        assert_eq!(format!("{:?}", submissions.rules(&resources)), expected);
    }
}
