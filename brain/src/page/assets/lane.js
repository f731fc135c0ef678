// What happened, above the charts and on their axis: incidents as bars, events and commands as marks.

import {LEFT, RIGHT} from "./chart.js";
import {el, fill, svg} from "./dom.js";
import * as format from "./format.js";

const HEIGHT = 42;
const ROWS = {incidents: 7, events: 21, commands: 35};

export class Lane {
  constructor() {
    this.plot = svg("svg.lane", {height: HEIGHT, role: "img"});
    this.cross = svg("line.cross", {y1: 0, y2: HEIGHT});
    this.node = el("section.chart.happened", {}, this.plot);
  }

  draw({incidents, events, commands, range, now, width}) {
    this.range = range;
    const x = (ms) => LEFT + (ms - range[0]) / (range[1] - range[0]) * (width - LEFT - RIGHT);
    const inside = (ms) => ms >= range[0] && ms <= range[1];
    this.x = x;
    const shown = {
      incidents: incidents.filter((item) => (item.goes_on ? now : item.until_ms) >= range[0] && item.since_ms <= range[1]),
      events: events.filter((item) => inside(item.time_ms)),
      commands: commands.filter((item) => inside(item.command.issued_ms)),
    };
    const key = JSON.stringify([range.map((ms) => Math.round(ms / (range[1] - range[0]) * width)), width, Object.values(shown).map((all) => all.length), shown.incidents.map((item) => item.until_ms)]);
    if (this.drawn === key) return;
    this.drawn = key;
    this.plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.plot.setAttribute("width", width);
    fill(this.plot, Object.entries(ROWS).map(([name, y]) => svg("text", {x: LEFT - 6, y: y + 3.5}, name)),
      shown.incidents.map((item) => bar(item, x, range, now)),
      shown.events.map((item) => svg(`circle.${item.severity}`, {cx: x(item.time_ms), cy: ROWS.events, r: 3.2},
        svg("title", {}, `${format.clock(item.time_ms)} ${item.source} ${item.subject}: ${item.text}`))),
      shown.commands.map((item) => mark(item, x)),
      this.cross);
    this.plot.setAttribute("aria-label", `${format.plural(shown.incidents.length, "incident")}, ${format.plural(shown.events.length, "event")}, ${format.plural(shown.commands.length, "command")}`);
  }

  point(ms) {
    const shown = ms !== null && this.range;
    this.cross.classList.toggle("shown", Boolean(shown));
    if (!shown) return;
    this.cross.setAttribute("x1", this.x(ms));
    this.cross.setAttribute("x2", this.x(ms));
  }
}

function bar(item, x, range, now) {
  const begin = Math.max(LEFT, x(item.since_ms));
  const end = x(Math.min(range[1], item.goes_on ? now : item.until_ms));
  return svg(`rect.${item.severity}`, {x: begin, y: ROWS.incidents - 4, height: 8, rx: 2, width: Math.max(4, end - begin)},
    svg("title", {}, `${item.severity}, ${format.moment(item.since_ms)}: ${item.cause}`));
}

// Up for what is raised, down for what is lowered, a square for both.
function mark({command, outcome}, x) {
  const ways = new Set(command.changes.map(({before, target}) => before === null || target > before));
  const shape = ways.size !== 1 ? "M-3 -3H3V3H-3Z" : ways.has(true) ? "M0 -4L4 3H-4Z" : "M0 4L4 -3H-4Z";
  const texts = command.changes.map((change) => change.explanation.text);
  const state = outcome?.state ?? "no answer yet";
  return svg(`path.${["failed", "refused", "hurt", "distrusted"].includes(state) ? "critical" : "command"}`,
    {d: shape, transform: `translate(${x(command.issued_ms).toFixed(1)} ${ROWS.commands})`},
    svg("title", {}, `${format.clock(command.issued_ms)} ${state.replace("_", " ")}: ${texts.slice(0, 3).join("; ")}${texts.length > 3 ? ` and ${texts.length - 3} more` : ""}`));
}
