// What the brain noticed, what hosts told and what was asked for: incidents, anomalies, events and commands.

import {ago, el, facts} from "./dom.js";
import * as format from "./format.js";

// `lasts`: it goes on. `place`: the host, where that is not evident.
export function anomaly({resource, since_ms, lasts, score, evidence, place}) {
  return el("li", {},
    el("div.line", {},
      el(lasts ? "span.chip.bad" : "span.chip", {}, lasts ? "now" : "over"),
      el("strong", {}, format.NAMES[resource]),
      place && el("span.soft", {}, place),
      el("span.soft", {title: `score ${format.digits(score)}: −log10 of the chance of a residual as large`}, rarity(score)),
      ago(since_ms)),
    el("p", {}, evidence));
}

// All that is unusual on a host at a time, the likely cause first. `notice(by)`: somebody takes notice of it.
export function incident({since_ms, until_ms, goes_on, severity, score, cause, signals, place, notice, ...item}) {
  const tone = SEVERITIES[severity];
  return el("li", {}, el("details", {},
    el("summary", {},
      el("div.line", {},
        el(tone && goes_on ? `span.chip.${tone}` : "span.chip", {}, goes_on ? severity : "over"),
        el("strong", {}, signals.map((signal) => signal.subject).join(", ")),
        place && el("span.soft", {}, place),
        el("span.soft", {title: `score ${format.digits(score)}: −log10 of the chance of its rarest signal`}, rarity(score)),
        ago(since_ms)),
      el("p", {}, cause, " ", el("span.more"))),
    facts([
      ...signals.slice(1).map((signal) => [`${signal.kind} ${signal.subject}`, signal.evidence]),
      ["began", format.moment(since_ms)],
      ["last seen", format.moment(until_ms)],
      ["acknowledged", item.acknowledged_by && `by ${item.acknowledged_by}, ${format.moment(item.acknowledged_ms)}`]]),
    !item.acknowledged_by && el("span.switch", {}, el("button", {type: "button", onclick: () => askName(notice)}, "acknowledge"))));
}

// Who acknowledges is asked once and kept in this browser.
function askName(notice) {
  const by = prompt("Acknowledge as", localStorage.getItem("name") ?? "");
  if (!by?.trim()) return;
  localStorage.setItem("name", by.trim());
  notice(by.trim());
}

const SEVERITIES = {info: "", warning: "warn", critical: "bad"};

export function event({time_ms, source, subject, kind, severity, text, details, place}) {
  return el("li", {}, el("details", {},
    el("summary", {},
      el("div.line", {},
        el(SEVERITIES[severity] ? `span.chip.${SEVERITIES[severity]}` : "span.chip", {}, severity),
        el("strong", {}, subject),
        place && el("span.soft", {}, place),
        el("span.soft", {}, `${source}: ${kind.replaceAll("_", " ")}`),
        ago(time_ms)),
      el("p", {}, text, " ", el("span.more"))),
    facts([...details, ["seen", format.moment(time_ms)]])));
}

function rarity(score) {
  if (score >= 9) return "1 in over 10⁹";
  return `1 in ${format.count(Number((10 ** score).toPrecision(1)))}`;
}

const STATES = {
  applied: ["applied", "good"],
  dry_run: ["dry run", ""],
  refused: ["refused", "bad"],
  expired: ["expired", "warn"],
  failed: ["failed", "bad"],
  distrusted: ["distrusted", "bad"],
};

export function command({command, outcome, place}) {
  const [word, tone] = outcome ? STATES[outcome.state] ?? [outcome.state, ""] : ["no answer yet", "warn"];
  const [first, ...others] = command.changes;
  return el("li", {}, el("details", {},
    el("summary", {},
      el("div.line", {},
        el(tone ? `span.chip.${tone}` : "span.chip", {}, word),
        place && el("span.soft", {}, place),
        first && changeLine(first),
        others.length > 0 && el("span.soft", {}, `and ${others.length} more`),
        ago(command.issued_ms)),
      first && el("p.soft", {}, first.explanation.text, " ", el("span.more"))),
    outcome?.reason && el("p.warn", {}, `The agent answered: ${outcome.reason}`),
    command.changes.map((change, at) => changeFacts(change, outcome?.changes[at], others.length > 0)),
    facts([["command", command.id], ["holds for", format.duration(command.ttl_ms)],
      ["issued", format.moment(command.issued_ms)], ["answered", outcome ? format.moment(outcome.time_ms) : "not yet"]])));
}

function changeLine({workload, resource, before, target}) {
  return el("span", {}, el("strong", {}, workload), ` ${format.NAMES[resource]} `,
    `${before === null ? "none" : format.amount(resource, before)} → `, el("strong", {}, format.amount(resource, target)));
}

// The first change is told in the summary; with `several`, each is told with its facts.
function changeFacts(change, done, several) {
  const {explanation: why, resource} = change;
  const amount = (number) => number === null || number === undefined ? "" : format.amount(resource, number);
  const basis = `p${+(why.quantile * 100).toFixed(1)} in ${format.horizon(why.horizon_s)}: ${amount(why.forecast)}, `
    + `and ${format.share(why.margin)} on top`;
  return facts([
    ["change", several && changeLine(change)],
    ["because", several && why.text],
    ["strategy", why.strategy],
    ["reserved for", basis],
    ["forecast by", format.RUNGS[why.rung] ?? why.rung],
    ["held by", why.clamp],
    ["not taken", why.rejected],
    ["lever", done?.lever],
    ["found", amount(done?.before)],
    ["result", amount(done?.after)],
    ["note", done?.note],
  ]);
}
