// One host as a row: built once, and then told what changed.

import * as address from "./address.js";
import {el, setText} from "./dom.js";
import * as format from "./format.js";

export const STATE_TONES = {online: "good", "bmc only": "warn", stale: "warn", offline: "bad"};
const RESOURCES = ["cpu", "memory", "network", "disk", "power"];
const UNITS = {cpu: "1", memory: "1", network: "B/s", disk: "B/s", power: "W"};
const SEVERITY_TONES = {info: "", warning: "warn", critical: "bad"};

// The peak, or what is used already, as a share of what is allocated; of what there is, where nothing is. Null where neither is known.
export function pressure({value, capacity, allocated, peak}) {
  const most = allocated ?? capacity;
  return most > 0 ? Math.max(peak ?? 0, value ?? 0) / most : null;
}

export function tone(share) {
  return share === null || share < 0.9 ? "" : share <= 1 ? "warn" : "bad";
}

export function buildRow() {
  const dot = el("span.dot");
  const link = el("a");
  const state = el("span.state");
  const gauges = RESOURCES.map(gauge);
  const worst = el("span.cell.worst");
  const incidents = el("span.chip");
  const age = el("span.cell.age");
  const row = el("div.row", {}, el("span.cell.host", {}, dot, link, state), gauges, worst, el("span.cell.incidents", {}, incidents), age);
  row.update = (host, now) => {
    row.classList.toggle("blank", !host);
    if (!host) return setText(link, "…");
    row.classList.toggle("silent", host.state !== "online");
    dot.className = `dot ${STATE_TONES[host.state] ?? ""}`;
    setText(link, host.name);
    link.href = address.ofHost(host.name);
    setText(state, host.state === "online" ? "" : host.state);
    host.resources.forEach((cell, at) => gauges[at].update(cell));
    drawWorst(worst, host.resources);
    incidents.hidden = host.incidents === 0;
    incidents.className = `chip ${SEVERITY_TONES[host.severity] ?? ""}`;
    setText(incidents, host.severity ?? "");
    setText(age, format.age(now, host.last_sample_ms));
  };
  return row;
}

// The resource that is nearest to what is allocated.
function drawWorst(node, cells) {
  const shares = cells.map((cell) => pressure(cell) ?? -1);
  const at = shares.indexOf(Math.max(...shares));
  const share = shares[at];
  node.className = `cell worst ${share < 0 ? "" : tone(share)}`;
  setText(node, share < 0 ? "–" : `${format.SHORT[RESOURCES[at]]} ${format.share(share)}`);
}

function gauge(name) {
  const now = el("span.now");
  const used = el("i");
  const held = el("u");
  const ahead = el("b");
  const bar = el("span.bar", {}, used, held, ahead);
  const node = el("span.cell.gauge", {}, el("span.label", {}, format.SHORT[name]), now, bar);
  node.update = (cell) => {
    const {value, capacity, allocated, peak} = cell;
    setText(now, format.value(UNITS[name], value));
    // What has no known capacity is drawn against what is allocated or expected.
    const full = capacity ?? Math.max(allocated ?? 0, peak ?? 0, value ?? 0);
    const open = value === undefined || !(full > 0);
    bar.classList.toggle("open", open);
    place(used, !open, "width", value / full);
    place(held, !open && allocated !== undefined, "left", allocated / full);
    place(ahead, !open && peak !== undefined, "left", peak / full);
    node.className = `cell gauge ${tone(pressure(cell))}`;
    const said = sentence(name, cell);
    if (node.title !== said) node.title = said;
  };
  return node;
}

function place(node, shown, side, share) {
  node.hidden = !shown;
  if (shown) node.style[side] = `${(100 * Math.min(1, Math.max(0, share || 0))).toFixed(1)}%`;
}

function sentence(name, {value, capacity, allocated, peak}) {
  if (value === undefined) return `${format.NAMES[name]} is not measured`;
  const unit = UNITS[name];
  const parts = [`${format.NAMES[name]} now ${format.value(unit, value)}`,
    peak === undefined ? "no forecast yet" : `peak of the next 15 min (p95) ${format.value(unit, peak)}`,
    allocated !== undefined && `allocated ${format.value(unit, allocated)}`,
    capacity > 0 && unit !== "1" && `of ${format.value(unit, capacity)}`];
  return parts.filter(Boolean).join(", ");
}
