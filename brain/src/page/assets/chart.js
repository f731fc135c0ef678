// One resource over time as SVG: what was measured, the fan of what is expected, and what is allocated.
//
// Colours come from the style sheet, so a change of the theme needs no drawing.

import {moments, momentsFor, numbers} from "./axis.js";
import {el, fill, setText, svg} from "./dom.js";
import * as format from "./format.js";

export const LEFT = 66; // room for numbers
export const RIGHT = 10;
const HEIGHT = 116;
const TOP = 6;
const BOTTOM = 7; // room for half a number

// The axis never ends below this: noise would look like load.
const LEAST = {"1": 0.1, "B/s": 1000, W: 10};

export class Chart {
  constructor(name) {
    this.name = name;
    this.now = el("span.now");
    this.of = el("span.soft");
    this.ahead = el("span.ahead");
    this.readout = el("span.readout");
    this.plot = svg("svg.plot", {role: "img", height: HEIGHT});
    this.cross = svg("line.cross", {y1: TOP, y2: HEIGHT - 1});
    this.node = el("section.chart", {}, el("header", {}, el("h2", {}, format.NAMES[name]), this.now, this.of, this.ahead, this.readout), this.plot);
  }

  // `view`: a ResourceView. `points`: [[ms, value], ...]. `held`: what is allocated, [[ms, value], ...] in steps.
  draw({view, points, held, range, now, width, anomalies, account}) {
    const {unit} = view;
    this.range = range;
    this.width = width;
    const fan = fanOf(view, points);
    const seen = within(points, range);
    const top = ceiling(unit, seen, fan.filter(({t}) => t <= range[1]), held.filter(([, value]) => value !== null).map(([, value]) => value));
    const x = (ms) => LEFT + (ms - range[0]) / (range[1] - range[0]) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - Math.min(3, value / top)) * (HEIGHT - TOP - BOTTOM);
    const scale = format.scaleOf(unit, top);
    Object.assign(this, {view, seen, fan, held, x});
    this.plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.plot.setAttribute("width", width);
    fill(this.plot,
      moments(range, momentsFor(width)).map(({ms}) => svg("line.grid", {x1: x(ms), x2: x(ms), y1: TOP, y2: HEIGHT - BOTTOM})),
      numbers(top / scale.divisor, 3).map((number) => grid(number, y(number * scale.divisor), width, scale.unit)),
      anomalies.filter((anomaly) => anomaly.until_ms >= range[0] && anomaly.since_ms <= range[1]).map((anomaly) =>
        svg("rect.anomaly", {x: Math.max(LEFT, x(anomaly.since_ms)), y: TOP, height: HEIGHT - TOP, width: Math.max(2, x(anomaly.until_ms) - Math.max(LEFT, x(anomaly.since_ms)))},
          svg("title", {}, anomaly.evidence))),
      now < range[1] && svg("rect.future", {x: Math.max(LEFT, x(now)), y: 0, height: HEIGHT, width: Math.max(0, x(range[1]) - Math.max(LEFT, x(now)))}),
      bands(fan, x, y),
      view.capacity > 0 && view.capacity <= top && svg("line.capacity", {x1: LEFT, x2: width - RIGHT, y1: y(view.capacity), y2: y(view.capacity)}),
      svg("path.held", {d: stairs(held, range, x, y)}),
      svg("path.measured", {d: path(seen, range, x, y)}),
      svg("path.p50", {d: line(fan.map(({t, q}) => [x(t), y(q[0])]))}),
      svg("path.p95", {d: line(fan.map(({t, q}) => [x(t), y(q[2])]))}),
      now >= range[0] && now <= range[1] && svg("line.present", {x1: x(now), x2: x(now), y1: 0, y2: HEIGHT}),
      this.cross);
    this.head(view, account, held);
    this.plot.setAttribute("aria-label", spoken(view, seen));
  }

  head(view, account, held) {
    setText(this.now, format.value(view.unit, view.value));
    const allocated = held.at(-1)?.[1];
    const parts = [account ? `of ${format.amount(view.resource, account.capacity)}` : view.capacity > 0 && view.unit !== "1" ? `of ${format.value(view.unit, view.capacity)}` : "",
      allocated > 0 && account ? `allocated ${format.amount(view.resource, account.reserved)}` : ""];
    setText(this.of, parts.filter(Boolean).join(", "));
    const last = view.forecasts.at(-1);
    const peak = peakOf(view);
    const key = JSON.stringify([peak, last?.rung, last?.skill, last?.coverage]);
    if (this.headed === key) return;
    this.headed = key;
    fill(this.ahead, last ? ["peak in 15 min ", el("strong", {}, format.value(view.unit, peak)), " ",
      el(last.rung === "lstm" ? "span.chip.fan" : "span.chip", {title: "what the forecast is made of"}, format.RUNGS[last.rung] ?? last.rung),
      last.skill !== null && el("span", {title: "1 − pinball loss / that of the last value; above 0 it is better"}, " · skill ", format.toned(last.skill)),
      last.coverage !== null && el("span.coverage", {title: "share of values at or below the p95 lately; ideally 95 %"}, " · ≤ p95 ", format.share(last.coverage))]
      : "no forecast yet");
  }

  // The cross-hair at a moment, or nowhere; what stands there is told in the heading.
  point(ms) {
    const shown = ms !== null && this.range && ms >= this.range[0] && ms <= this.range[1];
    this.cross.classList.toggle("shown", Boolean(shown));
    this.node.classList.toggle("pointed", Boolean(shown));
    if (!shown) return setText(this.readout, "");
    this.cross.setAttribute("x1", this.x(ms));
    this.cross.setAttribute("x2", this.x(ms));
    setText(this.readout, this.told(ms));
  }

  told(ms) {
    const {unit} = this.view;
    const held = this.held.findLast(([t]) => t <= ms)?.[1];
    const allocated = held > 0 ? `, allocated ${format.value(unit, held)}` : "";
    const [first] = this.fan;
    if (first && ms > first.t) {
      const at = this.fan.findIndex(({t}) => t >= ms);
      if (at < 1) return "";
      const [one, two] = [this.fan[at - 1], this.fan[at]];
      const share = (ms - one.t) / (two.t - one.t);
      const [p50, , p95, p99] = one.q.map((value, q) => value + share * (two.q[q] - value));
      return `p50 ${format.value(unit, p50)}, p95 ${format.value(unit, p95)}, p99 ${format.value(unit, p99)}${allocated}`;
    }
    const near = nearest(this.seen, ms);
    return near ? `${format.value(unit, near[1])}${allocated}` : "nothing is known";
  }
}

// The highest p95 of the next 15 min.
const peakOf = ({forecasts}) => Math.max(...forecasts.filter(({horizon_s: ahead}) => ahead <= 900).map(({quantiles}) => quantiles.p95));

function grid(number, y, width, unit) {
  return svg("g", {}, svg("line.grid", {x1: LEFT, x2: width - RIGHT, y1: y, y2: y}),
    svg("text", {x: LEFT - 6, y: y + 3.5}, `${+number.toPrecision(3)}\u202f${unit}`));
}

// The forecast as steps from the newest value outwards: {t, q: [p50, p90, p95, p99]}.
function fanOf(view, points) {
  if (view.forecasts.length === 0 || view.value === null) return [];
  const made = view.forecasts[0].made_ms;
  const known = points.findLast(([t]) => t <= made)?.[1] ?? view.value;
  const steps = view.forecasts.map(({made_ms: at, horizon_s: ahead, quantiles: {p50, p90, p95, p99}}) => ({t: at + ahead * 1000, q: [p50, p90, p95, p99]}));
  return [{t: made, q: [known, known, known, known]}, ...steps].sort((a, b) => a.t - b.t);
}

// The axis ends a little above the highest value. Two things may run off it rather than flatten the rest: a share above 1,
// and the outer band of a forecast that knows little yet.
function ceiling(unit, points, fan, held) {
  const highest = (values) => values.reduce((most, value) => Math.max(most, value), 0);
  const likely = highest([highest(points.map(([, value]) => value)), highest(fan.map(({q}) => q[0]))]);
  const outer = highest(fan.flatMap(({q}) => q));
  const most = Math.max(likely, likely > 0 ? Math.min(outer, 3 * likely) : outer);
  const allocated = highest(held);
  const top = 1.12 * Math.max(most, allocated <= 3 * most ? allocated : 0, (LEAST[unit] ?? 0) / 1.12);
  return unit === "1" ? Math.min(top, 1.04) : top;
}

function bands(fan, x, y) {
  return [[0, 1, "near"], [1, 2, "mid"], [2, 3, "far"]].map(([low, high, name]) => {
    const up = fan.map(({t, q}) => [x(t), y(q[high])]);
    const down = fan.map(({t, q}) => [x(t), y(q[low])]).reverse();
    return fan.length > 1 && svg(`path.band.${name}`, {d: `${line([...up, ...down])}Z`});
  });
}

const line = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// Points of the range, and one on each side so that lines run to the edge.
function within(points, [since, until]) {
  const first = points.findIndex(([ms]) => ms >= since);
  if (first < 0) return [];
  const last = points.findLastIndex(([ms]) => ms <= until);
  return points.slice(Math.max(0, first - 1), last + 2);
}

// A line through points, of which many may fall onto one column of pixels: then lowest and highest are drawn. A gap in the data
// is a gap in the line.
function path(points, range, x, y) {
  const gap = 3.5 * usualStep(points);
  const parts = [];
  let column = null;
  let before = null;
  for (const [ms, value] of points) {
    const at = Math.round(Math.max(LEFT, x(ms)));
    const begins = before === null || ms - before > gap;
    if (column?.at === at && !begins) {
      column.low = Math.min(column.low, value);
      column.high = Math.max(column.high, value);
      column.last = value;
    } else {
      if (column) parts.push(drawn(column, y));
      column = {at, first: value, low: value, high: value, last: value, begins};
    }
    before = ms;
  }
  if (column) parts.push(drawn(column, y));
  return parts.join("");
}

// What fell onto one column of pixels.
function drawn({at, first, low, high, last, begins}, y) {
  const values = low === high ? [first] : [first, low, high, last];
  return values.map((value, place) => `${begins && place === 0 ? "M" : "L"}${at} ${y(value).toFixed(1)}`).join("");
}

function usualStep(points) {
  const steps = points.slice(1).map(([t], at) => t - points[at][0]).sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 60_000;
}

// What is held stays until it changes.
function stairs(steps, [since, until], x, y) {
  let d = "";
  steps.forEach(([ms, value], at) => {
    const end = Math.min(until, steps[at + 1]?.[0] ?? until);
    const begin = Math.max(since, ms);
    if (value === null || end < begin) return;
    d += `${d === "" ? "M" : "L"}${x(begin).toFixed(1)} ${y(value).toFixed(1)}L${x(end).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return d;
}

function nearest(points, ms) {
  const after = points.findIndex(([t]) => t >= ms);
  const [one, two] = [points[after < 0 ? points.length - 1 : after - 1], points[after]];
  if (!one || !two) return one ?? two;
  return ms - one[0] < two[0] - ms ? one : two;
}

function spoken(view, points) {
  const last = view.forecasts.at(-1);
  const ahead = last ? `; in ${format.horizon(last.horizon_s)} p50 ${format.value(view.unit, last.quantiles.p50)}, p95 ${format.value(view.unit, last.quantiles.p95)}` : "";
  return `${format.NAMES[view.resource]}: ${points.length} values, now ${format.value(view.unit, view.value)}${ahead}`;
}
