//! Typed ids, so that a run id cannot be passed for a lease id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// Id of a run, chosen by its submitter or generated.
    RunId
}

id! {
    /// Id of a lease. Each claim makes a new one, and every write names it, so that a worker that lost its lease can
    /// write nothing.
    LeaseId
}

impl RunId {
    /// A new id, ordered by time of creation.
    pub fn new_v7() -> Self {
        Self(Uuid::now_v7())
    }
}

impl LeaseId {
    /// A new random id.
    pub fn new_random() -> Self {
        Self(Uuid::new_v4())
    }
}
