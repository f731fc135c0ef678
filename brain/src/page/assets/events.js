// What the brain noticed, what hosts told and what was asked for: incidents, anomalies, events and commands.

import * as address from "./address.js";
import {askName} from "./dialog.js";
import {ago, el, facts, keyed, setText, table} from "./dom.js";
import {acknowledge} from "./feed.js";
import * as format from "./format.js";
import {mayChange} from "./who.js";

const FEW = 6;

// The newest few of a list; the others on demand. `list`: {node, count}.
export function list({node, count}, items, key, build, none, redraw, few = FEW) {
  const most = node.all ?? few;
  const shown = items.slice(0, most);
  const more = items.length - shown.length;
  const rows = [...shown, ...(more > 0 ? [{more}] : []), ...(items.length === 0 ? [{none}] : [])];
  keyed(node, rows, (item) => item.more ? "more" : item.none ? "none" : key(item), (item) => {
    if (item.none) return el("li.note", {}, item.none);
    if (!item.more) return build(item);
    const next = () => { node.all = most + Math.max(50, few); redraw(); };
    return el("li", {}, el("button.quiet", {type: "button", onclick: next}, `show ${Math.min(item.more, 50)} of ${item.more} more`));
  });
  setText(count, items.length ? format.count(items.length) : "");
}

// `lasts`: it goes on.
export function anomaly({resource, since_ms, lasts, score, evidence}) {
  return el("li", {},
    el("div.line", {},
      el(lasts ? "span.chip.bad" : "span.chip", {}, lasts ? "now" : "over"),
      el("strong", {}, format.NAMES[resource]),
      el("span.soft", {title: `score ${format.digits(score)}: −log10 of the chance of a residual as large`}, format.rarity(score)),
      ago(since_ms)),
    el("p", {}, evidence));
}

export const SEVERITIES = {info: "", warning: "warn", critical: "bad"};

// All that is unusual on a host at a time, the likely cause first. `place`: tell the host. `tick`: ask the brain again.
export function incident(item, {place = false, tick = () => {}} = {}) {
  const {host, since_ms, until_ms, goes_on, severity, score, cause, signals, acknowledged_by: by, acknowledged_ms: noticed} = item;
  const tone = SEVERITIES[severity];
  const margin = Math.max(600_000, (until_ms - since_ms) / 2);
  const when = {since: Math.round(since_ms - margin), until: Math.round(until_ms + margin)};
  return el("li", {}, el("details", {},
    el("summary", {},
      el("div.line", {},
        el(tone && goes_on ? `span.chip.${tone}` : "span.chip", {}, goes_on ? severity : `${severity}, over`),
        place && el("a", {href: address.ofHost(host)}, el("strong", {}, host)),
        el(place ? "span" : "strong", {}, [...new Set(signals.map((signal) => signal.subject))].join(", ")),
        el("span.soft", {title: `score ${format.digits(score)}: −log10 of the chance of its rarest signal`}, format.rarity(score)),
        by && el("span.chip.good", {}, `noticed by ${by}`),
        ago(since_ms)),
      el("p", {}, cause, " ", el("span.more"))),
    table(["what", "of", "how rare", "evidence"], signals.map((signal) => [
      el(SEVERITIES[signal.severity] ? `span.chip.${SEVERITIES[signal.severity]}` : "span.chip", {}, signal.kind), signal.subject,
      el("span.nowrap", {}, format.rarity(signal.score)), signal.evidence])),
    facts([["began", format.moment(since_ms)], ["last seen", goes_on ? "goes on" : `${format.moment(until_ms)}, after ${format.duration(until_ms - since_ms)}`],
      ["noticed", by && `by ${by}, ${format.moment(noticed)}`]]),
    el("div.actions", {},
      el("a.button", {href: address.ofHost(host, when)}, "show on the time axis"),
      !by && mayChange() && el("button.primary", {type: "button", onclick: () => askName({
        title: `Acknowledge: ${host}`, text: cause, action: "Acknowledge",
        act: async (name) => { await acknowledge(host, since_ms, name); tick(); }})}, "acknowledge"))));
}

export function event({time_ms, source, vantage, subject, kind, severity, text, details}) {
  return el("li", {}, el("details", {},
    el("summary", {},
      el("div.line", {},
        el(SEVERITIES[severity] ? `span.chip.${SEVERITIES[severity]}` : "span.chip", {}, severity),
        el("strong", {}, subject),
        el("span.soft", {}, `${source}: ${kind.replaceAll("_", " ")}${vantage === "oob" ? ", by its BMC" : ""}`),
        ago(time_ms)),
      el("p", {}, text, " ", el("span.more"))),
    facts([...details, ["seen", format.moment(time_ms)]])));
}

const STATES = {
  applied: ["applied", "good"], dry_run: ["dry run", ""], refused: ["refused", "bad"], expired: ["expired", "warn"], failed: ["failed", "bad"],
  distrusted: ["distrusted", "bad"], raised: ["raised under pressure", "warn"], hurt: ["hurt, taken back", "bad"],
};

// What an agent has answered, in a word.
export function answer(outcome) {
  const [word, tone] = outcome ? STATES[outcome.state] ?? [outcome.state, ""] : ["no answer yet", "warn"];
  return el(tone ? `span.chip.${tone}` : "span.chip", {}, word);
}

// `place`: tell the host.
export function command({command, outcome}, {place = false} = {}) {
  const [first, ...others] = command.changes;
  const [action] = command.actions;
  return el("li", {}, el("details", {},
    el("summary", {},
      el("div.line", {},
        answer(outcome),
        place && el("a", {href: address.ofHost(command.host)}, el("strong", {}, command.host)),
        first ? changeLine(first) : action && el("strong", {}, action.kind.replaceAll("_", " ")),
        others.length > 0 && el("span.soft", {}, `and ${others.length} more`),
        ago(command.issued_ms)),
      el("p.soft", {}, (first ?? action)?.explanation.text ?? "", " ", el("span.more"))),
    outcome?.reason && el("p.warn", {}, `The agent answered: ${outcome.reason}`),
    command.changes.map((change, at) => changeFacts(change, outcome?.changes[at], others.length > 0)),
    facts([["command", el("code", {}, command.id)], ["meant as", command.dry_run ? "a recommendation: the agent writes nothing" : "to be carried out"],
      ["holds for", format.duration(command.ttl_ms)], ["issued", format.moment(command.issued_ms)],
      ["answered", outcome ? format.moment(outcome.time_ms) : "not yet"]])));
}

export function changeLine({workload, resource, before, target}) {
  return el("span", {}, el("strong", {}, workload), ` ${format.NAMES[resource]} `,
    `${before === null ? "none" : format.amount(resource, before)} → `, el("strong", {}, format.amount(resource, target)));
}

// The first change is told in the summary; with `several`, each is told with its facts.
export function changeFacts(change, done, several) {
  const {explanation: why, resource} = change;
  const amount = (number) => number === null || number === undefined ? "" : format.amount(resource, number);
  const basis = why.rung === "books" ? `${amount(why.forecast)} for ${format.horizon(why.horizon_s)}` : why.quantile > 0 && `p${+(why.quantile * 100).toFixed(1)} in ${format.horizon(why.horizon_s)}: ${amount(why.forecast)}, and ${format.share(why.margin)} on top`;
  return facts([
    ["change", several && changeLine(change)],
    ["because", several && why.text],
    ["strategy", why.strategy],
    ["reserved for", basis],
    ["forecast by", format.RUNGS[why.rung] ?? why.rung],
    ["used then", amount(why.used)],
    ["held by", why.clamp],
    ["not taken", why.rejected],
    ["lever", done?.lever],
    ["found", amount(done?.before)],
    ["result", amount(done?.after)],
    ["note", done?.note],
  ]);
}
