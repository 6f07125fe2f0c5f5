/** Drives a live service with the generated client; `dev/with-server.sh` starts one and says where it is. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { connect, watchRun, type Schemas } from "../src/index.js";

const url = setting("AGENTEVALS_URL");
const api = connect(url, setting("AGENTEVALS_TOKEN"));

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set; run \`just clients-test\``);
  return value;
}

function sample(name: string): Record<string, unknown> {
  const text = readFileSync(new URL(`../../../../samples/${name}`, import.meta.url), "utf8");
  return JSON.parse(text) as Record<string, unknown>;
}

const target = { kind: "inline" as const, inline: sample("adk-travel.json") };

/** A run that passes, unless more is asked for than the agent did. */
function submission(change: Partial<Schemas["RunSubmission"]> = {}, evalSet = "adk-travel.eval.json") {
  const evaluator = { type: "builtin" as const, name: "tool_trajectory_avg_score", threshold: 0.5 };
  const spec = { target, evalSet: sample(evalSet), evalConfig: { evaluators: [evaluator] } };
  return { runId: randomUUID(), spec, ...change };
}

/** A run that takes its time. */
function slow(): Schemas["RunSubmission"] {
  const evaluator = { type: "code" as const, name: "slow", path: "slow.py", config: { seconds: 60 } };
  return { runId: randomUUID(), spec: { target, evalConfig: { evaluators: [evaluator] } } };
}

/** Submits a run and waits until it has ended. */
async function finished(body: Schemas["RunSubmission"]): Promise<Schemas["Run"]> {
  const { data, error, response } = await api.POST("/api/runs", { body, params: { header: { Prefer: "wait=30" } } });
  assert.equal(error, undefined);
  assert.equal(response.status, 202);
  assert.equal(response.headers.get("Location"), `/api/runs/${data?.data.runId}`);
  assert(data);
  return data.data;
}

async function events(runId: string): Promise<Schemas["RunEvent"][]> {
  const seen = [];
  for await (const event of watchRun(api, runId)) seen.push(event);
  return seen;
}

test("a run is submitted, waited for and looked at", async () => {
  const body = submission({ labels: { branch: "main" } });
  const run = await finished(body);
  assert.equal(run.status, "succeeded");
  assert.equal(run.verdict, "passed");
  assert.equal(run.summary?.result_counts.passed, 1);
  const path = { runId: run.runId };

  const whole = await api.GET("/api/runs/{runId}", { params: { path, query: { include: "spec" } } });
  assert.deepEqual(whole.data?.data.spec?.["evalSet"], body.spec.evalSet);
  assert.deepEqual(whole.data?.data.labels, { branch: "main" });

  const first = await api.GET("/api/runs/{runId}", { params: { path } });
  const tag = first.response.headers.get("ETag");
  assert(tag);
  const second = await api.GET("/api/runs/{runId}", { params: { path, header: { "If-None-Match": tag } } });
  assert.equal(second.response.status, 304);
});

test("the results say why a run did not pass", async () => {
  const run = await finished(submission({}, "adk-travel-regressed.eval.json"));
  assert.equal(run.verdict, "failed");
  const { data } = await api.GET("/api/runs/{runId}/results", { params: { path: { runId: run.runId } } });
  assert.equal(data?.next, null);
  const result = data?.data[0];
  assert(result && data?.data.length === 1);
  assert.equal(result.evaluatorName, "tool_trajectory_avg_score");
  assert.equal(result.status, "failed");
  assert.equal(result.score, 0);
  assert.deepEqual(result.perInvocationScores, [0]);
  assert.match(JSON.stringify(result.details), /save_itinerary/);
});

test("a list is read page by page, newest first", async () => {
  const series = randomUUID();
  const ids = [];
  for (let n = 0; n < 3; n += 1) ids.unshift((await finished(submission({ labels: { series } }))).runId);
  const listed: string[] = [];
  const pages: number[] = [];
  let cursor: string | null = null;
  do {
    const query = { label: [`series=${series}`], limit: 2, ...(cursor === null ? {} : { cursor }) };
    const page: { data?: Schemas["RunPage"] } = await api.GET("/api/runs", { params: { query } });
    assert(page.data);
    listed.push(...page.data.data.map((run) => run.runId));
    pages.push(page.data.data.length);
    cursor = page.data.next;
  } while (cursor !== null);
  assert.deepEqual(listed, ids);
  assert.deepEqual(pages, [2, 1]);

  const query = { label: [`series=${series}`], status: ["failed" as const], verdict: ["failed" as const] };
  assert.deepEqual((await api.GET("/api/runs", { params: { query } })).data?.data, []);
});

test("a submission can be repeated, but its id stands for one piece of work", async () => {
  const body = submission();
  const run = await finished(body);
  assert.equal((await finished(body)).runId, run.runId);

  const { error, response } = await api.POST("/api/runs", { body: { ...slow(), runId: run.runId } });
  assert.equal(response.status, 409);
  assert.equal(error?.code, "run_conflict");
  assert.equal(error.persisted?.runId, run.runId);
  assert.equal(error.persisted.status, "succeeded");

  const params = { header: { "Idempotency-Key": randomUUID() } };
  const { runId: _, ...anonymous } = submission();
  const once = await api.POST("/api/runs", { body: anonymous, params });
  const twice = await api.POST("/api/runs", { body: anonymous, params });
  assert.equal(twice.data?.data.runId, once.data?.data.runId);
});

test("events of a run are told in order, each once", async () => {
  const body = submission();
  const { data } = await api.POST("/api/runs", { body });
  assert(data);
  const seen = await events(data.data.runId);
  const kinds = seen.map(({ event }) => event).filter((event) => event !== "run.progress");
  assert.deepEqual(kinds, ["run.queued", "run.started", "result.created", "run.succeeded"]);
  assert.deepEqual(seen.map(({ seq }) => seq), seen.map((_, n) => n + 1));
  assert.equal(seen.at(-1)?.verdict, "passed");
  assert.equal(seen.find(({ event }) => event === "result.created")?.result?.score, 1);
});

test("a running run is cancelled, retried and deleted", async () => {
  const { data } = await api.POST("/api/runs", { body: slow() });
  assert(data);
  const path = { runId: data.data.runId };
  const kinds = [];
  for await (const { event } of watchRun(api, path.runId)) {
    kinds.push(event);
    if (event !== "run.started") continue;
    const early = await api.DELETE("/api/runs/{runId}", { params: { path } });
    assert.equal(early.response.status, 409);
    assert.equal(early.error?.code, "run_not_final");
    const { data: cancelled } = await api.POST("/api/runs/{runId}/cancel", { params: { path } });
    assert.equal(cancelled?.data.cancelRequested, true);
  }
  assert.equal(kinds.at(-1), "run.cancelled");
  const { data: after } = await api.GET("/api/runs/{runId}", { params: { path } });
  assert.equal(after?.data.status, "cancelled");
  assert.equal(after.data.verdict, null);

  const retried = await api.POST("/api/runs/{runId}/retry", { params: { path } });
  assert.equal(retried.response.status, 202);
  await api.POST("/api/runs/{runId}/cancel", { params: { path } });
  assert.equal((await events(path.runId)).at(-1)?.event, "run.cancelled");

  const deleted = await api.DELETE("/api/runs/{runId}", { params: { path } });
  assert.equal(deleted.response.status, 204);
  await assert.rejects(events(path.runId), { code: "run_not_found" });
});

test("refusals are problem documents that say where the fault is", async () => {
  const runId = randomUUID();
  const missing = await api.GET("/api/runs/{runId}", { params: { path: { runId } } });
  assert.equal(missing.error?.status, 404);
  assert.equal(missing.error.code, "run_not_found");
  assert.equal(missing.error.requestId, missing.response.headers.get("X-Request-Id"));

  const evaluator = { type: "builtin" as const, name: "tool_trajectory_avg_score", threshold: 2 };
  const body = { spec: { target, evalConfig: { evaluators: [evaluator] } } };
  const refused = await api.POST("/api/runs", { body });
  assert.equal(refused.response.status, 422);
  assert.equal(refused.response.headers.get("Content-Type"), "application/problem+json");
  assert.deepEqual(refused.error?.errors.map(({ pointer }) => pointer), ["/spec/evalConfig/evaluators/0/threshold"]);

  const stranger = await connect(url, "nonsense").GET("/api/runs");
  assert.equal(stranger.response.status, 401);
  assert.equal(stranger.error?.code, "unauthenticated");
  assert.equal((await connect(url).GET("/readyz")).data?.status, "ok");
});
