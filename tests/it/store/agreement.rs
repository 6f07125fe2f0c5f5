//! Memory and PostgreSQL agree: what one answers to a sequence of calls, the other does too.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use agentevals::ids::RunId;
use agentevals::outbox::Settlement;
use agentevals::queue::{Claimed, Record};
use agentevals::runs::{Deletion, Ending, Retried, Run, RunFilter, Submitted, Verdict};
use agentevals::spec::Submission;
use fastrand::Rng;

use crate::support::runs::{
    LEASE, TestStore, all_results, end, failed, failure, part, record, result, succeeded, until, with_spec,
};
use crate::support::sinks::{DELIVERED, again, body, dead, states, with_sinks};

/// What is done; numbers are those of runs and claims in the order in which they came, modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Submit(Vec<Submission>),
    Claim { limit: usize, is_lost: bool },
    Heartbeat(usize),
    Record { claim: usize, places: Vec<u32>, ending: Option<u8>, has_progress: bool },
    Together(usize, usize),
    Requeue { claim: usize, delay: Duration },
    Release(usize),
    Settle,
    Cancel(usize),
    Retry(usize),
    Delete(usize),
    Deliver(u32),
    Redeliver(usize),
}

fn steps(rng: &mut Rng, count: usize) -> Vec<Step> {
    let mut stored: Vec<Submission> = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..count {
        let any = rng.usize(..1000);
        // Mostly of late, sometimes of old.
        steps.push(match rng.u8(..24) {
            0..=3 => {
                let runs: Vec<_> = (0..rng.usize(1..4)).map(|_| submission(rng, &mut stored)).collect();
                Step::Submit(runs)
            }
            4..=8 => Step::Claim { limit: rng.usize(..4), is_lost: rng.u8(..4) == 0 },
            9 => Step::Heartbeat(any),
            10..=12 => Step::Record {
                claim: any,
                places: (0..rng.u32(..4))
                    .map(|_| rng.u32(..6))
                    .collect::<std::collections::BTreeSet<_>>()
                    .into_iter()
                    .collect(),
                ending: rng.bool().then(|| rng.u8(..5)),
                has_progress: rng.bool(),
            },
            13 => Step::Together(any, rng.usize(..1000)),
            14 => Step::Requeue { claim: any, delay: Duration::from_secs(if rng.bool() { 0 } else { 3600 }) },
            15 => Step::Release(any),
            16 | 17 => Step::Settle,
            18 => Step::Cancel(any),
            19 => Step::Delete(any),
            20 | 21 => Step::Deliver(rng.u32(..5)),
            22 => Step::Redeliver(any),
            _ => Step::Retry(any),
        });
    }
    steps
}

fn submission(rng: &mut Rng, stored: &mut Vec<Submission>) -> Submission {
    let mut new = with_spec(&format!("[{}]", rng.u8(..3)));
    new.priority = rng.i16(-2..3);
    new.max_attempts = rng.u32(1..4);
    new.sinks = with_sinks(rng.usize(..3)).sinks;
    if rng.u8(..4) == 0 {
        new.idempotency_key = Some(format!("key {}", rng.u8(..6)));
    }
    if let Some(earlier) = stored.get(rng.usize(..1 + stored.len() * 3)) {
        new.id = earlier.id;
    }
    stored.push(new.clone());
    new
}

/// One of the two, with the claims it has granted.
struct Side {
    store: TestStore,
    claims: Vec<Claimed>,
}

impl Side {
    fn claim(&self, number: usize) -> Option<&Claimed> {
        // Of the latest ten.
        let first = self.claims.len().saturating_sub(10);
        self.claims.get(first + number % self.claims.len().clamp(1, 10))
    }

    /// Does it, and says in words what was answered.
    async fn act(&mut self, step: &Step, runs: &[RunId]) -> String {
        let store = &self.store;
        let run = |number: usize| runs.get(number % runs.len().max(1)).copied();
        match step {
            Step::Submit(group) => {
                let answers = store.submit(group).await.unwrap();
                let words = answers.iter().map(|answer| match answer {
                    Submitted::Created(run) => format!("created {}", shown(run)),
                    Submitted::Same(run) => format!("same {}", shown(run)),
                    Submitted::Conflict(run) => format!("conflict {}", shown(run)),
                });
                words.collect::<Vec<_>>().join("\n")
            }
            Step::Claim { limit, is_lost } => {
                until_due_settles(store).await;
                let lease = if *is_lost { Duration::ZERO } else { LEASE };
                let claimed = store.claim("worker", *limit, lease).await.unwrap();
                if *is_lost && !claimed.is_empty() {
                    until(async || store.scan().await.unwrap().has_lost).await;
                }
                let words: Vec<_> = claimed
                    .iter()
                    .map(|it| (it.lease.run, it.attempt, it.max_attempts, it.deadline, it.spec.clone()))
                    .collect();
                self.claims.extend(claimed);
                format!("{words:?}")
            }
            Step::Heartbeat(claim) => {
                let Some(claimed) = self.claim(*claim) else { return String::new() };
                let held = store.heartbeat(&[claimed.lease], LEASE).await.unwrap();
                format!("{:?}", held.iter().map(|held| held.cancel_requested).collect::<Vec<_>>())
            }
            Step::Record { claim, places, ending, has_progress } => {
                let Some(claimed) = self.claim(*claim) else { return String::new() };
                let part = part(claimed, places.clone());
                let progress = part.progress.filter(|_| *has_progress);
                let record = Record { progress, ending: ending.map(self::ending), ..part };
                format!("{:?}", store.write_all([record]).await)
            }
            Step::Together(one, other) => {
                let (Some(one), Some(other)) = (self.claim(*one), self.claim(*other)) else {
                    return String::new();
                };
                let mut records = vec![Record { results: vec![result(4)], ..record(one) }];
                if one.lease.run != other.lease.run {
                    records.push(end(other, failed()));
                }
                format!("{:?}", store.write_all(records).await)
            }
            Step::Requeue { claim, delay } => {
                let Some(claimed) = self.claim(*claim) else { return String::new() };
                format!("{}", store.requeue(claimed.lease, &failure(), *delay).await.unwrap())
            }
            Step::Release(claim) => {
                let leases: Vec<_> = [self.claim(*claim), self.claim(claim + 1)]
                    .into_iter()
                    .flatten()
                    .map(|it| it.lease)
                    .collect();
                store.release(&leases[..leases.len().min(1 + claim % 2)]).await.unwrap();
                String::new()
            }
            Step::Settle => format!("{}", store.reap().await.unwrap()),
            Step::Cancel(number) => match run(*number) {
                Some(run) => format!("{:?}", store.cancel(run).await.unwrap().as_ref().map(shown)),
                None => String::new(),
            },
            Step::Retry(number) => match run(*number) {
                Some(run) => match store.retry(run).await.unwrap() {
                    None => "none".to_owned(),
                    Some(Retried::Queued(run)) => format!("queued {}", shown(&run)),
                    Some(Retried::Refused(run)) => format!("refused {}", shown(&run)),
                },
                None => String::new(),
            },
            Step::Delete(number) => match run(*number) {
                Some(run) => match store.delete(run).await.unwrap() {
                    None => "none".to_owned(),
                    Some(Deletion::Done) => "deleted".to_owned(),
                    Some(Deletion::Refused(status)) => format!("refused {status:?}"),
                },
                None => String::new(),
            },
            Step::Deliver(outcome) => {
                until_due_settles(store).await;
                let claimed = store.claim_due().await;
                let mut words = Vec::new();
                for claimed in claimed {
                    let id = claimed.lease.message;
                    let settlement = match (outcome + id.event + u32::from(id.sink)) % 5 {
                        0 | 1 => DELIVERED,
                        2 => dead(),
                        3 => again(LEASE),
                        _ => Settlement::GivenBack,
                    };
                    store.settled(&claimed, &settlement).await;
                    let mut body = body(&claimed);
                    for result in body["results"].as_array_mut().into_iter().flatten() {
                        result["createdAt"].take();
                    }
                    words.push(format!(
                        "{id} {} {:?} {:?} {body}",
                        claimed.try_number, claimed.phase, claimed.sink
                    ));
                }
                words.join("\n")
            }
            Step::Redeliver(number) => match run(*number) {
                Some(run) => format!("{:?}", states(&store.redeliver(run, None).await.unwrap())),
                None => String::new(),
            },
        }
    }

    /// All there is, in words and without times.
    async fn state(&self) -> String {
        let mut text = String::new();
        let everything = RunFilter { limit: 10_000, ..RunFilter::default() };
        let mut runs = self.store.list(&everything).await.unwrap();
        runs.sort_by_key(|run| run.id);
        for run in runs {
            writeln!(text, "{}", shown(&run)).unwrap();
            for event in self.store.events_of(run.id).await {
                writeln!(text, "  {} {:?} {:?}", event.seq, event.kind, event.data).unwrap();
            }
            for stored in self.store.results(run.id, &all_results()).await.unwrap() {
                writeln!(text, "  attempt {}: {:?}", stored.attempt, stored.record).unwrap();
            }
            for message in self.store.all_messages(run.id).await {
                let (id, error) = (message.id, message.last_error);
                let waits = message.next_try_at.is_some();
                let (state, attempts, status) = (message.state, message.tries, message.last_status);
                writeln!(text, "  {id} {state:?} {attempts} {status:?} {error:?} {waits}").unwrap();
            }
        }
        let scan = self.store.scan().await.unwrap();
        writeln!(text, "{} {} {}", scan.has_due, scan.has_lost, scan.next_due.is_some()).unwrap();
        text
    }
}

/// What was given back this instant is due the next.
async fn until_due_settles(store: &TestStore) {
    tokio::time::sleep(Duration::from_micros(50)).await;
    store.check().await.unwrap();
}

fn ending(number: u8) -> Ending {
    match number {
        0 | 1 => succeeded(),
        2 => Ending::Succeeded { verdict: Verdict::Failed, summary: Box::default() },
        3 => failed(),
        _ => Ending::Cancelled,
    }
}

/// A run without its times.
fn shown(run: &Run) -> String {
    let epoch = chrono::DateTime::UNIX_EPOCH;
    let run = Run {
        created_at: epoch,
        started_at: run.started_at.map(|_| epoch),
        finished_at: run.finished_at.map(|_| epoch),
        ..run.clone()
    };
    format!("{run:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_postgres_agree_on_any_sequence_of_calls() {
    let seed = std::env::var("AGENTEVALS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in seed.map_or(1..=6, |seed| seed..=seed) {
        agree(seed).await;
    }
}

async fn agree(seed: u64) {
    let mut sides = [
        Side { store: TestStore::memory().await, claims: Vec::new() },
        Side { store: TestStore::postgres().await, claims: Vec::new() },
    ];
    let mut runs = Vec::new();
    let mut done = HashMap::<_, usize>::new();
    for (number, step) in steps(&mut Rng::with_seed(seed), 250).into_iter().enumerate() {
        let [memory, postgres] = &mut sides;
        let answers = [memory.act(&step, &runs).await, postgres.act(&step, &runs).await];
        let place = format!("seed {seed}, step {number}: {step:?}");
        assert_eq!(answers[0], answers[1], "{place}");
        if let Step::Submit(group) = &step {
            let new: Vec<_> = group.iter().map(|new| new.id).filter(|id| !runs.contains(id)).collect();
            runs.extend(new);
        }
        *done.entry(std::mem::discriminant(&step)).or_default() += 1;
        if number % 10 == 0 {
            assert_eq!(memory.state().await, postgres.state().await, "{place}");
        }
    }
    assert_eq!(sides[0].state().await, sides[1].state().await, "seed {seed}");
    assert_eq!(done.len(), 13, "every kind of step");
}
