//! API keys of judge models, under the names that the providers' libraries read.

use std::env;

use crate::api::ApiKeys;

/// Which keys the environment has. The keys themselves are not kept.
pub fn api_keys() -> ApiKeys {
    let has = |names: &[&str]| names.iter().any(|name| env::var_os(name).is_some_and(|key| !key.is_empty()));
    ApiKeys {
        google: has(&["GOOGLE_API_KEY", "GEMINI_API_KEY"]),
        anthropic: has(&["ANTHROPIC_API_KEY"]),
        openai: has(&["OPENAI_API_KEY"]),
    }
}
