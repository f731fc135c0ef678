// The page: one view at a time, drawn anew whenever the brain has a new picture.
//
// address.js says which view, feed.js asks the brain and notices its silence, top.js draws the line above. A view has
// `mount(redraw)`, which gives its element; `load(fleet, address)`, which asks for what it shows; and `draw(fleet)`.

import * as address from "./address.js";
import {setText} from "./dom.js";
import * as feed from "./feed.js";
import {FleetView} from "./fleet.js";
import * as format from "./format.js";
import {HostView} from "./host.js";
import {IncidentsView} from "./incidents.js";
import {listenKeys} from "./keys.js";
import {ModelsView} from "./models.js";
import {PlansView} from "./plans.js";
import {PoolView} from "./pool.js";
import {drawSilence, drawTop} from "./top.js";
import {askWho} from "./who.js";

const VIEWS = {fleet: FleetView, host: HostView, incidents: IncidentsView, plans: PlansView, pool: PoolView, models: ModelsView};
const root = document.getElementById("view");

let known = false; // who looks at the page
let shown = null; // {view, key, place, loaded} on the page
let fleet = null; // the newest picture

// Puts the view of the address on the page, unless it is there.
function mount() {
  const place = address.read();
  if (!place) return shown?.place;
  const key = `${place.view}/${place.host}`;
  if (shown?.key !== key) {
    const view = new VIEWS[place.view](place);
    root.replaceChildren(view.mount(draw, tick));
    root.className = `of-${place.view}`;
    shown?.view.leave?.();
    if (shown) root.focus({preventScroll: true});
    scrollTo(0, 0);
    shown = {view, key, place};
  }
  shown.place = place;
  return place;
}

async function update() {
  const place = mount();
  const {view} = shown;
  const [newest] = await Promise.all([feed.fleet(), known || askWho().then(() => { known = true; })]);
  await view.load(newest, place);
  if (shown.view !== view) return newest.age_ms;
  shown.loaded = true;
  fleet = newest;
  draw();
  return newest.age_ms;
}

function draw() {
  if (!fleet || !shown) return;
  drawTop(fleet, shown.place);
  if (!shown.loaded) return;
  shown.view.draw(fleet);
  if (performance.getEntriesByName("drawn").length === 0) performance.mark("drawn");
  for (const node of document.querySelectorAll("time[data-ms]")) setText(node, format.age(fleet.time_ms, Number(node.dataset.ms)));
  document.title = `${shown.view.title} · foreshadow`;
}

let ask = () => {};
const tick = () => ask();
mount();
ask = feed.follow(update, drawSilence);
listenKeys();
addEventListener("hashchange", () => { if (address.read()) { mount(); draw(); tick(); } });
