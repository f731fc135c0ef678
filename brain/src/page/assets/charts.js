// The five resources of the selected host, each a card with its chart, and their forecasts as a table.

import {el, fill, keyed, setText} from "./dom.js";
import * as chart from "./chart.js";
import * as format from "./format.js";

// `detail`: a HostDetail. `history`: {resource: points}; charts are redrawn when it is a new object.
export function drawCharts(grid, detail, history) {
  const items = detail.host.resources.map((view) => ({
    view, now: detail.time_ms, points: history?.[view.resource],
    pool: detail.pool.find((pool) => pool.resource === view.resource),
    anomalies: detail.anomalies.filter((anomaly) => anomaly.resource === view.resource),
  }));
  const key = ({view}) => `${detail.host.name}/${view.resource}/${view.value === null}`;
  keyed(grid, [...items, {table: detail.host.resources}], (item) => item.table ? "table" : key(item), card);
}

function card(item) {
  if (item.table) return table(item.table);
  return item.view.value === null && item.view.absent !== "" ? absent(item.view) : measured(item);
}

function absent(view) {
  return el("section.panel.chart.absent", {},
    el("header", {}, el("h2", {}, format.NAMES[view.resource]), el("span.chip", {}, "not measured")),
    el("p", {}, view.absent));
}

function measured(first) {
  const now = el("span.now");
  const of = el("span.soft");
  const ahead = el("span.ahead");
  const plot = el("div.plot", {role: "img"});
  const name = first.view.resource;
  const node = el("section.panel.chart", {},
    el("header", {}, el("h2", {}, format.NAMES[name]), now, of, ahead), plot);
  chart.follow(plot);
  let drawn;
  node.update = (item) => {
    setText(now, format.value(item.view.unit, item.view.value));
    setText(of, capacity(item));
    outlook(ahead, item.view.forecasts.at(-1), item.view.unit);
    if (item.points && drawn !== item.points && window.Plotly) {
      drawn = item.points;
      chart.draw(plot, item);
    }
  };
  // A chart needs its node's width, so it is drawn once the card is on the page.
  requestAnimationFrame(() => node.update(first));
  return node;
}

function capacity({view, pool}) {
  if (pool) return `of ${format.amount(view.resource, pool.capacity)}`;
  return view.capacity > 0 && view.unit !== "1" ? `of ${format.value(view.unit, view.capacity)}` : "";
}

function outlook(node, forecast, unit) {
  if (!forecast) return setText(node, "no forecast yet");
  const said = [`p95 in ${format.horizon(forecast.horizon_s)} `, format.value(unit, forecast.quantiles.p95)];
  if (node.textContent !== said.join("")) fill(node, said[0], el("strong", {}, said[1]));
}

function table(resources) {
  const rows = resources.filter((view) => view.forecasts.length > 0);
  const head = rows[0]?.forecasts.map((forecast) => format.horizon(forecast.horizon_s)) ?? [];
  return el("section.panel", {},
    el("header", {}, el("h2", {}, "Forecasts"), el("span.soft.legend", {}, el("i.p50"), "p50", el("i.p95"), "p95", el("i.p99"), "to p99")),
    rows.length === 0 ? el("p.note", {}, "None yet: a forecast needs some minutes of history.")
      : el("div.scroll", {}, el("table.forecasts", {},
        el("thead", {}, el("tr", {}, el("th", {}, "p95 in"), head.map((text) => el("th.number", {}, text)),
          el("th", {}, "rung"),
          el("th.number", {title: "1 − pinball loss / that of the last value; above 0 it is better"}, "skill"),
          el("th.number", {title: "share of values at or below the p95 lately; ideally 95 %"}, "≤ p95"))),
        el("tbody", {}, rows.map(row)))));
}

function row(view) {
  const last = view.forecasts.at(-1);
  const all = ({p50, p90, p95, p99}) => [p50, p90, p95, p99].map((value) => format.value(view.unit, value));
  const spread = (quantiles) => `p50, p90, p95, p99: ${all(quantiles).join(", ")}`;
  return el("tr", {},
    el("th", {scope: "row"}, format.NAMES[view.resource]),
    view.forecasts.map(({quantiles}) => el("td.number", {title: spread(quantiles)}, format.value(view.unit, quantiles.p95))),
    el("td", {}, rung(view.forecasts)),
    el("td.number", {}, skill(last.skill)),
    el("td.number", {}, format.share(last.coverage)));
}

// One word where all horizons agree, else the rungs from near to far.
function rung(forecasts) {
  const names = forecasts.map((forecast) => forecast.rung);
  const once = names.filter((name, at) => name !== names[at - 1]);
  return once.map((name) => el(name === "lstm" ? "span.chip.fan" : "span.chip", {}, format.RUNGS[name] ?? name));
}

function skill(number) {
  if (number === null) return "–";
  const tone = number > 0.005 ? "good" : number < -0.005 ? "bad" : "soft";
  return el(`span.${tone}`, {}, `${number > 0 ? "+" : ""}${number.toFixed(2)}`);
}
