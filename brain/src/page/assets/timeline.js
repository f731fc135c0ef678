// Five charts and a lane of events on one time axis, with zoom by pointer and by keys.
//
// The span follows the present (`back` ms before now, 15 min after) until somebody moves it; then it stands.

import {moments, momentsFor} from "./axis.js";
import {Chart, LEFT, RIGHT} from "./chart.js";
import {choice, el, fill, keyed, setText, svg} from "./dom.js";
import * as format from "./format.js";
import {Lane} from "./lane.js";

const MINUTE = 60_000;
const AHEAD = 15 * MINUTE;
const SPANS = [[15, "15 min"], [60, "1 h"], [360, "6 h"], [1440, "24 h"], [10080, "7 d"]];
const SHORTEST = 2 * MINUTE;
const LONGEST = 31 * 1440 * MINUTE;
const RESOURCES = ["cpu", "memory", "network", "disk", "power"];

export class Timeline {
  constructor({span, changed}) {
    this.back = 60 * MINUTE;
    this.fixed = span.since && span.until > span.since ? [span.since, span.until] : null;
    this.changed = changed;
    this.charts = new Map();
    this.lane = new Lane();
    this.pointed = null;
    this.spans = choice("Time shown", SPANS.map(([minutes, text]) => [minutes, text]), (minutes) => this.follow(Number(minutes)));
    const button = (text, label, act) => el("button.quiet", {type: "button", title: label, "aria-label": label, onclick: act}, text);
    this.live = button("now", "follow the present (0)", () => this.follow(this.back / MINUTE));
    this.moment = el("span.soft.moment");
    this.axis = svg("svg.axis", {height: 18, "aria-hidden": "true"});
    this.stack = el("div.charts", {tabindex: "0", role: "group", "aria-label": "Charts on one time axis; + and − zoom, arrows move, 0 follows the present"});
    this.select = el("div.select", {hidden: true});
    this.node = el("section.panel.timeline", {},
      el("header", {}, this.spans, button("−", "zoom out (−)", () => this.zoom(2)), button("+", "zoom in (+)", () => this.zoom(0.5)),
        button("‹", "earlier (←)", () => this.move(-0.5)), button("›", "later (→)", () => this.move(0.5)), this.live, this.moment, legend()),
      el("div.frame", {}, this.stack, this.select));
    this.listen();
    this.resized = new ResizeObserver(() => { if (this.input) this.draw(this.input); });
    this.resized.observe(this.stack);
  }

  leave() {
    this.resized.disconnect();
  }

  // What the address notes.
  span() {
    return this.fixed ? {since: Math.round(this.fixed[0]), until: Math.round(this.fixed[1])} : {};
  }

  range(now) {
    return this.fixed ?? [now - this.back, now + Math.max(AHEAD, this.back / 40)];
  }

  // `input`: a HostDetail with history, and commands, events, incidents of the time that is shown.
  draw(input) {
    this.input = input;
    const {host, time_ms: now, pool, held, anomalies, history} = input;
    const range = this.range(now);
    const width = Math.max(320, this.stack.clientWidth || 800);
    this.width = width;
    const parts = ["lane", ...host.resources.map((view) => ({view, absent: view.value === null && view.absent !== ""})), "axis"];
    keyed(this.stack, parts, (part) => part.view ? `${part.view.resource}/${part.absent}` : part, (part) => this.build(part));
    for (const view of host.resources) {
      if (view.value === null && view.absent !== "") continue;
      const account = pool.find((account) => account.resource === view.resource);
      this.charts.get(view.resource).draw({view, range, now, width, account, points: history.of(view.resource),
        held: heldOver(view, account, held, now), anomalies: anomalies.filter((anomaly) => anomaly.resource === view.resource)});
    }
    this.lane.draw({...input, range, now, width});
    this.drawAxis(range, now, width);
    this.spans.choose(this.fixed ? "" : this.back / MINUTE);
    this.live.classList.toggle("on", !this.fixed);
    this.point(this.pointed);
  }

  build(part) {
    if (part === "lane") return standing(this.lane.node);
    if (part === "axis") return standing(this.axis);
    const {view, absent} = part;
    if (absent) return el("section.chart.absent", {}, el("header", {}, el("h2", {}, format.NAMES[view.resource]), el("span.chip", {}, "not measured"), el("span.soft", {}, view.absent)));
    if (!this.charts.has(view.resource)) this.charts.set(view.resource, new Chart(view.resource));
    return standing(this.charts.get(view.resource).node);
  }

  drawAxis([since, until], now, width) {
    const x = (ms) => LEFT + (ms - since) / (until - since) * (width - LEFT - RIGHT);
    this.axis.setAttribute("viewBox", `0 0 ${width} 18`);
    this.axis.setAttribute("width", width);
    fill(this.axis, moments([since, until], momentsFor(width)).map(({ms, text}) => svg("text", {x: x(ms), y: 13}, text)));
  }

  follow(minutes) {
    this.fixed = null;
    this.back = minutes * MINUTE;
    this.changed();
  }

  // Stands at a span.
  stand([since, until]) {
    const now = this.input.time_ms;
    const length = Math.min(LONGEST, Math.max(SHORTEST, until - since));
    const end = Math.min(until, now + 60 * MINUTE);
    this.fixed = [end - length, end];
    this.changed();
  }

  // Around the cross-hair, where there is one; else around the present where it is seen.
  zoom(by, around = this.pointed) {
    if (!this.input) return;
    const now = this.input.time_ms;
    const [since, until] = this.range(now);
    if (!this.fixed && around === null) {
      this.back = Math.min(LONGEST, Math.max(SHORTEST, this.back * by));
      return this.changed();
    }
    const at = around ?? (since + until) / 2;
    this.stand([at - (at - since) * by, at + (until - at) * by]);
  }

  move(by) {
    if (!this.input) return;
    const [since, until] = this.range(this.input.time_ms);
    const way = (until - since) * by;
    this.stand([since + way, until + way]);
  }

  point(ms) {
    this.pointed = ms;
    for (const chart of this.charts.values()) chart.point(ms);
    this.lane.point(ms);
    setText(this.moment, ms === null ? "" : format.moment(ms));
  }

  // The moment under a place of the pointer.
  at(event) {
    const {left} = this.stack.getBoundingClientRect();
    const [since, until] = this.range(this.input.time_ms);
    const share = (event.clientX - left - LEFT) / (this.width - LEFT - RIGHT);
    return share < 0 || share > 1 ? null : since + share * (until - since);
  }

  listen() {
    const {stack} = this;
    let from = null;
    stack.addEventListener("pointermove", (event) => {
      if (!this.input) return;
      this.point(this.at(event));
      if (from !== null && this.pointed !== null) this.mark(from, this.pointed);
    });
    stack.addEventListener("pointerleave", () => { if (from === null) this.point(null); });
    stack.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0 || !this.input) return;
      from = this.at(event);
      if (from !== null) stack.setPointerCapture(event.pointerId);
    });
    stack.addEventListener("pointerup", (event) => {
      const to = this.input && this.at(event);
      this.select.hidden = true;
      if (from !== null && to !== null && Math.abs(to - from) > 8 * this.perPixel()) this.stand([Math.min(from, to), Math.max(from, to)]);
      from = null;
    });
    stack.addEventListener("dblclick", () => this.follow(60));
    // The wheel scrolls the page; with Ctrl (a pinch on a touch pad) or Shift it is the charts'.
    stack.addEventListener("wheel", (event) => {
      if (!this.input || !(event.ctrlKey || event.shiftKey)) return;
      event.preventDefault();
      if (event.ctrlKey) this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.at(event));
      else this.move(Math.sign(event.deltaY || event.deltaX) * 0.1);
    }, {passive: false});
    stack.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.input) return;
      if (event.shiftKey && /^Arrow(Left|Right)$/.test(event.key)) {
        event.preventDefault();
        return this.step(event.key === "ArrowLeft" ? -1 : 1);
      }
      const acts = {"+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), ArrowLeft: () => this.move(-0.25),
        ArrowRight: () => this.move(0.25), 0: () => this.follow(60), Home: () => this.follow(60)};
      const act = acts[event.key];
      if (act) { event.preventDefault(); act(); }
    });
  }

  // The cross-hair goes by keys.
  step(by) {
    const [since, until] = this.range(this.input.time_ms);
    const from = this.pointed ?? Math.min(this.input.time_ms, until);
    this.point(Math.min(until, Math.max(since, from + by * (until - since) / 60)));
  }

  perPixel() {
    const [since, until] = this.range(this.input.time_ms);
    return (until - since) / (this.width - LEFT - RIGHT);
  }

  mark(from, to) {
    const [since] = this.range(this.input.time_ms);
    const x = (ms) => LEFT + (ms - since) / this.perPixel();
    this.select.hidden = Math.abs(to - from) < 8 * this.perPixel();
    this.select.style.left = `${Math.min(x(from), x(to))}px`;
    this.select.style.width = `${Math.abs(x(to) - x(from))}px`;
  }
}

// A part that draws itself: `keyed` has nothing to do.
function standing(node) {
  node.update = () => {};
  return node;
}

function legend() {
  const item = (name, text) => el("span", {}, el(`i.${name}`), text);
  return el("span.legend", {}, item("measured", "measured"), item("held", "allocated"), item("p50", "p50"), item("p95", "p95"), item("p99", "to p99"));
}

// What was allocated over time, in the unit of the values; as long as the brain knows it.
function heldOver({resource}, account, held, now) {
  if (!account) return [];
  const shares = resource === "cpu" || resource === "memory";
  const steps = held.filter((step) => step.resource === resource && step.time_ms <= now);
  return steps.map(({time_ms: ms, amount}) => [ms, amount > 0 ? (shares ? amount / account.capacity : amount) : null]);
}
