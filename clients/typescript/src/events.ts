/** Following a run: server-sent events, which the generator knows only as text. */

import type { AgentevalsClient, Schemas } from "./index.js";

/** How often in a row a connection may fail before that is reported. */
const ATTEMPTS = 5;

/** How long to wait before connecting again when nothing has arrived, in milliseconds. */
const PAUSE_MS = 2000;

/**
 * What happened to a run and what happens until it ends, each event once and in order: a stream that breaks is taken up
 * after the last event seen. Throws the problem document of a request that is refused.
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
      // `fetch` reports a lost connection as a TypeError; all else is final.
      if (!(error instanceof TypeError) || fruitless >= ATTEMPTS) throw error;
    }
  }
}

/** The data of each message of a stream; comments, which keep idle connections open, have none. */
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
