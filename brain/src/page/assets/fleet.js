// All hosts: a row each with five resources, the peak that is forecast against what is allocated, and what is unusual.
//
// The brain sorts and searches; here is only what is seen (rows.js), so ten thousand hosts are as quick as ten.

import * as address from "./address.js";
import {choice, el, keyed, setText} from "./dom.js";
import * as feed from "./feed.js";
import * as format from "./format.js";
import {buildRow} from "./row.js";
import {Rows} from "./rows.js";

// What a click on a heading sorts by, and how first.
const COLUMNS = [
  ["name", "Host", "ascending"],
  ["cpu", "CPU", "descending"], ["memory", "Memory", "descending"], ["network", "Network", "descending"],
  ["disk", "Disk", "descending"], ["power", "Power", "descending"],
  ["pressure", "Peak / allocated", "descending", "the highest p95 of the next 15 min, as a share of what is allocated (of what there is, where nothing is)"],
  ["incidents", "Incidents", "descending"], ["age", "Last sample", "descending"],
];
const SHOWN = [["all", "all"], ["incidents", "with incidents"], ["short", "short", "a peak above what is allocated"], ["silent", "silent", "not online"]];

export class FleetView {
  title = "Fleet";

  constructor({options}) {
    this.asked = {search: options.get("search") ?? "", show: options.get("show") ?? "all",
      sort: options.get("sort") ?? "name", order: options.get("order") ?? "ascending"};
  }

  mount(redraw, tick) {
    this.redraw = redraw;
    this.search = el("input", {type: "search", placeholder: "Search hosts  ( / )", "aria-label": "Search hosts by name, state, inventory or workload",
      autocomplete: "off", spellcheck: "false", value: this.asked.search});
    this.show = choice("Show", SHOWN, (show) => this.ask({show}));
    this.sort = el("select", {"aria-label": "Sort by"}, COLUMNS.map(([value, text]) => el("option", {value}, text)));
    this.figures = el("dl.figures");
    this.note = el("p.note", {role: "status"});
    this.headings = COLUMNS.map(([sort, text, first, title]) => el("button", {type: "button", title, "data-sort": sort,
      onclick: () => this.ask(this.asked.sort === sort ? {order: opposite(this.asked.order)} : {sort, order: first})}, text));
    this.rows = new Rows({build: buildRow, fetch: (offset, limit) => this.fetch(offset, limit)});
    this.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.ask({search: this.search.value.trim()}), 120);
    });
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { this.search.value = ""; this.ask({search: ""}); }
      if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); this.rows.focusFirst(); }
    });
    this.sort.addEventListener("change", () => {
      const [, , first] = COLUMNS.find(([value]) => value === this.sort.value);
      this.ask({sort: this.sort.value, order: first});
    });
    this.press();
    this.tick = tick;
    return el("div.fleet-view", {}, this.figures,
      el("div.tools", {}, this.search, this.show, el("label.sort", {}, "sort ", this.sort)),
      el("div.list", {}, el("div.row.headings", {}, this.headings), this.rows.node), this.note);
  }

  // Something else is to be seen.
  ask(change) {
    Object.assign(this.asked, change);
    const plain = {search: "", show: "all", sort: "name", order: "ascending"};
    address.keep(Object.fromEntries(Object.entries(this.asked).filter(([name, value]) => value !== plain[name])));
    this.press();
    this.rows.begin().then(() => this.tell());
  }

  press() {
    const {sort, order, show} = this.asked;
    for (const heading of this.headings) heading.setAttribute("aria-pressed", String(heading.dataset.sort === sort));
    for (const heading of this.headings) heading.className = heading.dataset.sort === sort ? order : "";
    this.show.choose(show);
    this.sort.value = sort;
  }

  async fetch(offset, limit) {
    return feed.rows({...this.asked, offset, limit});
  }

  async load() {
    await this.rows.refresh();
  }

  leave() {
    this.rows.leave();
  }

  draw(fleet) {
    const {hosts, incidents, totals, model} = fleet;
    const silent = hosts.all - hosts.online;
    const [, , lstm] = model.served;
    const figures = [
      ["hosts online", `${format.count(hosts.online)} of ${format.count(hosts.all)}`, silent ? "warn" : ""],
      ["incidents now", format.count(incidents.open), incidents.critical ? "bad" : incidents.open ? "warn" : ""],
      ["waiting for the pool", format.count(fleet.queued), fleet.queued ? "warn" : ""],
      ["forecast by the LSTM", format.share(lstm), ""],
      ["samples", `${format.digits(totals.samples_per_s)}/s`, ""],
      ["on the wire", totals.packed_bytes > 0 ? `${format.share(totals.frame_bytes / totals.packed_bytes)} of plain values` : "–", ""],
    ];
    keyed(this.figures, figures, ([name]) => name, ([name, text, tone]) => el("div", {}, el("dt", {}, name), el(tone ? `dd.${tone}` : "dd", {}, text)));
    this.rows.draw(fleet.time_ms);
    this.all = hosts.all;
    this.tell();
  }

  // How many of all match.
  tell() {
    const {all, rows: {matching}} = this;
    setText(this.note, all === 0 ? "Waiting for the first host. It appears a few seconds after its agent reached the broker."
      : matching === 0 ? "No host matches." : matching < all ? `${format.count(matching)} of ${format.plural(all, "host")}` : "");
  }
}

function opposite(order) {
  return order === "ascending" ? "descending" : "ascending";
}
