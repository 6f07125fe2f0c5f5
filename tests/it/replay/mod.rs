//! The requests that were recorded against the reference, sent to our server: the same class of status and, where it
//! succeeds, the same members and values, but for the `table` of differences that are meant.

mod compare;
mod recordings;
mod server;
mod table;

use std::collections::BTreeSet;

use serde_json::Value;

use compare::{Difference, differences};
use recordings::{Recording, load};
use server::Server;
use table::{ALLOWED, matches};

/// What our server answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_requests_are_answered_as_by_the_reference() {
    let recordings = load();
    let mut server = Server::start(&recordings).await;
    let mut used = BTreeSet::new();
    let mut faults = Vec::new();
    for recording in &recordings {
        for Difference { place, what } in server.replay(recording).await {
            let name = &recording.name;
            let allowed: Vec<_> =
                (0..ALLOWED.len()).filter(|at| matches(&ALLOWED[*at], name, &place)).collect();
            if allowed.is_empty() {
                faults.push(format!("{name} at {place}: {what}"));
            }
            used.extend(allowed);
        }
    }
    assert!(faults.is_empty(), "{} differences\n{}", faults.len(), faults.join("\n"));
    let unused = ALLOWED.iter().enumerate().filter(|(at, allowed)| !used.contains(at) && !allowed.by_chance);
    let unused: Vec<_> =
        unused.map(|(_, allowed)| format!("{} at {}", allowed.recordings, allowed.place)).collect();
    assert!(
        unused.is_empty(),
        "these differences are gone; take them out of the table:\n{}",
        unused.join("\n")
    );
    server.end().await;
}

/// How an answer differs from the recorded one.
fn judge(recording: &Recording, answer: &Answer) -> Vec<Difference> {
    if recording.status / 100 != answer.status / 100 {
        let what = format!("was {}, is {}: {}", recording.status, answer.status, answer.body);
        return vec![Difference { place: "status".into(), what }];
    }
    let mut found = Vec::new();
    for (name, value) in &recording.headers {
        let has = answer.headers.iter().any(|(known, given)| known == name && given.contains(value.as_str()));
        if !has {
            found.push(Difference { place: format!("headers.{name}"), what: format!("was {value}") });
        }
    }
    if recording.status < 300 {
        found.extend(differences(&recording.body, &answer.body));
    }
    found
}
