// Changes that wait for somebody's word: what is proposed and why, with yes and no; and what became of those before.

import * as address from "./address.js";
import {askName} from "./dialog.js";
import {ago, el, facts, panel} from "./dom.js";
import {answer, changeFacts, changeLine, list} from "./events.js";
import * as feed from "./feed.js";
import * as format from "./format.js";
import {mayChange} from "./who.js";

const FATES = {approved: "good", declined: "warn", lapsed: ""};

export class Proposals {
  rows = [];

  constructor(redraw, tick) {
    Object.assign(this, {redraw, tick});
    this.open = {node: el("ul.events.wide"), count: el("span.soft")};
    this.past = {node: el("ul.events.wide"), count: el("span.soft")};
    this.before = el("details.past", {}, el("summary", {}, "Decided and lapsed ", this.past.count, " ", el("span.more")), this.past.node);
    this.node = panel(["Proposals ", this.open.count], el("span.soft", {}, "made when somebody approves them"), this.open.node, this.before);
  }

  async load() {
    this.rows = (await feed.proposals()).rows;
  }

  draw(mode) {
    const open = this.rows.filter((item) => item.fate === "open");
    const past = this.rows.filter((item) => item.fate !== "open");
    this.node.hidden = this.rows.length === 0 && mode !== "recommend";
    this.before.hidden = past.length === 0;
    list(this.open, open, (item) => item.id, (item) => waiting(item, this.tick), "None waits. What the plan would change is proposed here.", this.redraw, 10);
    list(this.past, past, (item) => item.id, decided, "None yet.", this.redraw, 10);
  }
}

function line({host, change}, chip, when) {
  return el("div.line", {}, chip, el("a", {href: address.ofHost(host)}, el("strong", {}, host)), changeLine(change), when);
}

function waiting(item, tick) {
  const {id, host, change, expires_ms: until} = item;
  const what = `${change.workload} ${format.NAMES[change.resource]} on ${host}`;
  const text = change.explanation.text;
  const approve = () => askName({title: `Approve: ${what}`, text, action: "Approve", act: async (by) => { await feed.approve(id, by); tick(); }});
  const decline = () => askName({title: `Decline: ${what}`, text, action: "Decline", reason: true,
    act: async (by, reason) => { await feed.decline(id, by, reason); tick(); }});
  return el("li", {},
    line(item, el("span.chip.fan", {}, "proposed"), el("span.soft", {title: format.moment(until)}, `until ${format.clock(until)}`)),
    el("p", {}, text),
    el("details", {}, el("summary", {}, "in numbers ", el("span.more")), changeFacts(change), facts([["proposal", el("code", {}, id)], ["made", format.moment(item.made_ms)]])),
    mayChange() && el("div.actions", {},
      el("button.primary", {type: "button", onclick: approve, "aria-label": `approve ${what}`}, "approve"),
      el("button", {type: "button", onclick: decline, "aria-label": `decline ${what}`}, "decline")));
}

function decided(item) {
  const {id, change, fate, by, reason, decided_ms: when, command_id: command, outcome} = item;
  const tone = FATES[fate];
  return el("li", {}, el("details", {},
    el("summary", {},
      line(item, el(tone ? `span.chip.${tone}` : "span.chip", {}, by ? `${fate} by ${by}` : fate), [command && answer(outcome), ago(when)]),
      el("p.soft", {}, reason || change.explanation.text, " ", el("span.more"))),
    el("p", {}, change.explanation.text),
    changeFacts(change, outcome?.changes[0]),
    facts([["proposal", el("code", {}, id)], ["made", format.moment(item.made_ms)], [fate, format.moment(when)], ["because", reason],
      ["command", command && el("code", {}, command)], ["the agent answered", outcome && `${outcome.state.replace("_", " ")}, ${format.moment(outcome.time_ms)}`], ["its reason", outcome?.reason]])));
}
