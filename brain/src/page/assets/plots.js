// Small plots of the forecasts' worth: a figure over time, and the calibration curve.

import {moments, numbers} from "./axis.js";
import {el, svg} from "./dom.js";
import * as format from "./format.js";

const WIDTH = 640;
const HEIGHT = 190;
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 8, 8, 20];
const QUANTILES = [0.5, 0.9, 0.95, 0.99];

function legend(names) {
  return el("p.legend", {}, names.map((name) => el("span", {}, el(`i.of-${name}`), format.NAMES[name])));
}

// `points`: QualityViews, oldest first. `figure`: skill, coverage or by_network.
export function overTime(points, figure) {
  const known = points.filter((point) => point[figure] !== null);
  if (known.length < 2) return el("p.note", {}, "A point comes each five minutes; there are not two yet.");
  const range = [known[0].time_ms, known.at(-1).time_ms];
  const values = known.map((point) => point[figure]);
  const low = figure === "skill" ? Math.max(-1, Math.min(0, ...values)) : figure === "coverage" ? Math.min(0.8, Math.max(0.4, Math.min(...values))) : 0;
  const high = figure === "skill" ? Math.max(0.2, ...values) : 1;
  const x = (ms) => LEFT + (ms - range[0]) / (range[1] - range[0]) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - (Math.max(low, value) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const wanted = figure === "skill" ? 0 : figure === "coverage" ? 0.95 : null;
  const names = Object.keys(format.NAMES).filter((name) => known.some((point) => point.resource === name));
  const write = (value) => figure === "skill" ? format.signed(value) : format.share(value);
  return el("div", {}, svg("svg.small", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${figure} of ${names.map((name) => `${name}: ${write(known.findLast((point) => point.resource === name)[figure])}`).join(", ")}`},
    numbers(high, 4, low).map((value) => [svg("line.grid", {x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value)}), svg("text.number", {x: LEFT - 5, y: y(value) + 3.5}, write(value))]),
    wanted !== null && svg("line.wanted", {x1: LEFT, x2: WIDTH - RIGHT, y1: y(wanted), y2: y(wanted)}),
    moments(range, 6).map(({ms, text}) => svg("text.moment", {x: x(ms), y: HEIGHT - 5}, text)),
    names.map((name) => svg(`path.of-${name}`, {d: known.filter((point) => point.resource === name).map((point, at) => `${at ? "L" : "M"}${x(point.time_ms).toFixed(1)} ${y(point[figure]).toFixed(1)}`).join("")},
      svg("title", {}, format.NAMES[name])))), legend(names));
}

// `rows`: ScoreViews. How many values came at or below each published quantile: on the line, where it is calibrated.
export function calibration(rows) {
  const farthest = Math.max(0, ...rows.map((row) => row.horizon_s));
  const known = rows.filter((row) => row.horizon_s === farthest && row.coverage.some((share) => share > 0) && format.NAMES[row.target]);
  if (known.length === 0) return el("p.note", {}, "Nothing was scored yet: a forecast is judged when its time has come.");
  const size = 250;
  const side = 300;
  // From 40 % on: nothing is published below the median.
  const at = (share) => Math.max(0, (share - 0.4) / 0.6);
  const x = (share) => LEFT + at(share) * (size - LEFT - RIGHT);
  const y = (share) => TOP + (1 - at(share)) * (size - TOP - BOTTOM);
  const plot = svg("svg.small.square", {viewBox: `0 0 ${side} ${size}`, role: "img", "aria-label": `Calibration: ${known.map((row) => `${row.target} p95 ${format.share(row.coverage[2])}`).join(", ")}`},
    [0.4, 0.6, 0.8, 1].map((share) => [svg("line.grid", {x1: LEFT, x2: size - RIGHT, y1: y(share), y2: y(share)}), svg("text.number", {x: LEFT - 5, y: y(share) + 3.5}, format.share(share))]),
    QUANTILES.map((share) => svg("text.moment", {x: x(share), y: size - 5}, share === 0.95 ? "" : `p${100 * share}`)),
    svg("line.wanted", {x1: x(0.4), y1: y(0.4), x2: x(1), y2: y(1)}),
    known.map((row) => [svg(`path.of-${row.target}`, {d: row.coverage.map((share, q) => `${q ? "L" : "M"}${x(QUANTILES[q]).toFixed(1)} ${y(share).toFixed(1)}`).join("")}),
      row.coverage.map((share, q) => svg(`circle.of-${row.target}`, {cx: x(QUANTILES[q]), cy: y(share), r: 2.6}, svg("title", {}, `${row.target} p${100 * QUANTILES[q]}: ${format.share(share)}`)))]));
  return el("div.curve", {}, plot, el("div", {}, el("p.note", {}, "Share of values that came at or below what was published. On the dashed line a quantile holds what it says; above it is cautious, below it is bold."), legend(known.map((row) => row.target))));
}
