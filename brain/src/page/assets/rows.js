// A long list of which only the rows that are seen exist: the others are room to scroll over.
//
// `fetch(offset, limit)` answers {matching, offset, rows}; `build()` gives an element with `update(row, now)`.

import {el} from "./dom.js";

const BEYOND = 8; // rows above and below what is seen
const FETCHED = 40; // rows above and below what is seen that are asked for along

export class Rows {
  matching = 0;

  constructor({build, fetch}) {
    this.build = build;
    this.fetch = fetch;
    this.known = new Map(); // position -> row
    this.nodes = new Map(); // position -> element
    this.asked = 0;
    this.room = el("div.room", {role: "list"});
    this.node = el("div.rows", {tabindex: "-1"}, this.room);
    this.node.addEventListener("scroll", () => this.seen(), {passive: true});
    this.node.addEventListener("keydown", (event) => this.walk(event));
    this.resized = new ResizeObserver(() => this.seen());
    this.resized.observe(this.node);
  }

  leave() {
    this.resized.disconnect();
    clearTimeout(this.later);
  }

  // From the top, with other rows.
  begin() {
    this.node.scrollTop = 0;
    return this.refresh().then(() => this.draw(this.now), () => {});
  }

  // Height of a row, as the style sheet has it.
  get height() {
    return parseFloat(getComputedStyle(this.node).getPropertyValue("--row")) || 44;
  }

  get range() {
    const {height} = this;
    const first = Math.floor(this.node.scrollTop / height);
    return [first, first + Math.ceil((this.node.clientHeight || 800) / height)];
  }

  // Asks for what is seen. Answers to older questions are left out.
  async refresh() {
    const question = ++this.asked;
    const [first, last] = this.range;
    const offset = Math.max(0, first - FETCHED);
    const answer = await this.fetch(offset, Math.min(500, last + FETCHED - offset));
    if (question !== this.asked) return;
    this.matching = answer.matching;
    this.known = new Map(answer.rows.map((row, at) => [answer.offset + at, row]));
    this.now = answer.time_ms;
  }

  seen() {
    this.draw(this.now);
    const [first, last] = this.range;
    const end = Math.min(last, this.matching) - 1;
    if (this.matching === 0 || (this.known.has(first) && this.known.has(end))) return;
    clearTimeout(this.later);
    this.later = setTimeout(() => this.refresh().then(() => this.draw(this.now), () => {}), 60);
  }

  draw(now) {
    const [first, last] = this.range;
    const {height} = this;
    this.room.style.height = `${this.matching * height}px`;
    const begin = Math.max(0, first - BEYOND);
    const end = Math.min(this.matching, last + BEYOND);
    for (const [at, node] of this.nodes) {
      if (at >= begin && at < end) continue;
      node.remove();
      this.nodes.delete(at);
    }
    for (let at = begin; at < end; at++) this.put(at, height, now);
  }

  put(at, height, now) {
    let node = this.nodes.get(at);
    if (!node) {
      node = this.build();
      node.dataset.at = at;
      node.setAttribute("role", "listitem");
      node.setAttribute("aria-posinset", at + 1);
      this.nodes.set(at, node);
      // In the order that is read.
      const next = [...this.room.children].find((other) => Number(other.dataset.at) > at);
      this.room.insertBefore(node, next ?? null);
    }
    node.style.transform = `translateY(${at * height}px)`;
    node.setAttribute("aria-setsize", this.matching);
    node.update(this.known.get(at), now);
  }

  focusFirst() {
    this.focus(this.range[0]);
  }

  focus(at) {
    const {height} = this;
    const wanted = Math.max(0, Math.min(this.matching - 1, at));
    const top = wanted * height;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    if (top + height > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = top + height - this.node.clientHeight;
    this.seen();
    this.nodes.get(wanted)?.querySelector("a")?.focus({preventScroll: true});
  }

  walk(event) {
    const at = Number(event.target.closest("[data-at]")?.dataset.at ?? -1);
    const page = Math.floor(this.node.clientHeight / this.height);
    const to = {ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.matching - 1}[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    this.focus(to);
  }
}
