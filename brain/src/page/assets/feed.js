// Talks to the brain: asks when told that there is something new, and notices when nothing comes.

import {listen} from "./stream.js";

const PATIENCE_MS = 12_000; // an event is due every five seconds
let left = false; // whether somebody has logged out here

async function ask(path, how = {}) {
  const response = await fetch(path, {signal: AbortSignal.timeout(8_000), redirect: "manual", ...how}).catch((error) => {
    throw Object.assign(error, {unreachable: error.name !== "TimeoutError", late: error.name === "TimeoutError"});
  });
  if (response.ok) return response.json();
  // The form leads back to the view that was looked at. A proxy that people log in with answers by a form of its own, or leads there.
  const ofBrain = response.headers.get("content-type")?.includes("json") ?? false;
  const wantsLogin = response.status === 401 || response.type === "opaqueredirect" || (response.status === 403 && !ofBrain);
  if (wantsLogin) location.assign(`/login${location.hash}`);
  const problem = await response.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail ?? `${path}: ${response.status}`), {status: response.status});
}

// Null where there is none.
async function known(path) {
  try {
    return await ask(path);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

const query = (options) => new URLSearchParams(Object.entries(options).filter(([, value]) => value !== "" && value !== undefined && value !== null));
const ofHost = (name) => `/api/v1/hosts/${encodeURIComponent(name)}`;

export const fleet = () => ask("/api/v1/fleet");
export const rows = (options) => ask(`/api/v1/hosts?${query(options)}`);
export const host = (name) => known(ofHost(name));
export const inventory = (name) => known(`${ofHost(name)}/inventory`);
export const readings = (name) => known(`${ofHost(name)}/readings`);
export const incidents = () => ask("/api/v1/incidents");
export const commands = () => ask("/api/v1/commands");
export const proposals = () => ask("/api/v1/proposals");
export const plan = () => ask("/api/v1/plan");
export const scores = () => ask("/api/v1/scores");

// Values of the last minutes, at most a day: [[unix ms, value], ...].
export const series = async (name, resource, minutes) => (await ask(`${ofHost(name)}/series?${query({resource, minutes})}`)).points;

// What the store holds: `kind` is series, forecasts, incidents, commands, events or plans.
export const stored = (kind, options) => ask(`/api/v1/history/${kind}?${query(options)}`);

// What is changed goes as JSON, which no other web site can send without asking first.
const send = (path, body) => ask(path, {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body)});

// Somebody takes notice of an incident.
export const acknowledge = (name, since_ms, by) => send(`${ofHost(name)}/incidents/${since_ms}/acknowledge`, {by});
export const approve = (id, by) => send(`/api/v1/proposals/${encodeURIComponent(id)}/approve`, {by});
export const decline = (id, by, reason) => send(`/api/v1/proposals/${encodeURIComponent(id)}/decline`, {by, reason});
export const freeze = (by, reason) => send("/api/v1/freeze", {by, reason});
export const thaw = (by, reason) => send("/api/v1/thaw", {by, reason});

// Who asks, {name, role, has_session}; and the end of their session.
export const me = () => ask("/api/v1/me");
export async function leave() {
  left = true; // what is told to ask from now on would only be refused
  await send("/logout", {}).catch((error) => { left = false; throw error; });
}

// Calls `onTick` for each new snapshot, which tells how old that is in milliseconds; a tick that comes while it is at work
// is kept, not queued. Calls `onSilence(since, reached)` whenever it is known whether the brain is silent: since when on
// the browser's clock, or 0 while snapshots come, and whether at least its server is there. Returns a function that asks
// at once.
export function follow(onTick, onSilence) {
  let heard = Date.now(); // when the newest snapshot came
  let reached = Date.now(); // when there was any answer
  let busy = false;
  let again = false;
  let failed = false;

  const late = (since) => Date.now() - since > PATIENCE_MS;
  const judge = () => onSilence(late(reached) || failed ? reached : late(heard) ? heard : 0, !late(reached) && !failed);

  async function update() {
    again = busy;
    if (busy || left || document.hidden) return;
    busy = true;
    try {
      const age_ms = await onTick();
      reached = Date.now();
      heard = reached - age_ms;
      failed = false;
    } catch (error) {
      // No answer at all is told at once; a fault that the brain tells of leaves it alive.
      failed = error.unreachable === true;
      if (error.status !== undefined) reached = Date.now();
      if (failed || error.late || error.status !== undefined) console.warn("the brain did not answer:", error.message);
      else console.error(error); // a fault of the page itself
    }
    busy = false;
    judge();
    if (again) update();
  }

  function hear(kind, {age_ms}) {
    reached = Date.now();
    heard = reached - age_ms;
    failed = false;
    // Quiet: the server answers, but its engine takes no pictures.
    if (kind === "quiet") judge();
    else update();
  }

  document.addEventListener("visibilitychange", () => update());
  window.addEventListener("pageshow", (event) => { if (event.persisted) update(); });
  setInterval(() => { if (!document.hidden) judge(); }, 1_000);
  // Whoever holds the stream may hear nothing any more.
  setInterval(() => { if (late(reached) || late(heard)) update(); }, 5_000);
  listen(hear, update); // when it breaks off: whether the brain is gone, or only this stream
  update();
  return () => update();
}
