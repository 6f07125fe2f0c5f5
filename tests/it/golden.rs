//! Our numbers under `--lenient` against those of the reference implementation.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::agentevals;

/// Relative tolerance of scores: the same formula in the same order.
const SCORE_TOLERANCE: f64 = 1e-12;
/// Relative tolerance of performance numbers.
const PERFORMANCE_TOLERANCE: f64 = 1e-9;

#[test]
fn every_golden_case_has_the_numbers_of_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden");
    let mut runs = 0;
    let mut differences = Vec::new();
    for case in fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        let read = |name: &str| -> Value {
            serde_json::from_str(&fs::read_to_string(case.join(name)).unwrap()).unwrap()
        };
        let (arguments, expected) = (read("args.json"), read("expected.json"));
        for run in arguments["runs"].as_array().unwrap() {
            let id = run["id"].as_str().unwrap();
            let arguments = run["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
            let output = agentevals().args(arguments).arg("--lenient").current_dir(&case).output().unwrap();
            let name = format!("{}/{id}", case.file_name().unwrap().to_string_lossy());
            runs += 1;
            match serde_json::from_slice::<Value>(&output.stdout) {
                Ok(got) => {
                    let mut found = Differences(Vec::new());
                    found.compare_reports(&expected["runs"][id]["cli_json"], &got);
                    differences.extend(found.0.into_iter().map(|difference| format!("{name}: {difference}")));
                }
                Err(_) => {
                    differences.push(format!("{name}: no JSON: {}", String::from_utf8_lossy(&output.stderr)));
                }
            }
        }
    }
    assert!(runs > 180, "only {runs} golden runs were found");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

struct Differences(Vec<String>);

impl Differences {
    fn compare_reports(&mut self, want: &Value, got: &Value) {
        let units = |report: &Value| report["traces"].as_array().unwrap().clone();
        let (wanted, found) = (units(want), units(got));
        let ids = |units: &[Value]| units.iter().map(|unit| unit["trace_id"].clone()).collect::<Vec<_>>();
        if ids(&wanted) != ids(&found) {
            return self.0.push(format!("traces: want {:?}, got {:?}", ids(&wanted), ids(&found)));
        }
        for (want, got) in wanted.iter().zip(&found) {
            self.compare("num_invocations", &want["num_invocations"], &got["num_invocations"], 0.0);
            for metric in want["metrics"].as_array().unwrap() {
                self.compare_metric(metric, got);
            }
            self.compare_performance(want, got);
        }
        self.compare_performance(want, got);
        let has_errors =
            |report: &Value| report["errors"].as_array().is_some_and(|errors| !errors.is_empty());
        if has_errors(want) != has_errors(got) {
            self.0.push(format!("errors: want {}, got {}", want["errors"], got["errors"]));
        }
    }

    fn compare_metric(&mut self, want: &Value, unit: &Value) {
        let name = &want["metric_name"];
        let found = unit["metrics"].as_array().unwrap().iter().find(|metric| metric["metric_name"] == *name);
        let Some(got) = found else { return self.0.push(format!("{name}: missing")) };
        for member in ["score", "eval_status", "per_invocation_scores"] {
            self.compare(&format!("{name}.{member}"), &want[member], &got[member], SCORE_TOLERANCE);
        }
        if want["error"].is_null() != got["error"].is_null() {
            self.0.push(format!("{name}.error: want {}, got {}", want["error"], got["error"]));
        }
        for member in ["comparisons", "missing_turns", "unexpected_turns"] {
            if let Some(want) = want["details"].get(member) {
                self.compare(&format!("{name}.{member}"), want, &got["details"][member], SCORE_TOLERANCE);
            }
        }
    }

    fn compare_performance(&mut self, want: &Value, got: &Value) {
        if let Some(want) = want.get("performance_metrics").filter(|numbers| !numbers.is_null()) {
            let got = &got["performance_metrics"];
            self.compare("performance_metrics", want, got, PERFORMANCE_TOLERANCE);
        }
    }

    /// Compares everything in `want`; members that only `got` has are ours.
    fn compare(&mut self, path: &str, want: &Value, got: &Value, tolerance: f64) {
        match (want, got) {
            (Value::Number(wanted), Value::Number(found)) => {
                let (wanted, found) = (wanted.as_f64().unwrap(), found.as_f64().unwrap());
                let scale = wanted.abs().max(found.abs()).max(1.0);
                if (wanted - found).abs() > tolerance * scale {
                    self.0.push(format!("{path}: want {wanted}, got {found}"));
                }
            }
            (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
                for (index, (want, got)) in wanted.iter().zip(found).enumerate() {
                    self.compare(&format!("{path}[{index}]"), want, got, tolerance);
                }
            }
            (Value::Object(wanted), Value::Object(_)) => {
                for (name, want) in wanted {
                    self.compare(&format!("{path}.{name}"), want, &got[name], tolerance);
                }
            }
            _ if want == got => {}
            _ => self.0.push(format!("{path}: want {want}, got {got}")),
        }
    }
}
