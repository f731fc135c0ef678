// The line at the top of every view: the cell, how it stands, and whether the brain is there.

import {setText} from "./dom.js";
import * as format from "./format.js";

const byId = (id) => document.getElementById(id);

export function drawTop(fleet, place) {
  setText(byId("cell"), fleet.cell);
  setText(byId("mode"), fleet.mode);
  byId("mode").className = fleet.mode.startsWith("recommend") ? "chip" : fleet.mode === "frozen" ? "chip warn" : "chip good";
  byId("mode").title = fleet.freeze
    ? `by ${fleet.freeze.by}, ${format.moment(fleet.freeze.since_ms)}: ${fleet.freeze.reason}` : "what becomes of commands";
  count(byId("open"), fleet.incidents.open, fleet.incidents.critical ? "bad" : fleet.incidents.open ? "warn" : "");
  count(byId("proposed"), fleet.proposals, "warn");
  count(byId("queued"), fleet.queued, "warn");
  setText(byId("clock"), fleet.time_ms ? format.clock(fleet.time_ms) : "–");
  byId("clock").title = fleet.time_ms ? format.moment(fleet.time_ms) : "";
  for (const link of document.querySelectorAll("#views a")) {
    const here = link.dataset.view === place.view || (place.view === "host" && link.dataset.view === "fleet");
    if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
}

function count(node, number, tone) {
  node.hidden = number === 0;
  node.className = `count ${tone}`;
  setText(node, format.count(number));
}

// `since`: the beginning of a silence on the browser's clock, or 0. `reached`: the server answers all the same.
export function drawSilence(since, reached) {
  const banner = byId("banner");
  const silent = since !== 0;
  banner.hidden = !silent;
  banner.classList.toggle("idle", reached);
  document.body.classList.toggle("dead", silent && !reached);
  byId("live").className = `dot ${!silent ? "good" : reached ? "warn" : "bad"}`;
  byId("live").title = !silent ? "the brain answers" : reached ? "nothing new" : "no answer";
  if (!silent) return;
  const when = `since ${format.clock(since)} (${format.duration(Date.now() - since)})`;
  setText(banner, reached ? `Nothing new ${when}: the brain answers, but takes no data in.`
    : `No answer from the brain ${when}. What is shown is what was known then.`);
}
