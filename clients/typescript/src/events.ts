/** Following a run: reads server-sent events, which the generated client returns as text. */

import type { AgentevalsClient, Schemas } from "./client.js";

/** Failed connections in a row after which the failure is thrown. */
const ATTEMPTS = 5;

/** Pause before the next connection if the last one brought no event, in milliseconds. */
const PAUSE_MS = 2000;

/**
 * Yields the events of a run from its first to its last, each once and in order. After a lost connection it continues
 * behind the last event seen. Throws the problem document if the service refuses the request.
 */
export async function* watchRun(
  client: AgentevalsClient,
  runId: string,
  signal?: AbortSignal,
): AsyncGenerator<Schemas["RunEvent"], void, void> {
  let last = 0;
  for (let fruitless = 0; ; fruitless += 1) {
    if (fruitless > 0) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    try {
      const { data, error, response } = await client.GET("/api/runs/{runId}/events", {
        params: { path: { runId }, header: { "Last-Event-ID": last } },
        parseAs: "stream",
        ...(signal && { signal }),
      });
      if (error !== undefined) throw error;
      // The run is over and all its events were seen.
      if (response.status === 204 || !data) return;
      for await (const text of messages(data)) {
        const event = JSON.parse(text) as Schemas["RunEvent"];
        last = event.seq;
        fruitless = -1;
        yield event;
      }
    } catch (error) {
      // `fetch` reports a lost connection as a TypeError; other errors will not pass by themselves.
      if (!(error instanceof TypeError) || fruitless >= ATTEMPTS) throw error;
    }
  }
}

/** Yields the data of each message; skips comments, which only keep idle connections open. */
async function* messages(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, void> {
  let data: string[] = [];
  for await (const line of lines(stream)) {
    if (line.startsWith("data:")) {
      data.push(line.slice("data:".length).replace(/^ /, ""));
    } else if (line === "" && data.length > 0) {
      yield data.join("\n");
      data = [];
    }
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, void> {
  const [reader, decoder] = [stream.getReader(), new TextDecoder()];
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      yield* parts.map((line) => line.replace(/\r$/, ""));
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
