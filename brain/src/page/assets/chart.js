// One resource: its last hour and what is expected, on one time axis.

import * as format from "./format.js";

export const HISTORY_MIN = 60;
const MINUTE = 60_000;

// plotly draws a date axis in UTC; moments are moved so that it reads as the clock on the wall.
const onWall = (ms) => ms - new Date(ms).getTimezoneOffset() * MINUTE;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function washed(hex, strength) {
  return hex + Math.round(255 * strength).toString(16).padStart(2, "0");
}

// `view`: a ResourceView. `points`: [[unix ms, value], ...]. `now`: the snapshot's time.
// `anomalies`: those of this resource. Does nothing until plotly.js is there.
export function draw(node, {view, points, now, anomalies}) {
  if (!window.Plotly) return;
  const fan = fanOf(view, points);
  const top = ceiling(view.unit, points, fan);
  const scale = format.scaleOf(view.unit, top);
  const paint = {value: colour("--value"), fan: colour("--fan"), line: colour("--line"), soft: colour("--soft"),
    panel: colour("--panel"), ink: colour("--ink"), warn: colour("--warn")};
  const traces = [...fanTraces(fan, scale, paint), historyTrace(points, scale, paint)];
  const reach = fan.at(-1)?.t ?? now + 15 * MINUTE;
  const range = [now - HISTORY_MIN * MINUTE, reach + MINUTE / 2];
  const near = view.capacity > 0 && view.capacity <= top;
  const shapes = [...shapesOf({now, range, anomalies}, paint), ...(near ? [capacityLine(view.capacity / scale.divisor, paint)] : [])];
  window.Plotly.react(node, traces, layout({range, top: top / scale.divisor, scale, shapes, paint}),
    {displayModeBar: false});
  node.setAttribute("aria-label", spoken(view, points));
}

// The axis never ends below this: noise would look like load.
const LEAST = {"1": 0.1, "B/s": 1000, W: 10};

// The axis ends a little above the highest value. Two things may run off it rather than flatten the rest: a share
// above 1, and the outer band of a forecast that knows little yet.
function ceiling(unit, points, fan) {
  const likely = Math.max(0, ...points.map(([, y]) => y), ...fan.map(({q}) => q[0]));
  const outer = Math.max(0, ...fan.flatMap(({q}) => q));
  const highest = likely > 0 ? Math.min(outer, 3 * likely) : outer;
  const top = Math.max(1.15 * Math.max(highest, likely), LEAST[unit] ?? 0);
  return unit === "1" ? Math.min(top, 1.03) : top;
}

// The forecast as steps from the newest value outwards: {t, q: [p50, p90, p95, p99]}.
function fanOf(view, points) {
  if (view.forecasts.length === 0 || view.value === null) return [];
  const made = view.forecasts[0].made_ms;
  const known = points.findLast(([t]) => t <= made)?.[1] ?? view.value;
  const steps = view.forecasts.map(({made_ms: at, horizon_s: ahead, quantiles: {p50, p90, p95, p99}}) =>
    ({t: at + ahead * 1000, q: [p50, p90, p95, p99]}));
  return [{t: made, q: [known, known, known, known]}, ...steps].sort((a, b) => a.t - b.t);
}

const BANDS = [
  {name: "p50", strength: 0, width: 1.8},
  {name: "p90", strength: 0.3, width: 0},
  {name: "p95", strength: 0.2, width: 1},
  {name: "p99", strength: 0.1, width: 0},
];

function fanTraces(fan, scale, paint) {
  const x = fan.map((step) => onWall(step.t));
  return BANDS.map(({name, strength, width}, at) => ({
    name, x, y: fan.map((step) => step.q[at] / scale.divisor), type: "scatter", mode: "lines",
    line: {color: paint.fan, width, dash: name === "p95" ? "dot" : "solid"},
    fill: at === 0 ? "none" : "tonexty", fillcolor: washed(paint.fan, strength),
    hovertemplate: `%{y:.3~g} ${scale.unit}`,
  }));
}

function historyTrace(points, scale, paint) {
  const x = [];
  const y = [];
  const gap = 2.5 * usualStep(points);
  points.forEach(([t, v], at) => {
    // A gap in the data is a gap in the line.
    if (at > 0 && t - points[at - 1][0] > gap) { x.push(onWall(t - 1)); y.push(null); }
    x.push(onWall(t));
    y.push(v / scale.divisor);
  });
  return {name: "measured", x, y, type: "scatter", mode: "lines", line: {color: paint.value, width: 1.4},
    hovertemplate: `%{y:.3~g} ${scale.unit}`};
}

function usualStep(points) {
  const steps = points.slice(1).map(([t], at) => t - points[at][0]).sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? MINUTE;
}

function shapesOf({now, range, anomalies}, paint) {
  const upright = {type: "rect", yref: "paper", y0: 0, y1: 1, line: {width: 0}, layer: "below"};
  const seen = anomalies.filter((anomaly) => anomaly.until_ms >= range[0]).map((anomaly) => ({
    ...upright,
    x0: onWall(Math.max(anomaly.since_ms, range[0])),
    x1: onWall(Math.max(anomaly.until_ms, anomaly.since_ms + MINUTE / 2)),
    fillcolor: washed(paint.warn, 0.22),
  }));
  const ahead = {...upright, x0: onWall(now), x1: onWall(range[1]), fillcolor: washed(paint.soft, 0.06)};
  const here = {type: "line", yref: "paper", y0: 0, y1: 1, x0: onWall(now), x1: onWall(now), line: {color: paint.soft, width: 1}};
  return [...seen, ahead, here];
}

function capacityLine(y, paint) {
  return {type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: {color: paint.soft, width: 1, dash: "dash"}};
}

function layout({range, top, scale, shapes, paint}) {
  const axis = {gridcolor: paint.line, zeroline: false, fixedrange: true, color: paint.soft, tickfont: {size: 11}};
  return {
    margin: {l: 58, r: 6, t: 8, b: 20}, showlegend: false, dragmode: false, hovermode: "x unified",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: {family: getComputedStyle(document.body).fontFamily, size: 11, color: paint.ink},
    hoverlabel: {bgcolor: paint.panel, bordercolor: paint.line, font: {color: paint.ink, size: 12}},
    xaxis: {...axis, type: "date", range: range.map(onWall), dtick: 15 * MINUTE, tickformat: "%H:%M", hoverformat: "%H:%M:%S", showgrid: false},
    yaxis: {...axis, range: [0, top], nticks: 4, tickformat: "~g", ticksuffix: `\u202f${scale.unit}`},
    shapes,
  };
}

// Keeps a drawn chart as wide as its card.
export function follow(node) {
  new ResizeObserver(() => { if (node.layout) window.Plotly.Plots.resize(node); }).observe(node);
}

function spoken(view, points) {
  const last = view.forecasts.at(-1);
  const ahead = last ? `; in ${format.horizon(last.horizon_s)} p50 ${format.value(view.unit, last.quantiles.p50)}, `
    + `p95 ${format.value(view.unit, last.quantiles.p95)}` : "";
  return `${format.NAMES[view.resource]}: ${points.length} values of the last hour, now ${format.value(view.unit, view.value)}${ahead}`;
}
