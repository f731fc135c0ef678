// One host: its five resources on one time axis, and all that belongs to it.

import * as address from "./address.js";
import {choice, el, fill, keyed, panel, setText} from "./dom.js";
import {anomaly, command, event, incident, list} from "./events.js";
import * as feed from "./feed.js";
import * as format from "./format.js";
import {History} from "./history.js";
import {inventoryParts} from "./inventory.js";
import {ReadingsPart} from "./readings.js";
import {STATE_TONES} from "./row.js";
import {forecasts, pool, sources, workloads} from "./tables.js";
import {Timeline} from "./timeline.js";

const PARTS = [["now", "Now"], ["events", "Event log"], ["inventory", "Inventory"], ["sensors", "Sensors"], ["sources", "Sources"]];
const STORED_EVERY_MS = 60_000;

export class HostView {
  constructor({host, options}) {
    this.name = host;
    this.title = host;
    this.part = options.get("part") ?? "now";
    this.span = {since: Number(options.get("since")) || null, until: Number(options.get("until")) || null};
    this.history = new History(host);
    this.readings = new ReadingsPart();
    this.source = "all";
    this.storedAt = 0;
  }

  mount(redraw, tick) {
    Object.assign(this, {redraw, tick});
    this.head = el("header.title");
    this.timeline = new Timeline({span: this.span, changed: () => this.moved()});
    this.tabs = choice("Part", PARTS, (part) => this.turn(part));
    this.tabs.choose(this.part);
    this.body = el("div.part");
    this.root = el("div.host-view", {}, this.head, this.timeline.node, el("nav.tabs", {"aria-label": "Parts of the host"}, this.tabs), this.body);
    return this.root;
  }

  turn(part) {
    this.part = part;
    this.tabs.choose(part);
    this.sections = null;
    this.note();
    this.redraw();
    this.tick();
  }

  // The time that is shown has changed.
  moved() {
    this.note();
    this.redraw();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.tick(), 150);
  }

  note() {
    address.keep({...this.timeline.span(), part: this.part === "now" ? "" : this.part});
  }

  leave() {
    this.timeline.leave();
  }

  async load(fleet) {
    const detail = await feed.host(this.name);
    this.detail = detail;
    if (!detail) return;
    const now = detail.time_ms;
    const measured = detail.host.resources.filter((view) => view.value !== null).map((view) => view.resource);
    const loads = [this.history.load(measured, this.timeline.range(now), now)];
    if (this.part === "inventory") loads.push(feed.inventory(this.name).then((answer) => { this.inventory = answer; }));
    if (this.part === "sensors") loads.push(feed.readings(this.name).then((answer) => { this.read = answer; }));
    loads.push(this.loadStored(now));
    await Promise.all(loads);
  }

  // Older commands and events than the brain remembers, for the time that is shown.
  async loadStored(now) {
    const [since] = this.timeline.range(now);
    const due = now - this.storedAt >= STORED_EVERY_MS || now < this.storedAt || since < this.storedSince;
    if (!due) return;
    const options = {host: this.name, since: Math.floor(Math.min(since, now - 86_400_000) / 1000), limit: 1000};
    try {
      const stored = {};
      // One by one: the store answers two questions at a time, and the charts have theirs.
      for (const kind of ["commands", "events", "incidents"]) stored[kind] = (await feed.stored(kind, options)).rows;
      this.stored = stored;
    } catch (error) {
      this.stored = {fault: error.message}; // a store that is away takes nothing from what is in memory
    }
    this.storedAt = now;
    this.storedSince = since;
  }

  draw() {
    const {detail} = this;
    if (!detail) {
      return fill(this.root, el("section.panel.note", {}, `No host “${this.name}” was ever seen in this cell. `, el("a", {href: "#/"}, "All hosts")));
    }
    if (!this.head.isConnected) fill(this.root, this.head, this.timeline.node, el("nav.tabs", {}, this.tabs), this.body);
    const all = this.all();
    this.drawTitle(detail);
    this.timeline.draw({...detail, ...all, history: this.history});
    this.drawPart(detail, all);
  }

  // What is in memory, and what is older from the store; newest first.
  all() {
    const {detail, stored} = this;
    const joined = (kind, key, time) => {
      const known = new Map((stored?.[kind] ?? []).map((item) => [key(item), item]));
      for (const item of detail[kind]) known.set(key(item), item);
      return [...known.values()].sort((a, b) => time(b) - time(a));
    };
    return {
      commands: joined("commands", (item) => item.command.id, (item) => item.command.issued_ms),
      events: joined("events", (item) => `${item.time_ms}/${item.source}/${item.subject}/${item.kind}`, (item) => item.time_ms),
      incidents: joined("incidents", (item) => item.since_ms, (item) => item.since_ms),
    };
  }

  drawTitle({host, time_ms: now, incidents}) {
    const open = incidents.filter((item) => item.goes_on);
    const item = {name: host.name, state: host.state, inventory: host.inventory, agent: host.agent_version, interval: host.interval_ms,
      silent: host.state === "online" ? "" : format.age(now, host.last_sample_ms), offset: Math.abs(host.clock_offset_ms ?? 0) >= 1000 ? host.clock_offset_ms : 0,
      open: open.map(({severity, cause}) => ({severity, cause}))};
    keyed(this.head, [item], () => "title", (host) => el("div.title", {},
      el("a.back", {href: address.ofFleet(), "aria-label": "All hosts", title: "All hosts (Esc)"}, "‹"),
      el("h1", {}, host.name),
      el(`span.chip.${STATE_TONES[host.state] ?? "soft"}`, {}, host.state),
      host.open.map(({severity, cause}) => el(`span.chip.${{critical: "bad", warning: "warn"}[severity] ?? "soft"}`, {title: cause}, severity)),
      host.silent ? el("span.soft", {}, `last sample ${host.silent}`) : null,
      el("span.soft", {}, `a sample each ${format.duration(host.interval)}`),
      host.offset ? el("span.warn", {}, `its clock is ${format.duration(Math.abs(host.offset))} ${host.offset > 0 ? "ahead" : "behind"}`) : null,
      el("span.soft", {}, `agent ${host.agent}`),
      el("p.soft.inventory", {}, host.inventory)));
  }

  drawPart(detail, all) {
    const {body} = this;
    if (this.part === "now") return this.drawNow(detail, all);
    if (this.part === "events") return this.drawLog(all);
    if (this.part === "inventory") return keyed(body, inventoryParts(this.inventory), (item) => item.key, (item) => item.build());
    if (this.part === "sources") return keyed(body, [detail.host.sources], () => "sources", (list) => panel("Sources", el("span.soft", {}, "what the agents read"), sources(list)));
    this.readings.draw(body, this.read, this.redraw);
  }

  drawNow(detail, {commands, incidents}) {
    if (!this.sections) {
      const part = (title, aside = "") => ({node: el("ul.events"), count: el("span.soft"), title, aside});
      this.sections = {incidents: part("Incidents"), anomalies: part("Readings out of their forecast"), commands: part("Commands")};
      const framed = ({node, count, title, aside}) => panel([`${title} `, count], aside, node);
      this.slots = {forecasts: el("div"), workloads: el("div"), pool: el("div")};
      fill(this.body, el("div.pair", {},
        el("div.stack", {}, framed(this.sections.incidents), framed(this.sections.anomalies), this.slots.forecasts, this.slots.pool),
        el("div.stack", {}, this.slots.workloads, framed(this.sections.commands))));
    }
    const {sections, slots} = this;
    const now = detail.time_ms;
    const noticed = detail.anomalies.map(({until_ms: until, ...item}) => ({...item, lasts: until >= now}));
    list(sections.incidents, incidents, (item) => item.since_ms, (item) => incident(item, {tick: this.tick}), "None. Nothing on this host is unusual.", this.redraw);
    list(sections.anomalies, noticed, (item) => `${item.resource}/${item.since_ms}`, anomaly, "None. Readings stay within what was forecast.", this.redraw);
    list(sections.commands, commands, (item) => item.command.id, command, "None yet. The brain commands when a reservation should change.", this.redraw);
    keyed(slots.forecasts, [detail.host.resources], () => "forecasts", forecasts);
    keyed(slots.workloads, [{list: detail.host.workloads, host: detail.host.name}], () => "workloads", workloads);
    keyed(slots.pool, [detail.pool], () => "pool", (accounts) => panel("Pool", el("span.soft", {}, "reserved of what can be given"), pool(accounts)));
  }

  drawLog({events}) {
    if (!this.sections) {
      const known = ["all", ...new Set(events.map((item) => item.source))];
      const log = {node: el("ul.events"), count: el("span.soft")};
      const chosen = choice("Source", known.map((name) => [name, name]), (source) => { this.source = source; this.sections = null; this.redraw(); });
      chosen.choose(this.source);
      this.sections = {log};
      fill(this.body, panel(["Event log ", log.count], chosen, this.stored?.fault && el("p.warn", {}, `Older events cannot be read: ${this.stored.fault}`), log.node));
    }
    const wanted = events.filter((item) => this.source === "all" || item.source === this.source);
    list(this.sections.log, wanted, (item) => `${item.time_ms}/${item.source}/${item.subject}/${item.kind}`, event,
      "None within a day: registers, logs (the BMC's event log among them) and sensors have told nothing.", this.redraw, 50);
  }
}
