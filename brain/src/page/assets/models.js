// The network and the forecasts: training, drift, skill over time, calibration, and who forecasts how well.

import {ago, choice, el, facts, keyed, panel, table} from "./dom.js";
import * as feed from "./feed.js";
import * as format from "./format.js";
import {calibration, overTime} from "./plots.js";

const TONES = {serving: "good", training: "fan", waiting: "", failed: "bad"};
const EXPERTS = {served: "what was published", lstm: "LSTM", ewma: "EWMA with its errors", hour: "last hour", four_hours: "last 4 hours", day: "last day"};
const SHOWN = [["skill", "skill"], ["coverage", "≤ p95"], ["by_network", "by the LSTM"]];
const EVERY_MS = 10_000;

export class ModelsView {
  title = "Models";
  figure = "skill";
  at = 0;

  mount(redraw) {
    this.slots = {model: el("div"), time: el("div"), curve: el("div"), experts: el("div"), held: el("div")};
    this.choice = choice("Figure", SHOWN, (figure) => { this.figure = figure; this.choice.choose(figure); redraw(); });
    this.choice.choose(this.figure);
    return el("div.pair", {}, el("div.stack", {}, this.slots.model, this.slots.curve), el("div.stack", {}, this.slots.time, this.slots.experts, this.slots.held));
  }

  async load(fleet) {
    if (this.scores && Math.abs(fleet.time_ms - this.at) < EVERY_MS) return;
    this.scores = (await feed.scores()).scores;
    this.at = fleet.time_ms;
  }

  draw({model}) {
    const {slots, scores} = this;
    keyed(slots.model, [model], () => "model", drawModel);
    keyed(slots.time, [{figure: this.figure, points: scores.lately}], () => "time", ({figure, points}) =>
      panel("Over time", this.choice, overTime(points, figure), el("p.note", {}, NOTES[figure])));
    keyed(slots.curve, [scores.since_start], () => "curve", (rows) => panel("Calibration", el("span.soft", {}, "since the brain started, 15 min ahead"), calibration(rows)));
    keyed(slots.experts, [scores.since_start], () => "experts", (rows) => experts("Who forecasts how well", "since the brain started, all over the same moments; skill against the last value", rows));
    keyed(slots.held, [scores.held_out], () => "held", (rows) => experts("The LSTM on rows that it has not seen", "at its training", rows));
  }
}

const NOTES = {
  skill: "1 − pinball loss / that of the last value, lately, at the farthest horizon: median over all hosts. Above 0 a forecast is better than the last value.",
  coverage: "Share of values at or below the published p95, lately, at the farthest horizon: median over all hosts. It should be 95 %.",
  by_network: "Share of hosts whose forecast the LSTM counts most in.",
};

function drawModel(model) {
  const tone = TONES[model.state];
  const [last, ewma, lstm] = model.served;
  const part = (share) => el("i", {style: {width: `${(100 * share).toFixed(1)}%`}});
  return panel("Model", el(tone ? `span.chip.${tone}` : "span.chip", {}, model.state),
    el("div.rungs", {role: "img", "aria-label": "Share of series by rung"}, part(last), part(ewma), part(lstm)),
    facts([
      ["mostly the LSTM", el("span.fan", {}, format.share(lstm))],
      ["mostly their own past", el("span.value", {}, format.share(ewma))],
      ["the last value", format.share(last)],
      ["version", model.version && el("code", {}, model.version)],
      ["trained", model.trained_ms ? ago(model.trained_ms) : ""],
      ["history", history(model)],
      ["drift", model.drift?.score > 0.005 ? drift(model.drift) : "none"],
    ]),
    model.progress ? progress(model.progress) : null,
    model.note && model.state !== "serving" ? el("p.note", {}, model.note) : null);
}

// How far the network loses more than its own record: at all of it a retraining is asked for.
function drift({resource, why, score, asks}) {
  return el(asks ? "span.warn" : "span", {}, `${asks ? "retraining asked for" : format.share(Math.min(1, score))} (${format.NAMES[resource]} ${why})`);
}

// How far a training is, as a bar.
function progress({part, done, of, loss}) {
  const share = Math.min(1, done / of);
  const told = `${format.share(share)} of ${part}${loss === null ? "" : `, loss ${loss.toFixed(4)}`}`;
  return el("div.progress", {}, el("div.rungs", {role: "progressbar", "aria-valuenow": Math.round(100 * share), "aria-label": "Training"}, el("i.fan", {style: {width: `${(100 * share).toFixed(1)}%`}})), el("span.soft", {}, `training: ${told}`));
}

function history({rows, rows_needed: needed}) {
  return rows < needed ? `${format.count(rows)} of ${format.count(needed)} rows` : `${format.count(rows)} rows`;
}

function experts(title, aside, rows) {
  if (rows.length === 0) return panel(title, null, el("p.note", {}, "Nothing was scored yet: a forecast is judged when its time has come."));
  const known = Object.keys(EXPERTS).filter((expert) => rows.some((row) => row.losses.some((loss) => loss.expert === expert)));
  return panel(title, el("span.soft", {}, aside),
    table(["", "in", ...known.map((expert) => el("span", {title: EXPERTS[expert]}, expert.replace("_", " ")))], rows.map((row) => {
      const best = Math.min(...row.losses.map((loss) => loss.pinball));
      const skill = (expert) => {
        const loss = row.losses.find((loss) => loss.expert === expert);
        if (!loss) return "–";
        return el(loss.pinball === best ? "strong" : "span", {title: `pinball loss ${loss.pinball.toPrecision(3)} over ${format.count(row.values)} values`}, format.toned(loss.skill));
      };
      return [row.target.replace("_", " "), format.horizon(row.horizon_s), ...known.map(skill)];
    }), known.map((_, at) => at + 2)));
}
