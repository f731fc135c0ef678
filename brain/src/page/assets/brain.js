// The brain itself: the line at the top, its model and what went through it.

import {ago, el, facts, keyed, setText} from "./dom.js";
import * as format from "./format.js";

const byId = (id) => document.getElementById(id);

export function drawTop(fleet) {
  const {hosts, totals} = fleet;
  setText(byId("cell"), fleet.cell);
  setText(byId("mode"), fleet.mode);
  byId("mode").className = fleet.mode === "recommend-only" ? "chip" : "chip warn";
  byId("mode").title = fleet.freeze ? `by ${fleet.freeze.by}, ${ago(fleet.freeze.since_ms)}: ${fleet.freeze.reason}` : "";
  const online = hosts.filter((host) => host.state === "online").length;
  const anomalies = hosts.reduce((sum, host) => sum + host.anomalies, 0);
  const figures = [
    ["hosts online", `${format.count(online)} of ${format.count(hosts.length)}`],
    ["anomalies now", format.count(anomalies)],
    ["samples", `${format.digits(totals.samples_per_s)}/s`],
    ["of packed doubles", packed(totals)],
    ["model", fleet.model.state],
  ];
  keyed(byId("figures"), figures, ([name]) => name, ([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text)));
  setText(byId("clock"), fleet.time_ms ? format.clock(fleet.time_ms) : "–");
  byId("clock").title = fleet.time_ms ? format.moment(fleet.time_ms) : "";
}

function packed({frame_bytes: sent, packed_bytes: raw}) {
  return raw > 0 ? format.share(sent / raw) : "–";
}

export function drawBrain(fleet) {
  const panels = [["model", fleet.model, drawModel], ["totals", fleet.totals, drawTotals]];
  if (fleet.unmet.length > 0) panels.unshift(["unmet", fleet.unmet, drawUnmet]);
  keyed(byId("brain"), panels.map(([name, shown]) => ({name, shown})), ({name}) => name,
    ({name, shown}) => panels.find((panel) => panel[0] === name)[2](shown));
}

function drawUnmet(needs) {
  return el("section.panel", {},
    el("header", {}, el("h2", {}, "Needs that cannot be met"), el("span.chip.warn", {}, String(needs.length))),
    el("ul.events", {}, needs.map((need) => el("li", {}, need))));
}

const TONES = {serving: "good", training: "fan", waiting: "", failed: "bad"};

function drawModel(model) {
  const tone = TONES[model.state];
  const [last, ewma, lstm] = model.served;
  const part = (share) => el("i", {style: {width: `${(100 * share).toFixed(1)}%`}});
  return el("section.panel", {},
    el("header", {}, el("h2", {}, "Model"), el(tone ? `span.chip.${tone}` : "span.chip", {}, model.state)),
    el("div.rungs", {role: "img", "aria-label": "Share of series by rung"}, part(last), part(ewma), part(lstm)),
    facts([
      ["served by LSTM", el("span", {style: {color: "var(--fan)"}}, format.share(lstm))],
      ["by EWMA", el("span", {style: {color: "var(--value)"}}, format.share(ewma))],
      ["by last value", format.share(last)],
      ["version", model.version],
      ["trained", model.trained_ms ? ago(model.trained_ms) : ""],
      ["history", history(model)],
      ["drift", model.drift ? drift(model.drift) : ""],
    ]),
    model.progress ? progress(model.progress) : null,
    model.note ? el("p.note", {}, model.note) : null);
}

// How far the network loses more than its own record: at all of it a retraining is asked for.
function drift({resource, why, score, asks}) {
  const title = `of ${format.NAMES[resource]} ${why}`;
  return el(asks ? "span.warn" : "span", {title}, asks ? "retraining asked for" : format.share(Math.min(1, score)));
}

// How far a training is, as a bar.
function progress({part, done, of, loss}) {
  const share = Math.min(1, done / of);
  const told = loss === null ? part : `${part}, loss ${loss.toFixed(4)}`;
  return el("div.rungs", {role: "img", "aria-label": `Training: ${format.share(share)} of ${told}`, title: told},
    el("i", {style: {width: `${(100 * share).toFixed(1)}%`, background: "var(--fan)"}}));
}

function history({rows, rows_needed: needed}) {
  return rows < needed ? `${format.count(rows)} of ${format.count(needed)} rows` : `${format.count(rows)} rows`;
}

function drawTotals(totals) {
  return el("section.panel", {},
    el("header", {}, el("h2", {}, "Since the start")),
    facts([
      ["frames", format.count(totals.frames)],
      ["samples", format.count(totals.samples)],
      ["on the wire", `${format.bytes(totals.frame_bytes)}, ${packed(totals)} of packed doubles`],
      ["missing", fault(totals.missing)],
      ["refused", fault(totals.refused)],
      ["duplicates", format.count(totals.duplicates)],
    ]));
}

function fault(number) {
  return number > 0 ? el("span.warn", {}, format.count(number)) : "0";
}
