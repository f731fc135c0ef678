// Everything that is sampled on a host as it reads now: the BMC's sensors first, then the other groups of metrics.

import {el, keyed, panel, setText, table} from "./dom.js";
import * as format from "./format.js";

const FIRST = ["bmc", "thermal", "hwmon", "power", "edac", "pressure"];
const TITLES = {bmc: "BMC sensors", thermal: "Heat", hwmon: "Sensors of the host", edac: "Memory errors", msr: "Processor registers"};

export class ReadingsPart {
  constructor() {
    this.search = el("input", {type: "search", placeholder: "Search metrics", "aria-label": "Search metrics", autocomplete: "off", spellcheck: "false"});
    this.note = el("p.note");
    this.groups = el("div.groups");
    this.node = el("div.readings", {}, el("div.tools", {}, this.search), this.note, this.groups);
    this.node.update = () => {};
  }

  draw(root, answer, redraw) {
    this.search.oninput = redraw;
    keyed(root, [{}], () => "readings", () => this.node);
    if (!answer) return setText(this.note, "Asking for the readings …");
    const words = this.search.value.toLowerCase();
    const wanted = answer.readings.filter(({metric}) => metric.toLowerCase().includes(words));
    const groups = grouped(wanted);
    const rank = (name) => FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length;
    const sorted = [...groups].sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
    const sensors = answer.readings.some(({vantage}) => vantage === "oob");
    setText(this.note, `${format.plural(wanted.length, "metric")}${sensors ? "" : "; no BMC is read for this host"}`);
    keyed(this.groups, sorted, ([name]) => name, ([name, readings]) => panel([TITLES[name] ?? name, " ", el("span.soft", {}, String(readings.length))], null,
      table(["metric", "now"], readings.map(({metric, unit, value, missing}) => [
        metric.startsWith(`${name}.`) ? metric.slice(name.length + 1) : metric,
        value === null ? el("span.soft", {}, missing) : format.metric(unit, value, metric)]), [1])));
  }
}

const groupOf = ({metric}) => metric.split(".")[0];

function grouped(readings) {
  const groups = new Map();
  for (const reading of readings) groups.set(groupOf(reading), [...(groups.get(groupOf(reading)) ?? []), reading]);
  return groups;
}
