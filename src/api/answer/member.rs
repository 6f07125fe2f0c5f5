//! Types of members, with the names of the values of ours.

use crate::eval_set::CaseMatch;
use crate::evaluation::GroupBy;
use crate::metrics;
use crate::metrics::trajectory::{ArgsMode, MatchType};
use crate::outbox::{MessageState, Phase};
use crate::runs::{EvaluatorType, EventKind, ResultStatus, RunStatus, Verdict};
use crate::schema::vocabulary;
pub(in crate::api) use crate::schema::{Described, FreeObject, Named, Nullable, RawObject, Time, Vocabulary};
use crate::spec::{SinkKind, TargetKind};

vocabulary!(
    RunStatus,
    "RunStatus",
    "Where a run stands: whether the machine did its work. `succeeded`, `failed` and `cancelled` are final unless \
     the run is retried."
);
vocabulary!(Verdict, "Verdict", "What the agent's behaviour was worth.");
vocabulary!(
    TargetKind,
    "TargetKind",
    "Where the traces of a run come from. `uploaded` ones were evaluated at once and not kept."
);
vocabulary!(
    metrics::EvalStatus,
    "MetricStatus",
    "What the score of a metric was worth; `INFORMATIONAL` is a number to watch that neither passes nor fails."
);
vocabulary!(CaseMatch, "EvalCaseMatch", "How the eval case was found that a conversation is compared with.");
vocabulary!(EventKind, "EventKind", "What happened to a run.");
vocabulary!(SinkKind, "SinkKind", "How a sink takes what it is sent.");
vocabulary!(
    Phase,
    "MessagePhase",
    "What a message to a sink tells of: new results, a run that was evaluated, or one that was not."
);
vocabulary!(
    MessageState,
    "DeliveryState",
    "Where a message stands: it waits for its turn, an answer or another attempt; the sink has it; or it is given up."
);
vocabulary!(GroupBy, "GroupBy", "What is evaluated together.");
vocabulary!(MatchType, "TrajectoryMatchType", "How the order of tool calls is compared.");
vocabulary!(ArgsMode, "TrajectoryArgs", "How the arguments of tool calls are compared.");
vocabulary!(ResultStatus, "ResultStatus", "What the score of one metric on one evaluation unit was worth.");
vocabulary!(EvaluatorType, "EvaluatorType", "What computes a metric.");
