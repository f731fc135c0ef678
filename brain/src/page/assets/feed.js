// Talks to the brain: asks when told that there is something new, and notices when nothing comes.

const PATIENCE_MS = 12_000; // an event is due every five seconds

async function get(path, how = {}) {
  const response = await fetch(path, {signal: AbortSignal.timeout(8_000), ...how});
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail ?? `${path}: ${response.status}`), {status: response.status});
}

export const fleet = () => get("/api/v1/fleet");

// Null when the host was never seen.
export async function host(name) {
  try {
    return await get(`/api/v1/hosts/${encodeURIComponent(name)}`);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

// Somebody takes notice of an incident.
export const acknowledge = (name, since_ms, by) => get(`/api/v1/hosts/${encodeURIComponent(name)}/incidents/${since_ms}/acknowledge`,
  {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({by})});

export async function series(name, resource, minutes) {
  const query = new URLSearchParams({resource, minutes});
  return (await get(`/api/v1/hosts/${encodeURIComponent(name)}/series?${query}`)).points;
}

// Calls `onTick` for each new snapshot; a tick that comes while it is at work is kept, not queued. Calls
// `onSilence(since, reached)` whenever it is known whether the brain is silent: since when on the browser's clock,
// or 0 while snapshots come, and whether at least its server is there. Returns a function that asks at once.
export function follow(onTick, onSilence) {
  let heard = Date.now(); // when the newest snapshot came
  let reached = Date.now(); // when there was any answer
  let busy = false;
  let again = false;

  const late = (since) => Date.now() - since > PATIENCE_MS;
  const judge = () => onSilence(late(reached) ? reached : late(heard) ? heard : 0, !late(reached));

  async function ask(age_ms = 0) {
    again = busy;
    if (busy || document.hidden) return;
    busy = true;
    try {
      await onTick();
      reached = Date.now();
      heard = reached - age_ms;
    } catch (error) {
      console.warn("the brain did not answer:", error.message);
    }
    busy = false;
    judge();
    if (again) ask(age_ms);
  }

  function listen() {
    const source = new EventSource("/api/v1/stream");
    const age = (event) => JSON.parse(event.data).age_ms;
    source.addEventListener("tick", (event) => ask(age(event)));
    // The server answers, but its engine takes no pictures.
    source.addEventListener("quiet", (event) => {
      reached = Date.now();
      heard = reached - age(event);
      judge();
    });
    source.addEventListener("error", () => {
      // The browser tries again by itself, except after a refusal.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5_000);
    });
  }

  document.addEventListener("visibilitychange", () => ask());
  setInterval(() => { if (!document.hidden) judge(); }, 1_000);
  listen();
  return () => ask();
}
