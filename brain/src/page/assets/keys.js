// Keys that work in every view, and the list of all keys.

import * as address from "./address.js";
import {el} from "./dom.js";

const GOTO = {f: "#/", i: "#/incidents", p: "#/plans", o: "#/pool", m: "#/models"};
const HELP = [
  ["g then f, i, p, o, m", "go to fleet, incidents, plans, pool, models"],
  ["/", "search"],
  ["↑ ↓ Home End", "walk the list of hosts; Enter opens one"],
  ["Esc", "clears the search, closes, or goes back to the fleet"],
  ["+ − ← → 0", "on the time axis: zoom in, out, move, back to now"],
  ["Shift ← →", "on the time axis: move the cross-hair"],
  ["?", "this list"],
];

export function listenKeys() {
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    const {key} = event;
    const wanted = going && GOTO[key];
    going = key === "g";
    if (wanted) location.hash = wanted;
    else if (key === "/") { event.preventDefault(); document.querySelector("input[type=search]")?.focus(); }
    else if (key === "?") help();
    else if (key === "Escape" && location.hash.startsWith("#/hosts/")) location.hash = address.ofFleet();
  });
  document.getElementById("keys").addEventListener("click", help);
}

function help() {
  if (document.querySelector("dialog[open]")) return;
  const close = el("button", {type: "button", onclick: () => dialog.close()}, "Close");
  const dialog = el("dialog", {"aria-label": "Keys", onclose: () => dialog.remove()},
    el("h2", {}, "Keys"),
    el("dl.facts", {}, HELP.map(([keys, does]) => [el("dt", {}, keys), el("dd", {}, does)])),
    el("div.actions", {}, close));
  document.body.append(dialog);
  dialog.showModal();
}
