// Small tables of a host: forecasts, workloads, the pool, sources.

import {el, panel, table} from "./dom.js";
import * as format from "./format.js";

export function forecasts(resources) {
  const rows = resources.filter((view) => view.forecasts.length > 0);
  const head = rows[0]?.forecasts.map(({horizon_s: ahead}) => `in ${format.horizon(ahead)}`) ?? [];
  if (rows.length === 0) return panel("Forecasts", null, el("p.note", {}, "None yet: a forecast needs some minutes of history."));
  return panel("Forecasts", el("span.soft", {}, "p50 to p95"),
    table(["", ...head, el("span", {title: "the highest value within 15 min, by the LSTM alone"}, "max in 15 min"), "rung", "skill", "≤ p95"], rows.map(forecastRow), [1, 2, 3, 4, 6, 7]));
}

function forecastRow(view) {
  const last = view.forecasts.at(-1);
  const spread = ({quantiles: {p50, p90, p95, p99}}) => `p50, p90, p95, p99: ${[p50, p90, p95, p99].map((value) => format.value(view.unit, value)).join(", ")}`;
  const parts = Object.entries(last.shares).filter(([, share]) => share > 0.005).map(([name, share]) => `${name.replace("_", " ")} ${format.share(share)}`);
  return [format.NAMES[view.resource],
    ...view.forecasts.map((forecast) => two(format.value(view.unit, forecast.quantiles.p50), `to ${format.value(view.unit, forecast.quantiles.p95)}`, spread(forecast))),
    highest(view), el(last.rung === "lstm" ? "span.chip.fan" : "span.chip", {title: parts.length ? `made of ${parts.join(", ")}` : "nothing is blended"}, format.RUNGS[last.rung] ?? last.rung),
    format.toned(last.skill), format.share(last.coverage)];
}

// The network's own word on the highest value.
function highest({peaks, unit}) {
  const peak = peaks.findLast(({hold_s: hold}) => hold <= 900);
  const [p50, , , p95] = peak?.quantiles ?? [];
  return peak ? two(format.value(unit, p50), `to ${format.value(unit, p95)}`, "by the LSTM alone: p50 to p95") : "–";
}

export function workloads({list}) {
  if (list.length === 0) return panel("Workloads", null, el("p.note", {}, "None is configured or found on this host."));
  const sorted = [...list].sort((a, b) => b.criticality - a.criticality || a.name.localeCompare(b.name));
  return panel("Workloads", el("span.soft", {}, "in use, of what is reserved; expected in 15 min"),
    table(["workload", "CPU", "expected", "memory", "expected"], sorted.map((item) => [
      named(item),
      pair(item.cpu_cores, item.cpu_reserved, format.digits), expected(item, "cpu", format.digits),
      pair(item.memory_bytes, item.memory_reserved, format.bytes), expected(item, "memory", format.bytes)])));
}

// A workload by name, with what keeps its reservations from being limits.
function named({name, class: kind, criticality, held_back: why}) {
  return el("span.two", {}, name, el("span.soft", {}, `${kind}, criticality ${criticality}`),
    why ? el("span.soft.why", {}, `not in force – ${why}`) : null);
}

// What a workload is expected to use at the farthest horizon, by its own forecast: median to p95.
function expected({forecasts}, resource, write) {
  const own = forecasts.filter((forecast) => forecast.resource === resource);
  if (own.length === 0) return el("span.soft", {}, "–");
  const {horizon_s: horizon, quantiles, rung} = own.reduce((far, next) => next.horizon_s > far.horizon_s ? next : far);
  return two(write(quantiles.p50), `to ${write(quantiles.p95)}`, `p50 and p95 in ${Math.round(horizon / 60)} min, by ${format.RUNGS[rung] ?? rung}`);
}

function pair(used, reserved, write) {
  const text = (number) => number === null ? "–" : write(number);
  return two(text(used), reserved === null ? "" : `of ${write(reserved)}`);
}

// One below the other.
function two(first, second, title) {
  return el("span.two", title ? {title} : {}, first, el("span.soft", {}, second));
}

const SOURCE_TONES = {works: "good", absent: "", "no permission": "warn", failed: "bad"};

export function sources(list) {
  if (list.length === 0) return el("p.note", {}, "The agent has not told what it reads.");
  return table(["source", "state", ""], list.map(({name, state, reason}) => [
    name, el(SOURCE_TONES[state] ? `span.chip.${SOURCE_TONES[state]}` : "span.chip", {}, state), el("span.soft", {}, reason)]));
}

// Accounts as bars: what is reserved, and what of that is not asked for.
export function pool(accounts) {
  if (accounts.length === 0) return el("p.note", {}, "Nothing is planned for yet, or no capacity is known.");
  return el("div.pool", {}, accounts.map((account) => {
    const {resource, capacity, reserved, reclaimable, coming, proposed, queued} = account;
    const share = (number) => `${(100 * (capacity > 0 ? Math.min(1, number / capacity) : 0)).toFixed(1)}%`;
    const full = capacity > 0 ? reserved / capacity : 0;
    return [el("span", {}, format.NAMES[resource]),
      el("span.bar", {role: "img", "aria-label": format.share(full)}, el(full > 0.999 ? "i.full" : "i", {style: {width: share(reserved)}}),
        el("s", {style: {left: share(Math.max(0, reserved - reclaimable)), width: share(reclaimable)}})),
      el("span.soft", {}, `${format.amount(resource, reserved)} of ${format.amount(resource, capacity)}`,
        reclaimable > 0 ? ` · ${format.amount(resource, reclaimable)} not asked for` : null,
        proposed > 0 ? ` · ${format.amount(resource, proposed)} for proposals` : null,
        coming > 0 ? ` · ${format.amount(resource, coming)} coming back` : null,
        queued > 0 ? el("span.warn", {}, ` · ${queued} waiting`) : null)];
  }));
}
