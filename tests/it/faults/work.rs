//! Work for runs: quick ones, and ones that are held until they are let go.

use std::fs;
use std::path::{Path, PathBuf};

use agentevals::ids::RunId;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::eventually;
use crate::support::{golden_turn, otlp, question};

/// Numbers its start within the job, says who it is, waits if it shall, and scores. Once the folder is gone it ends,
/// so that what outlives a killed worker does not outlive the test.
const GATE: &str = r#"
import json, os, subprocess, sys, time
config = json.load(sys.stdin)["config"]
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), config["job"])
if config["has_child"]:
    subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
number = 1
while True:
    try:
        file = os.open(f"{folder}/start-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        break
    except FileExistsError:
        number += 1
os.write(file, str(os.getpid()).encode())
while os.path.exists(folder) and number > config["free"] and not os.path.exists(f"{folder}/go-{number}"):
    time.sleep(0.01)
print(json.dumps({"score": number / 10 if config["tells"] else 1.0}))
"#;

/// Takes its time.
const NAP: &str = "import time
time.sleep(0.4)
print('{\"score\": 1.0}')
";

/// A folder of evaluators, with one that waits and one that takes its time.
pub(super) struct Workshop(TempDir);

impl Workshop {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("gate.py"), GATE).unwrap();
        fs::write(folder.path().join("nap.py"), NAP).unwrap();
        Self(folder)
    }

    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A run whose evaluation waits from its first start on.
    pub(super) fn held(&self) -> Held {
        let id = RunId::new_v7();
        let folder = self.0.path().join(id.to_string());
        fs::create_dir(&folder).unwrap();
        let config = json!({"job": id.to_string(), "free": 0, "tells": false, "has_child": false});
        Held { id, folder, config, traces: 1 }
    }
}

/// A run whose evaluator waits.
pub(super) struct Held {
    pub(super) id: RunId,
    folder: PathBuf,
    config: Value,
    traces: u64,
}

impl Held {
    /// With so many evaluation units, of which the first ones are not held.
    pub(super) fn with_units(mut self, units: u64, free: u64) -> Self {
        self.traces = units;
        self.config["free"] = free.into();
        self
    }

    /// With scores that tell which start of the evaluator they are from: a tenth of its number.
    pub(super) fn that_tells(mut self) -> Self {
        self.config["tells"] = true.into();
        self
    }

    /// With an evaluator that has a child.
    pub(super) fn with_child(mut self) -> Self {
        self.config["has_child"] = true.into();
        self
    }

    /// What is submitted.
    pub(super) fn submission(&self) -> Value {
        let gate = json!({"name": "gate", "type": "code", "path": "gate.py", "threshold": 0.0, "timeout": 600,
            "config": self.config});
        submission(self.id, self.traces, json!([gate, builtin()]))
    }

    /// Waits until the evaluator has been started that often; answers with its process.
    pub(super) async fn started(&self, number: u32) -> u32 {
        let file = self.folder.join(format!("start-{number}"));
        let what = format!("the evaluator of `{}` is started the time {number}", self.id);
        eventually(&what, || async { fs::read_to_string(&file).ok()?.parse().ok() }).await
    }

    /// How often the evaluator has been started.
    pub(super) fn starts(&self) -> usize {
        let files = fs::read_dir(&self.folder).unwrap().flatten();
        files.filter(|file| file.file_name().to_string_lossy().starts_with("start-")).count()
    }

    /// Lets this start go on.
    pub(super) fn let_go(&self, number: u32) {
        fs::write(self.folder.join(format!("go-{number}")), "").unwrap();
    }

    /// Lets every start go on.
    pub(super) fn let_all_go(&self) {
        (1..=20).for_each(|number| self.let_go(number));
    }
}

/// Waits until no process of a group is left; zombies do not count.
pub(super) async fn group_gone(group: u32) {
    let is_member = |stat: String| {
        let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().map(str::to_owned).collect();
        (fields[0] != "Z" && fields[2] == group.to_string()).then_some(())
    };
    eventually("the process group is gone", || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
        std::future::ready((!stats.any(|stat| is_member(stat).is_some())).then_some(()))
    })
    .await;
}

fn builtin() -> Value {
    json!({"name": "response_match_score", "type": "builtin"})
}

/// A run that is done as soon as it is claimed; it has one result.
pub(super) fn quick(id: RunId) -> Value {
    submission(id, 1, json!([builtin()]))
}

/// A run that takes about a second, stores results on the way, and may be tried very often; it has four results.
pub(super) fn slow(id: RunId) -> Value {
    let nap = json!({"name": "nap", "type": "code", "path": "nap.py"});
    let mut submission = submission(id, 2, json!([nap, builtin()]));
    submission["maxAttempts"] = 100.into();
    submission
}

fn submission(id: RunId, traces: u64, evaluators: Value) -> Value {
    let span = |number: u64| {
        let mut span = question(1, "How warm is it?", "It is 3 degrees.");
        span["traceId"] = format!("{number:032x}").into();
        span
    };
    let case = json!({"eval_id": "warmth", "conversation": [golden_turn("How warm is it?", "3 degrees")]});
    json!({
        "runId": id.to_string(),
        "maxAttempts": 10,
        "spec": {
            "target": {"kind": "inline", "inline": otlp((1..=traces).map(span))},
            "evalSet": {"eval_set_id": "faults", "eval_cases": [case]},
            "evalConfig": {"evaluators": evaluators, "groupBy": "trace", "maxConcurrentEvals": 1},
        },
    })
}
