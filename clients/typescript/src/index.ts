/** Client of the agentevals HTTP API. */

export { connect, type AgentevalsClient, type Schemas, type components, type paths } from "./client.js";
export { watchRun } from "./events.js";
