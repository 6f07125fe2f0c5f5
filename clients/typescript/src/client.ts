/** The typed client, generated from the OpenAPI document. */

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths };

/** The types of requests and answers, under their names in the document. */
export type Schemas = components["schemas"];

/** A client: `GET`, `POST`, … take a path of the API and answer with `data`, or with `error`: a problem document. */
export type AgentevalsClient = Client<paths>;

/** Makes a client of the service at `url`; it sends `token` with every request, if there is one. */
export function connect(url: string, token?: string): AgentevalsClient {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  return createClient<paths>({ baseUrl: url, headers });
}
