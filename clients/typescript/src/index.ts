/** Client of the agentevals HTTP API. What is typed here is generated from the OpenAPI document. */

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export { watchRun } from "./events.js";
export type { components, paths };

/** The types of requests and answers, by the name they have in the document. */
export type Schemas = components["schemas"];

/** A client: `GET`, `POST`, … take a path of the API and answer with `data`, or with `error`: a problem document. */
export type AgentevalsClient = Client<paths>;

/** A client of the service at `url`, which shows `token` if there is one. */
export function connect(url: string, token?: string): AgentevalsClient {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  return createClient<paths>({ baseUrl: url, headers });
}
