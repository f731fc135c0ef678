// All incidents: which go on, how grave and how rare they are, on what evidence, and who has taken notice.

import {choice, el, panel} from "./dom.js";
import {incident, list} from "./events.js";
import * as feed from "./feed.js";

const SHOWN = [["open", "open"], ["new", "not noticed"], ["all", "all of a week"]];
const WEEK = "7d";
const STORED_EVERY_MS = 60_000;

export class IncidentsView {
  title = "Incidents";
  shown = "open";
  stored = [];
  storedAt = 0;

  mount(redraw, tick) {
    Object.assign(this, {redraw, tick});
    this.list = {node: el("ul.events.wide"), count: el("span.soft")};
    this.choice = choice("Show", SHOWN, (shown) => this.turn(shown));
    this.choice.choose(this.shown);
    this.search = el("input", {type: "search", placeholder: "Search host, cause or evidence  ( / )", "aria-label": "Search incidents", autocomplete: "off", spellcheck: "false", oninput: redraw});
    this.fault = el("p.warn");
    return el("div.single", {}, el("div.tools", {}, this.search, this.choice),
      panel(["Incidents ", this.list.count], el("span.soft", {}, "the gravest first, then the newest"), this.fault, this.list.node));
  }

  turn(shown) {
    this.shown = shown;
    this.choice.choose(shown);
    this.list.node.all = undefined;
    this.redraw();
    this.tick();
  }

  async load(fleet) {
    this.newest = (await feed.incidents()).rows;
    if (this.shown !== "all" || Math.abs(fleet.time_ms - this.storedAt) < STORED_EVERY_MS) return;
    this.storedAt = fleet.time_ms;
    try {
      this.stored = (await feed.stored("incidents", {since: WEEK, limit: 2000})).rows;
      this.fault.textContent = "";
    } catch (error) {
      this.fault.textContent = `Older incidents cannot be read: ${error.message}`;
    }
  }

  draw() {
    const key = (item) => `${item.host}/${item.since_ms}`;
    const known = new Map((this.shown === "all" ? this.stored : []).map((item) => [key(item), item]));
    for (const item of this.newest) known.set(key(item), item);
    const words = this.search.value.toLowerCase().split(/\s+/);
    const wanted = [...known.values()].filter((item) => this.wants(item) && matches(item, words)).sort(order);
    const none = this.shown === "all" ? "None within a week." : this.shown === "new" ? "None that nobody has taken notice of." : "None goes on. Nothing is unusual in this cell.";
    list(this.list, wanted, key, (item) => incident(item, {place: true, tick: this.tick}), words.join("") ? "None matches." : none, this.redraw, 50);
  }

  wants(item) {
    return this.shown === "all" || (item.goes_on && (this.shown === "open" || !item.acknowledged_by));
  }
}

const GRAVE = ["info", "warning", "critical"];

// What goes on first; of that what is graver, of that what is newer.
function order(a, b) {
  if (a.goes_on !== b.goes_on) return a.goes_on ? -1 : 1;
  const graver = a.goes_on ? GRAVE.indexOf(b.severity) - GRAVE.indexOf(a.severity) : 0;
  return graver || b.since_ms - a.since_ms;
}

function matches(item, words) {
  const text = [item.host, item.cause, item.severity, ...item.signals.flatMap((signal) => [signal.subject, signal.kind, signal.evidence])].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}
