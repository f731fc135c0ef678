// Everything about the selected host.

import {el, fill, keyed, setText} from "./dom.js";
import {drawCharts} from "./charts.js";
import {anomaly, command, event, incident} from "./events.js";
import {acknowledge} from "./feed.js";
import * as format from "./format.js";

const main = document.getElementById("host");
let sections;
let scope = "host"; // of the events: this host, or the whole cell

// `fleet`: the cell's events. `detail`: a HostDetail, or null. `history`: see drawCharts.
export function drawHost({fleet, detail, history, selected}) {
  if (!detail) return drawNothing(fleet, selected);
  if (!sections) build();
  drawTitle(detail);
  drawCharts(sections.charts, detail, history);
  drawEvents(fleet, detail);
  drawTables(detail);
}

function drawNothing(fleet, selected) {
  sections = undefined;
  const text = selected ? `No host “${selected}” was ever seen in this cell.`
    : fleet.hosts.length === 0 ? "Waiting for the first host. It appears a few seconds after its agent reached the broker." : "Select a host.";
  if (main.textContent !== text) fill(main, el("section.panel.note", {}, text));
}

function build() {
  const charts = el("div.pair.charts");
  const incidents = el("ul.events");
  const anomalies = el("ul.events");
  const commands = el("ul.events");
  const events = el("ul.events");
  sections = {
    title: el("header.title"), charts, incidents, anomalies, commands, events,
    workloads: el("div.scroll"), pool: el("div.pool"), sources: el("div.scroll"),
    switches: [], counts: {incidents: el("span.soft"), anomalies: el("span.soft"), commands: el("span.soft"), events: el("span.soft")},
  };
  fill(main, sections.title, charts,
    el("div.pair", {},
      el("div.stack", {},
        panel(["Commands ", sections.counts.commands], scopeSwitch(), commands),
        panel("Workloads", el("span.soft", {}, "in use / reserved"), sections.workloads)),
      el("div.stack", {},
        panel(["Incidents ", sections.counts.incidents], scopeSwitch(), incidents),
        panel(["Anomalies ", sections.counts.anomalies], scopeSwitch(), anomalies),
        panel(["Events ", sections.counts.events], scopeSwitch(), events),
        panel("Pool", el("span.soft", {}, "reserved of what can be given"), sections.pool),
        panel("Sources", el("span.soft", {}, "what the agent reads"), sections.sources))));
}

function panel(title, aside, body) {
  return el("section.panel", {}, el("header", {}, el("h2", {}, title), aside), body);
}

let redraw = () => {};

// What to call when a person changed what is to be seen.
export function listenHost(onChange) {
  redraw = onChange;
}

function scopeSwitch() {
  const button = (value, text) => {
    const node = el("button", {type: "button", onclick: () => { scope = value; redraw(); }}, text);
    sections.switches.push([node, value]);
    return node;
  };
  return el("span.switch", {role: "group", "aria-label": "Show"}, button("host", "this host"), button("cell", "all hosts"));
}

function drawTitle({host, time_ms: now}) {
  const item = {name: host.name, state: host.state, inventory: host.inventory, agent: host.agent_version,
    interval: host.interval_ms, silent: host.state === "online" ? "" : format.age(now, host.last_sample_ms)};
  keyed(sections.title, [item], () => "title", (host) => el("div.title", {},
    el("h1", {}, host.name),
    el(`span.chip.${{online: "good", "bmc only": "warn", stale: "warn", offline: "bad"}[host.state] ?? "soft"}`, {}, host.state),
    host.silent ? el("span.soft", {}, `last sample ${host.silent}`) : null,
    el("span.soft", {}, `a sample each ${format.duration(host.interval)}`),
    el("span.soft", {}, `agent ${host.agent}`),
    el("p.soft.inventory", {}, host.inventory)));
}

function drawEvents(fleet, detail) {
  const {incidents, anomalies, commands, events} = scope === "cell" ? fleet : detail;
  const now = detail.time_ms;
  const place = (host) => scope === "cell" ? host : "";
  const noticed = anomalies.map(({until_ms: until, ...item}) => ({...item, lasts: until >= now, place: place(item.host)}));
  const notice = (item) => (by) => acknowledge(item.host, item.since_ms, by).catch((error) => alert(error.message));
  drawList(sections.incidents, incidents.map((item) => ({...item, place: place(item.host), notice: notice(item)})),
    (item) => `${item.host}/${item.since_ms}`, incident, "None. Nothing on this host is unusual.");
  const asked = commands.map((item) => ({...item, place: place(item.command.host)}));
  drawList(sections.anomalies, noticed, (item) => `${item.host}/${item.resource}/${item.since_ms}`, anomaly,
    "None. Readings stay within what was forecast.");
  drawList(sections.commands, asked, (item) => item.command.id, command,
    "None yet. The brain commands when a reservation should change.");
  drawList(sections.events, events.map((item) => ({...item, place: place(item.host)})),
    (item) => `${item.host}/${item.time_ms}/${item.source}/${item.subject}/${item.kind}`, event,
    "None. Registers, logs and sensors have told nothing unusual.");
  setText(sections.counts.events, events.length ? String(events.length) : "");
  setText(sections.counts.incidents, incidents.length ? String(incidents.length) : "");
  setText(sections.counts.anomalies, anomalies.length ? String(anomalies.length) : "");
  setText(sections.counts.commands, commands.length ? String(commands.length) : "");
  for (const [node, value] of sections.switches) node.setAttribute("aria-pressed", String(scope === value));
}

const FEW = 6;

// The newest few; the others on demand.
function drawList(node, items, key, build, none) {
  const shown = node.all ? items : items.slice(0, FEW);
  const more = items.length - shown.length;
  const rows = [...shown, ...(more > 0 ? [{more}] : []), ...(items.length === 0 ? [{none}] : [])];
  keyed(node, rows, (item) => item.more ? "more" : item.none ? "none" : key(item), (item) => {
    if (item.none) return el("li.note", {}, item.none);
    if (!item.more) return build(item);
    return el("li", {}, el("span.switch", {}, el("button", {type: "button", onclick: () => { node.all = true; redraw(); }}, `show ${item.more} more`)));
  });
}

function drawTables({host, pool}) {
  keyed(sections.workloads, [host.workloads], () => "workloads", workloads);
  keyed(sections.sources, [host.sources], () => "sources", sources);
  keyed(sections.pool, pool.flatMap((item) => [{...item, part: "name"}, {...item, part: "bar"}, {...item, part: "text"}]),
    (item) => `${item.resource}/${item.part}`, poolPart);
}

function workloads(list) {
  if (list.length === 0) return el("p.note", {}, "None is configured or found on this host.");
  const sorted = [...list].sort((a, b) => b.criticality - a.criticality || a.name.localeCompare(b.name));
  return grid(["workload", "CPU", "expected", "memory", "expected"], sorted.map((item) => [
    two(item.name, `${item.class}, criticality ${item.criticality}`),
    pair(item.cpu_cores, item.cpu_reserved, format.digits), expected(item, "cpu", format.digits),
    pair(item.memory_bytes, item.memory_reserved, format.bytes), expected(item, "memory", format.bytes)]));
}

// What a workload is expected to use at the farthest horizon, by its own forecast: median to p95.
function expected({forecasts}, resource, write) {
  const own = forecasts.filter((forecast) => forecast.resource === resource);
  if (own.length === 0) return el("span.soft", {}, "–");
  const {horizon_s: horizon, quantiles, rung} = own.reduce((far, next) => next.horizon_s > far.horizon_s ? next : far);
  return two(write(quantiles.p50), `to ${write(quantiles.p95)}`, `p50 and p95 in ${Math.round(horizon / 60)} min, by ${rung}`);
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

function sources(list) {
  if (list.length === 0) return el("p.note", {}, "The agent has not told what it reads.");
  return grid(["source", "state", ""], list.map((item) => [
    item.name, el(SOURCE_TONES[item.state] ? `span.chip.${SOURCE_TONES[item.state]}` : "span.chip", {}, item.state),
    el("span.soft", {}, item.reason)]));
}

function grid(head, rows) {
  return el("table", {},
    el("thead", {}, el("tr", {}, head.map((text) => el("th", {}, text)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell))))));
}

function poolPart({part, resource, capacity, reserved, reclaimable, queued}) {
  if (part === "name") return el("span", {}, format.NAMES[resource]);
  const share = capacity > 0 ? Math.min(1, reserved / capacity) : 0;
  if (part === "bar") return el("span.bar", {role: "img", "aria-label": format.share(share)}, el("i", {style: {width: `${(100 * share).toFixed(1)}%`}}));
  return el("span.soft", {}, `${format.amount(resource, reserved)} of ${format.amount(resource, capacity)}`,
    reclaimable > 0 ? ` · ${format.amount(resource, reclaimable)} not needed` : null,
    queued > 0 ? el("span.warn", {}, ` · ${queued} waiting`) : null);
}
