// The address after #: which view, of which host, at which time. It can be sent to somebody, and "back" goes back.
//
//   #/                      the fleet; #/?search=web&sort=cpu&order=descending&show=short
//   #/hosts/NAME            one host; ?since=MS&until=MS is the part of time that is shown
//   #/incidents, #/plans, #/pool, #/models

const VIEWS = new Set(["incidents", "plans", "pool", "models"]);

// {view, host, options: URLSearchParams}; null of an address that is no view (the skip link's).
export function read(hash = location.hash) {
  if (hash !== "" && !hash.startsWith("#/")) return null;
  const [path, query = ""] = hash.slice(2).split("?");
  const options = new URLSearchParams(query);
  const [first, second] = path.split("/");
  if (first === "hosts" && second) return {view: "host", host: decoded(second), options};
  return {view: VIEWS.has(first) ? first : "fleet", host: "", options};
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

let fleet = "#/"; // with what was searched and sorted last

export const ofFleet = () => fleet;

export function ofHost(name, options = {}) {
  const query = new URLSearchParams(options).toString();
  return `#/hosts/${encodeURIComponent(name)}${query && `?${query}`}`;
}

// Notes what a person chose, without a step in the history.
export function keep(options) {
  const [path] = location.hash.split("?");
  const set = Object.entries(options).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(set).toString();
  const kept = `${path || "#/"}${query && `?${query}`}`;
  if (read(kept)?.view === "fleet") fleet = kept;
  history.replaceState(null, "", kept);
}
