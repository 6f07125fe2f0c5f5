//! Runs in memory.

use std::ops::Bound;
use std::time::Duration;

use async_trait::async_trait;

use super::store::MemoryStore;
use crate::ids::RunId;
use crate::runs::{
    Ending, Hint, ResultFilter, Retried, Run, RunFilter, RunStatus, Runs, StoreResult, StoredResult,
    Submitted,
};
use crate::spec::{Submission, TargetKind};

fn fits(run: &Run, filter: &RunFilter) -> bool {
    let has_label = |(key, value): &(String, String)| run.labels.get(key) == Some(value);
    let agents = run.summary.iter().flat_map(|summary| &summary.agents);
    (filter.statuses.is_empty() || filter.statuses.contains(&run.status))
        && (filter.verdicts.is_empty()
            || run.verdict.is_some_and(|verdict| filter.verdicts.contains(&verdict)))
        && filter.labels.iter().all(has_label)
        && (filter.eval_set_ids.is_empty()
            || run.eval_set_id.as_ref().is_some_and(|id| filter.eval_set_ids.contains(id)))
        && (filter.target_kinds.is_empty() || filter.target_kinds.contains(&run.target_kind))
        && (filter.agents.is_empty() || agents.into_iter().any(|agent| filter.agents.contains(agent)))
        && filter.created_from.is_none_or(|from| run.created_at >= from)
        && filter.created_before.is_none_or(|before| run.created_at < before)
}

#[async_trait]
impl Runs for MemoryStore {
    async fn submit(&self, submissions: &[Submission]) -> StoreResult<Vec<Submitted>> {
        let submitted = self.change(|state| state.submit(submissions, self.limits))?;
        self.hints.send(Hint::Due(Duration::ZERO));
        Ok(submitted)
    }

    async fn run(&self, id: RunId) -> StoreResult<Option<Run>> {
        Ok(self.state().runs.get(&id).map(|entry| entry.run.clone()))
    }

    async fn spec(&self, id: RunId) -> StoreResult<Option<String>> {
        Ok(self.state().runs.get(&id).map(|entry| entry.spec.clone()))
    }

    async fn list(&self, filter: &RunFilter) -> StoreResult<Vec<Run>> {
        let state = self.state();
        let end = filter.after.map_or(Bound::Unbounded, Bound::Excluded);
        let newest_first = state.by_age.range((Bound::Unbounded, end)).rev();
        let runs = newest_first.filter_map(|(_, id)| state.runs.get(id)).map(|entry| &entry.run);
        Ok(runs.filter(|run| fits(run, filter)).take(filter.limit).cloned().collect())
    }

    async fn results(&self, id: RunId, filter: &ResultFilter) -> StoreResult<Vec<StoredResult>> {
        let state = self.state();
        let Some(entry) = state.runs.get(&id) else { return Ok(Vec::new()) };
        let start = filter.after.map_or(Bound::Unbounded, Bound::Excluded);
        let fits = |result: &&StoredResult| {
            let StoredResult { record, .. } = result;
            (filter.statuses.is_empty() || filter.statuses.contains(&record.status))
                && (filter.evaluators.is_empty() || filter.evaluators.contains(&record.evaluator_name))
                && (filter.eval_cases.is_empty()
                    || record.eval_case_id.as_ref().is_some_and(|case| filter.eval_cases.contains(case)))
        };
        let results = entry.results.range((start, Bound::Unbounded)).map(|(_, result)| result);
        Ok(results.filter(fits).take(filter.limit).cloned().collect())
    }

    async fn cancel(&self, id: RunId) -> StoreResult<Option<Run>> {
        let run = self.change(|state| {
            let entry = state.runs.get_mut(&id)?;
            match entry.run.status {
                RunStatus::Running => entry.run.cancel_requested = true,
                RunStatus::Queued => state.end_without_worker(id, &Ending::Cancelled),
                RunStatus::Succeeded | RunStatus::Failed | RunStatus::Cancelled => {}
            }
            state.runs.get(&id).map(|entry| entry.run.clone())
        });
        if run.as_ref().is_some_and(|run| run.status == RunStatus::Running) {
            self.hints.send(Hint::Cancel(id));
        }
        Ok(run)
    }

    async fn retry(&self, id: RunId) -> StoreResult<Option<Retried>> {
        let retried = self.change(|state| {
            let entry = state.runs.get_mut(&id)?;
            let run = &mut entry.run;
            let is_over_for_good = run.target_kind == TargetKind::Uploaded;
            if is_over_for_good || !matches!(run.status, RunStatus::Failed | RunStatus::Cancelled) {
                return Some(Retried::Refused(run.clone()));
            }
            entry.last_attempt = run.attempt + run.max_attempts;
            (run.status, run.failure, run.finished_at) = (RunStatus::Queued, None, None);
            run.cancel_requested = false;
            let run = run.clone();
            state.enqueue(id);
            Some(Retried::Queued(run))
        });
        self.hints.send(Hint::Due(Duration::ZERO));
        Ok(retried)
    }

    async fn check(&self) -> StoreResult<()> {
        Ok(())
    }
}
