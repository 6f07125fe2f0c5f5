//! Types of members, and the names and descriptions of enumerations in the OpenAPI document.

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
    "State of the service's work on a run; the verdict is separate. `succeeded`, `failed` and `cancelled` are final \
     unless the run is retried."
);
vocabulary!(Verdict, "Verdict", "Whether the agent's behaviour passed; `errored` if it could not be judged.");
vocabulary!(
    TargetKind,
    "TargetKind",
    "Where the traces of a run come from. `uploaded` traces were sent to be evaluated at once and were not kept."
);
vocabulary!(
    metrics::EvalStatus,
    "MetricStatus",
    "Whether the score of a metric passed; an `INFORMATIONAL` one is reported and neither passes nor fails."
);
vocabulary!(CaseMatch, "EvalCaseMatch", "How the eval case for a conversation was found.");
vocabulary!(EventKind, "EventKind", "Kind of an event of a run.");
vocabulary!(SinkKind, "SinkKind", "How results are sent to a sink.");
vocabulary!(
    Phase,
    "MessagePhase",
    "Kind of a message to a sink: new results, the end of a run that was evaluated, or of one that was not."
);
vocabulary!(
    MessageState,
    "DeliveryState",
    "State of a message: waiting for its turn or for another attempt, delivered, or given up."
);
vocabulary!(GroupBy, "GroupBy", "Which traces are evaluated together.");
vocabulary!(MatchType, "TrajectoryMatchType", "How the order of tool calls is compared.");
vocabulary!(ArgsMode, "TrajectoryArgs", "How the arguments of tool calls are compared.");
vocabulary!(
    ResultStatus,
    "ResultStatus",
    "Whether the score of a result passed; `skipped` if it was not compared or is only reported."
);
vocabulary!(
    EvaluatorType,
    "EvaluatorType",
    "Type of an evaluator: a built-in metric, a program, or a remote service."
);
