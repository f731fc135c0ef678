// What is proposed, planned and commanded, why, and what came of it; and the switch that freezes the cell.

import {askName} from "./dialog.js";
import {ago, choice, el, facts, keyed, panel, table} from "./dom.js";
import {command, list} from "./events.js";
import * as feed from "./feed.js";
import * as format from "./format.js";
import {Proposals} from "./proposals.js";
import {mayChange, whyNot} from "./who.js";

const SHOWN = [["all", "all"], ["acting", "carried out"], ["told", "recommended"], ["trouble", "not as asked"]];
const STORED_EVERY_MS = 60_000;
const MODES = {
  "recommend-only": "Commands are recommendations: agents guard them and tell what they would have done, and write nothing. Where they are to be carried out is said in [act] of the policy; with mode = \"recommend\" there each change is proposed here, to be approved or declined.",
  recommend: "Each change that [act] of the policy names is proposed, and made when somebody approves it. All else is recommended only.",
  acting: "Commands are carried out where [act] of the policy says so, and recommended elsewhere. Of classes in mode recommend each change is proposed.",
  frozen: "Nothing is changed. What agents hold is told again, so that nothing runs out; under pressure they still raise by themselves.",
};

export class PlansView {
  title = "Plans";
  shown = "all";
  past = [];
  pastAt = 0;

  mount(redraw, tick) {
    Object.assign(this, {redraw, tick});
    this.list = {node: el("ul.events.wide"), count: el("span.soft")};
    this.choice = choice("Show", SHOWN, (shown) => { this.shown = shown; this.choice.choose(shown); redraw(); });
    this.choice.choose(this.shown);
    this.search = el("input", {type: "search", placeholder: "Search host, workload or reason  ( / )", "aria-label": "Search commands", autocomplete: "off", spellcheck: "false", oninput: redraw});
    this.proposals = new Proposals(redraw, tick);
    this.mode = el("div.mode");
    this.newest = el("div");
    this.rounds = el("div");
    return el("div.pair.plans-view", {},
      el("div.stack", {}, this.proposals.node, panel(["Commands ", this.list.count], this.choice, this.search, this.list.node)),
      el("div.stack", {}, this.mode, this.newest, this.rounds));
  }

  async load(fleet) {
    const [commands, answer] = await Promise.all([feed.commands(), feed.plan(), this.proposals.load()]);
    this.commands = commands.rows;
    this.plan = answer.plan;
    if (Math.abs(fleet.time_ms - this.pastAt) < STORED_EVERY_MS) return;
    this.pastAt = fleet.time_ms;
    this.past = (await feed.stored("plans", {since: "2h", limit: 120}).catch(() => ({rows: []}))).rows.reverse();
  }

  draw(fleet) {
    keyed(this.mode, [{mode: fleet.mode, freeze: fleet.freeze, acting: this.plan?.acting ?? []}], () => "mode", (item) => this.drawMode(item));
    keyed(this.newest, [this.plan], () => "plan", drawPlan);
    keyed(this.rounds, [this.past], () => "rounds", drawRounds);
    this.proposals.draw(fleet.mode);
    const words = this.search.value.toLowerCase().split(/\s+/);
    const wanted = this.commands.filter((item) => wants(this.shown, item) && matches(item, words));
    list(this.list, wanted, (item) => item.command.id, (item) => command(item, {place: true}),
      this.commands.length ? "None matches." : "None yet. The brain commands when a reservation should change.", this.redraw, 40);
  }

  drawMode({mode, freeze, acting}) {
    const turn = freeze
      ? () => askName({title: "Let the cell move again", action: "Thaw", act: async (by) => { await feed.thaw(by, ""); this.tick(); }})
      : () => askName({title: "Freeze the cell", text: "From now on nothing is changed, until somebody lets it.", action: "Freeze", reason: true,
        act: async (by, reason) => { await feed.freeze(by, reason); this.tick(); }});
    return panel(["Mode: ", mode], mayChange() && el(freeze ? "button.primary" : "button", {type: "button", onclick: turn}, freeze ? "thaw" : "freeze"),
      freeze && el("p.warn", {}, `Frozen by ${freeze.by}`, freeze.reason && `: ${freeze.reason}`, " (", ago(freeze.since_ms), ")"),
      el("p.soft", {}, MODES[mode] ?? ""),
      !mayChange() && el("p.soft", {}, whyNot()),
      acting.length > 0 && facts(acting.map(([hosts, resources]) => [hosts, resources.join(", ")])));
  }
}

function wants(shown, {command: {dry_run: told}, outcome}) {
  if (shown === "acting") return !told;
  if (shown === "told") return told;
  return shown === "all" || !outcome || !["applied", "dry_run"].includes(outcome.state);
}

function matches({command: {id, host, changes}}, words) {
  const text = [id, host, ...changes.flatMap((change) => [change.workload, change.resource, change.explanation.text, change.explanation.clamp])].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function drawPlan(plan) {
  if (!plan) return panel("Newest plan", null, el("p.note", {}, "None yet: a plan needs forecasts, and the broker."));
  return panel("Newest plan", ago(plan.time_ms),
    facts([["hosts", format.count(plan.hosts)], ["raised", String(plan.raised)], ["lowered", String(plan.lowered)], ["recommended only", String(plan.told)],
      ["had to give", plan.throttled && el("span.warn", {}, String(plan.throttled))], ["waiting", plan.queued && el("span.warn", {}, String(plan.queued))]]),
    plan.wakes.map((text) => el("p", {}, text)),
    plan.unmet.length > 0 && [el("h3", {}, "Needs that cannot be met"), el("ul.plain", {}, plan.unmet.slice(0, 8).map((text) => el("li", {}, text)))]);
}

function drawRounds(rounds) {
  const moved = rounds.filter((plan) => plan.raised + plan.lowered + plan.queued + plan.unmet > 0).slice(0, 30);
  return panel("Rounds of the last 2 h", el("span.soft", {}, `${rounds.length}, of which ${moved.length} changed something`),
    moved.length === 0 ? el("p.note", {}, "None has changed anything.")
      : table(["when", "raised", "lowered", "told", "waiting", "unmet"], moved.map((plan) =>
        [format.clock(plan.time_ms), plan.raised, plan.lowered, plan.told, plan.queued, plan.unmet].map(String)), [1, 2, 3, 4, 5]));
}
