// Elements without markup: text from hosts becomes text nodes, never HTML.

// el("p.note", {title: "x"}, "text", child, ...): tag and classes, attributes, children.
// Children that are null, undefined or false are left out.
export function el(shape, attributes, ...children) {
  const [tag, ...classes] = shape.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes ?? {})) setAttribute(node, name, value);
  node.append(...present(children));
  return node;
}

function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name === "style") Object.assign(node.style, value);
  else node.setAttribute(name, value === true ? "" : value);
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

// The same for SVG: svg("path.line", {d}, ...children).
export function svg(shape, attributes, ...children) {
  const [tag, ...classes] = shape.split(".");
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes ?? {})) setAttribute(node, name, value);
  node.append(...present(children));
  return node;
}

// Puts `children` in place of what `node` holds.
export function fill(node, ...children) {
  node.replaceChildren(...present(children));
}

// Sets text only where it changed, so that selections and screen readers are left in peace.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Brings the children of `parent` in line with `items`, so that focus, scroll position and opened details
// survive. A child that has a method `update` is given its new item; any other is built anew when its item,
// compared as JSON, changed.
export function keyed(parent, items, keyOf, build) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  items.forEach((item, at) => {
    const key = String(keyOf(item));
    const node = current(old.get(key), item, build);
    node.dataset.key = key;
    if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] ?? null);
  });
  while (parent.children.length > items.length) parent.lastChild.remove();
}

function current(known, item, build) {
  if (known?.update) {
    known.update(item);
    return known;
  }
  const shown = JSON.stringify(item);
  if (known?.shown === shown) return known;
  const fresh = replaced(known, build(item));
  fresh.shown = shown;
  return fresh;
}

// Carries over what a person did with the older node.
function replaced(known, fresh) {
  if (!known) return fresh;
  const [before, after] = [known.querySelector("details"), fresh.querySelector("details")];
  if (before && after) after.open = before.open;
  const focused = known.contains(document.activeElement);
  known.replaceWith(fresh);
  if (focused) (fresh.matches("a, button") ? fresh : fresh.querySelector("a, summary, button"))?.focus();
  return fresh;
}

// A moment that ages: whoever knows the time gives it its text.
export function ago(ms) {
  return el("time", {"data-ms": ms});
}

// Names and values as a definition list; rows without a value are left out.
export function facts(rows) {
  const stated = rows.filter(([, value]) => value);
  return el("dl.facts", {}, stated.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

// A part of a page with a heading.
export function panel(title, aside, ...body) {
  return el("section.panel", {}, el("header", {}, el("h2", {}, title), aside), body);
}

// A button that is one of several: `pressed` says which.
export function choice(label, options, onChoose) {
  const buttons = options.map(([value, text, title]) => el("button", {type: "button", title, "data-value": value, onclick: () => onChoose(value)}, text));
  const node = el("span.switch", {role: "group", "aria-label": label}, buttons);
  node.choose = (value) => buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.value === String(value))));
  return node;
}

// A table of cells; those of `numbers` (by position) are set to the right.
export function table(head, rows, numbers = []) {
  const side = (at) => numbers.includes(at) ? ".number" : "";
  return el("div.scroll", {}, el("table", {},
    el("thead", {}, el("tr", {}, head.map((text, at) => el(`th${side(at)}`, {scope: "col"}, text)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, at) => el(`td${side(at)}`, {}, cell)))))));
}
