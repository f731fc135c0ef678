// What can be given and what is: the cell and its hosts together, what waits, budgets, and the hosts that are nearest to their end.

import * as address from "./address.js";
import {ago, el, facts, keyed, panel, table} from "./dom.js";
import * as feed from "./feed.js";
import * as format from "./format.js";
import {pressure} from "./row.js";
import {pool} from "./tables.js";

const RESOURCES = ["cpu", "memory", "network", "disk", "power"];
const UNITS = {cpu: "1", memory: "1", network: "B/s", disk: "B/s", power: "W"};

export class PoolView {
  title = "Pool";

  mount() {
    this.slots = {cell: el("div"), hosts: el("div"), budget: el("div"), queue: el("div"), tight: el("div")};
    return el("div.pair", {},
      el("div.stack", {}, this.slots.hosts, this.slots.cell, this.slots.queue),
      el("div.stack", {}, this.slots.budget, this.slots.tight));
  }

  async load() {
    const [answer, tight] = await Promise.all([feed.plan(), feed.rows({sort: "pressure", order: "descending", limit: 15})]);
    this.plan = answer.plan;
    this.tight = tight.rows;
  }

  draw() {
    const {slots, plan} = this;
    const sums = (of) => plan?.sums.filter((sum) => sum.of === of) ?? [];
    keyed(slots.hosts, [sums("hosts")], () => "hosts", (accounts) => panel("All hosts together", el("span.soft", {}, "reserved of what can be given"), pool(accounts)));
    keyed(slots.cell, [sums("cell")], () => "cell", (accounts) => panel("The cell", el("span.soft", {}, "limits that all hosts share"),
      accounts.length ? pool(accounts) : el("p.note", {}, "The policy sets no limit for the cell.")));
    keyed(slots.budget, [plan], () => "budget", budget);
    keyed(slots.queue, [{queue: plan?.queue ?? [], queued: plan?.queued ?? 0}], () => "queue", queue);
    keyed(slots.tight, [this.tight], () => "tight", tight);
  }
}

function budget(plan) {
  if (!plan) return panel("Budget of changes", null, el("p.note", {}, "No plan yet."));
  const used = plan.cell_budget - plan.cell_budget_left;
  const share = plan.cell_budget > 0 ? used / plan.cell_budget : 0;
  return panel("Budget of changes", ago(plan.time_ms),
    el("div.pool", {}, el("span", {}, "Cell"), el("span.bar", {role: "img", "aria-label": format.share(share)}, el("i", {style: {width: `${(100 * share).toFixed(1)}%`}})),
      el("span.soft", {}, `${format.count(used)} of ${format.count(plan.cell_budget)} a minute`)),
    facts([["on one host", `${plan.host_budget} a minute`], ["left in this minute", format.count(plan.cell_budget_left)]]));
}

function queue({queue, queued}) {
  return panel(["Queue ", el("span.soft", {}, queued ? String(queued) : "")], el("span.soft", {}, "first in line first"),
    queue.length === 0 ? el("p.note", {}, "Nobody waits: what was asked for could be given.")
      : table(["who", "what", "holds", "asks for", "criticality", "since", "due"], queue.map((item) => [
        el("a", {href: address.ofHost(item.host)}, el("strong", {}, item.host), ` ${item.workload}`), format.NAMES[item.resource],
        format.amount(item.resource, item.held), format.amount(item.resource, item.wanted), String(item.criticality), ago(item.since_ms), format.clock(item.deadline_ms)]), [2, 3, 4]));
}

function tight(rows) {
  const known = rows.map((row) => ({row, shares: row.resources.map((cell) => pressure(cell) ?? -1)})).filter(({shares}) => Math.max(...shares) >= 0);
  return panel("Nearest to what is allocated", el("span.soft", {}, "peak of the next 15 min"),
    known.length === 0 ? el("p.note", {}, "No forecast yet.")
      : table(["host", "what", "peak", "allocated", "share"], known.map(({row, shares}) => {
        const at = shares.indexOf(Math.max(...shares));
        const {peak, allocated} = row.resources[at];
        const name = RESOURCES[at];
        const tone = shares[at] > 1 ? "span.bad" : shares[at] >= 0.9 ? "span.warn" : "span";
        return [el("a", {href: address.ofHost(row.name)}, row.name), format.NAMES[name], format.value(UNITS[name], peak), allocated === undefined ? "–" : format.value(UNITS[name], allocated), el(tone, {}, format.share(shares[at]))];
      }), [2, 3, 4]));
}
