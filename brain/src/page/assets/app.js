// The page: one state, drawn anew whenever the brain has a new picture.
//
// feed.js asks, hosts.js lists, host.js (charts.js, chart.js, events.js) shows the selected host, brain.js the
// rest. The address after # names the selected host, so that it can be sent to somebody.

import {setText} from "./dom.js";
import {drawBrain, drawTop} from "./brain.js";
import {HISTORY_MIN} from "./chart.js";
import * as feed from "./feed.js";
import * as format from "./format.js";
import {drawHost, listenHost} from "./host.js";
import {drawHosts, listenHosts} from "./hosts.js";

// History changes once a grid step, so asking more often shows nothing new.
const STEP_MS = 10_000;

const state = {fleet: null, detail: null, history: null, historyOf: "", historyAt: 0};

let named = "";

// Reads the host from the address; one without "#/" (the skip link's) changes nothing.
function readAddress() {
  if (!location.hash.startsWith("#/")) return;
  try {
    named = decodeURIComponent(location.hash.slice(2));
  } catch {
    named = location.hash.slice(2);
  }
}

// The host in the address, else the first.
function selected(fleet) {
  return named || (fleet.hosts[0]?.name ?? "");
}

async function update() {
  const fleet = await feed.fleet();
  const name = selected(fleet);
  const detail = name ? await feed.host(name) : null;
  Object.assign(state, {fleet, detail});
  if (detail) await updateHistory(detail);
  draw();
}

async function updateHistory({host, time_ms: now}) {
  const fresh = state.historyOf === host.name && now - state.historyAt < STEP_MS && now >= state.historyAt;
  if (fresh) return;
  const measured = host.resources.filter((view) => view.value !== null);
  const all = await Promise.all(measured.map((view) => feed.series(host.name, view.resource, HISTORY_MIN)));
  // Values may be newer than the picture they are drawn with.
  const known = (points) => points.filter(([t]) => t <= now);
  state.history = Object.fromEntries(measured.map((view, at) => [view.resource, known(all[at])]));
  state.historyOf = host.name;
  state.historyAt = now;
}

function draw() {
  const {fleet, detail, history} = state;
  if (!fleet) return;
  const name = selected(fleet);
  drawTop(fleet);
  drawHosts(fleet, name);
  drawHost({fleet, detail, history, selected: name});
  drawBrain(fleet);
  for (const node of document.querySelectorAll("time[data-ms]")) setText(node, format.age(fleet.time_ms, Number(node.dataset.ms)));
  document.title = `${name ? `${name} · ` : ""}foreshadow`;
}

// `since`: the beginning of a silence on the browser's clock, or 0. `reached`: the server answers all the same.
function setSilence(since, reached) {
  const banner = document.getElementById("banner");
  const silent = since !== 0;
  banner.hidden = !silent;
  banner.classList.toggle("idle", reached);
  document.body.classList.toggle("dead", silent && !reached);
  document.getElementById("live").className = `dot ${!silent ? "good" : reached ? "warn" : "bad"}`;
  if (!silent) return;
  const when = `since ${format.clock(since)} (${format.duration(Date.now() - since)})`;
  setText(banner, reached ? `Nothing new ${when}: the brain answers, but takes no data in.`
    : `No answer from the brain ${when}. What is shown is what was known then.`);
}

// Charts take their colours when they are drawn, so they are drawn again when the theme changes.
function redrawCharts() {
  if (state.history) state.history = Object.fromEntries(Object.entries(state.history).map(([name, points]) => [name, [...points]]));
  draw();
}

readAddress();
const tick = feed.follow(update, setSilence);
listenHosts(draw);
listenHost(draw);
addEventListener("hashchange", () => { readAddress(); draw(); tick(); });
addEventListener("load", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);
