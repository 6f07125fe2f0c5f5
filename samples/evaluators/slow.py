"""A code evaluator that takes its time: waits for `config.seconds`, then finds everything good."""

import json
import sys
import time

request = json.load(sys.stdin)
time.sleep(request["config"].get("seconds", 10))
scores = [1.0 for _ in request["invocations"]]
json.dump({"score": 1.0, "per_invocation_scores": scores}, sys.stdout)
