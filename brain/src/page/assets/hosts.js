// The list of hosts: state, age, five resources against what the host has.

import {el, keyed, setText} from "./dom.js";
import * as format from "./format.js";

const list = document.getElementById("host-list");
const note = document.getElementById("host-note");
const filter = document.getElementById("filter");
const order = document.getElementById("order");

const STATE_TONE = {online: "good", "bmc only": "warn", stale: "warn", offline: "bad"};

// How full a resource gets, as a share of capacity; 0 when capacity is not known.
function pressure(gauge) {
  const most = Math.max(gauge.value ?? 0, gauge.p95 ?? 0);
  return gauge.capacity > 0 ? most / gauge.capacity : 0;
}

function tone(share) {
  if (share >= 1) return "bad";
  return share >= 0.9 ? "warn" : "";
}

const worst = (host) => Math.max(0, ...host.resources.map(pressure));
const byName = (a, b) => a.name.localeCompare(b.name, "en", {numeric: true});
const ORDERS = {
  name: byName,
  pressure: (a, b) => worst(b) - worst(a) || byName(a, b),
  anomalies: (a, b) => b.anomalies - a.anomalies || byName(a, b),
};

export function drawHosts(fleet, selected) {
  const words = filter.value.trim().toLowerCase();
  const shown = fleet.hosts.filter((host) => host.name.toLowerCase().includes(words)).sort(ORDERS[order.value]);
  const items = shown.map((host) => ({host, now: fleet.time_ms, selected: host.name === selected}));
  keyed(list, items, (item) => item.host.name, row);
  setText(note, remark(fleet.hosts.length, shown.length));
  note.hidden = note.textContent === "";
}

function remark(all, shown) {
  if (all === 0) return "No host yet.";
  return shown === all ? "" : `${shown} of ${format.plural(all, "host")}`;
}

// A row is built once and then only told what changed; one that is scrolled out of sight (the browser tells,
// because of `content-visibility: auto`) waits until it is seen. A fleet of thousands is redrawn each second.
function row(item) {
  const dot = el("span.dot");
  const name = el("span.name");
  const badge = el("span.chip.bad");
  const age = el("span.age");
  const gauges = item.host.resources.map(gauge);
  const link = el("a.panel.host", {href: `#/${encodeURIComponent(item.host.name)}`},
    el("div.line", {}, dot, name, badge, age),
    el("div.gauges", {}, gauges));
  const paint = ({host, now, selected}) => {
    const heard = format.age(now, host.last_sample_ms);
    dot.className = `dot ${STATE_TONE[host.state] ?? ""}`;
    link.classList.toggle("silent", host.state !== "online");
    setText(name, host.name);
    badge.hidden = host.anomalies === 0;
    setText(badge, host.anomalies === 1 ? "1 anomaly" : `${host.anomalies} anomalies`);
    setText(age, host.state === "online" ? heard : `${host.state} · ${heard}`);
    if (selected) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    host.resources.forEach((resource, at) => gauges[at]?.update(resource));
  };
  let newest = item;
  let unseen = false;
  link.addEventListener("contentvisibilityautostatechange", (event) => {
    unseen = event.skipped;
    if (!unseen) paint(newest);
  });
  paint(item);
  return Object.assign(el("li", {}, link), {
    update(item) {
      newest = item;
      if (!unseen) paint(item);
    },
  });
}

function gauge(resource) {
  const now = el("span.now");
  const used = el("i");
  const ahead = el("b");
  const bar = el("span.bar", {}, used, ahead);
  const node = el("div.gauge", {}, el("span.label", {}, format.SHORT[resource.resource]), now, bar);
  node.update = (gauge) => {
    setText(now, format.value(gauge.unit, gauge.value));
    const known = gauge.capacity > 0 && gauge.value !== null;
    bar.classList.toggle("open", !known);
    used.hidden = !known;
    ahead.hidden = !known || gauge.p95 === null;
    used.style.width = percent(gauge.value / gauge.capacity);
    ahead.style.left = percent(gauge.p95 / gauge.capacity);
    node.className = `gauge ${tone(pressure(gauge))}`;
    const said = sentence(gauge);
    if (node.title !== said) node.title = said;
  };
  return node;
}

function percent(share) {
  return `${(100 * Math.min(1, Math.max(0, share || 0))).toFixed(1)}%`;
}

function sentence(gauge) {
  const name = format.NAMES[gauge.resource];
  if (gauge.value === null) return `${name} is not measured`;
  const ahead = gauge.p95 === null ? "no forecast yet"
    : `p95 in ${format.horizon(gauge.horizon_s)} ${format.value(gauge.unit, gauge.p95)}`;
  const most = gauge.capacity > 0 && gauge.unit !== "1" ? `, of ${format.value(gauge.unit, gauge.capacity)}` : "";
  return `${name} now ${format.value(gauge.unit, gauge.value)}, ${ahead}${most}`;
}

// Calls `redraw` on input; "/" leads to the filter, arrows walk the list.
export function listenHosts(redraw) {
  filter.addEventListener("input", redraw);
  order.addEventListener("change", redraw);
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing) { event.preventDefault(); filter.focus(); }
    if (event.key === "Escape" && event.target === filter) { filter.value = ""; redraw(); }
  });
  list.addEventListener("keydown", (event) => {
    const side = {ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling"}[event.key];
    const link = side && event.target.closest("li")?.[side]?.querySelector("a");
    if (link) { event.preventDefault(); link.focus(); }
  });
}
