//! Storage of runs: one contract for memory and PostgreSQL, what is PostgreSQL's own, and whether the two agree.
//!
//! A test with `fault_N` in its name would find a fault of the reference (agentevals 0.11), which has these about runs:
//!
//! 1. Cancelling a running run does not stop it; it ends as succeeded.
//! 2. Writes are not fenced: a worker that lost its run overwrites what the new one writes.
//! 3. A graceful shutdown cancels runs for good.
//! 4. A storage error while a failure is written ends the worker; one in a heartbeat makes the run execute twice.
//! 5. An idle worker can claim a recorded evaluation before it is marked as ended.
//! 6. Runs succeed without traces or with every metric errored.
//! 7. Nothing is tried again after failures that may pass, and the deadline is the same for every run.
//! 8. Pages over equal times lose and repeat runs.
//! 9. Messages to sinks are lost with their process, overtake the status, and repeat earlier results; and runs cannot
//!    be found by agent or eval set.
//! 10. Results of an earlier attempt stay that do not apply any more.
//! 11. Recorded evaluations seem to begin when they end.
//! 14. Results of one eval case cannot be compared over runs.
//! 16. NaN among the scores makes a run fail.

mod agreement;
mod contract;
mod finished;
mod outbox;
mod postgres;
