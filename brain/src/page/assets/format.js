// Numbers and times for people.

const GAP = "\u202f"; // narrow no-break space between number and unit

export const NAMES = {cpu: "CPU", memory: "Memory", network: "Network", disk: "Disk", power: "Power"};
export const SHORT = {cpu: "CPU", memory: "Mem", network: "Net", disk: "Disk", power: "Power"};

// How high on the ladder a series stands.
export const RUNGS = {last: "last value", ewma: "EWMA", lstm: "LSTM", books: "books of its rules"};

// Three significant digits, without exponents or trailing noise.
export function digits(value) {
  const size = Math.abs(value);
  if (size >= 100 || value === 0) return Math.round(value).toLocaleString("en", {useGrouping: size >= 10000});
  return value.toFixed(size >= 10 ? 1 : 2);
}

const DECIMAL = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];
const BINARY = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]];

// The step of a scale that `value` reads best in: [divisor, unit].
function step(scale, value) {
  return scale.find(([size]) => Math.abs(value) >= size) ?? scale[scale.length - 1];
}

// How a resource's values are drawn up to `max`: values / divisor, in `unit`.
export function scaleOf(unit, max) {
  if (unit === "1") return {divisor: 0.01, unit: "%"};
  if (unit !== "B/s") return {divisor: 1, unit};
  const [divisor, prefix] = step(DECIMAL, Math.max(max, 1));
  return {divisor, unit: `${prefix}B/s`};
}

// A resource's value in its own unit: "1" is a share.
export function value(unit, number) {
  if (number === null || number === undefined) return "–";
  if (unit === "1") return share(number);
  if (unit === "B/s" && Math.abs(number) < 1000) return `${Math.round(number)}${GAP}B/s`;
  const scale = scaleOf(unit, Math.abs(number));
  return `${digits(number / scale.divisor)}${GAP}${scale.unit}`;
}

export function share(number) {
  if (number === null || number === undefined) return "–";
  const percent = number * 100;
  return `${percent.toFixed(Math.abs(percent) < 10 && percent !== 0 ? 1 : 0)}${GAP}%`;
}

export function bytes(number) {
  if (number === null || number === undefined) return "–";
  const [size, unit] = step(BINARY, number);
  return `${digits(number / size)}${GAP}${unit}`;
}

// What is reserved and given, in cores, bytes, bytes/s or watts.
export function amount(resource, number) {
  if (number === null || number === undefined) return "–";
  if (resource === "cpu") return `${digits(number)}${GAP}${number === 1 ? "core" : "cores"}`;
  if (resource === "memory") return bytes(number);
  return value(resource === "power" ? "W" : "B/s", number);
}

export function count(number) {
  if (number < 1e6) return Math.round(number).toLocaleString("en");
  const [size, prefix] = step(DECIMAL, number);
  return `${digits(number / size)}${GAP}${prefix}`;
}

export function horizon(seconds) {
  return seconds % 60 === 0 ? `${seconds / 60}${GAP}min` : `${seconds}${GAP}s`;
}

export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10 && seconds % 1) return `${seconds.toFixed(1)}${GAP}s`;
  if (seconds < 120) return `${Math.round(seconds)}${GAP}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}${GAP}min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)}${GAP}h` : `${Math.round(seconds / 86400)}${GAP}d`;
}

// How long before `now` something was; under two seconds is now.
export function age(now, ms) {
  if (!ms) return "never";
  return now - ms < 2000 ? "now" : `${duration(Math.round((now - ms) / 1000) * 1000)} ago`;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

export function moment(ms) {
  return new Date(ms).toLocaleString("en-GB", {dateStyle: "medium", timeStyle: "medium"});
}

// "1 host", "2 hosts".
export function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

// "+0.12", "−0.30".
export function signed(number) {
  const text = Math.abs(number).toFixed(2);
  return text === "0.00" ? text : `${number < 0 ? "−" : "+"}${text}`;
}

// Text in the tone of what it says, for a skill.
export function toned(number) {
  if (number === null || number === undefined) return "–";
  const node = document.createElement("span");
  node.className = number > 0.005 ? "good" : number < -0.005 ? "bad" : "soft";
  node.textContent = signed(number);
  return node;
}

const UNITS = {Cel: "°C", "{rpm}": "rpm", "{core}": "cores", "/s": "/s"};

// A metric's value in its own unit, as catalogues write them: `1` is a share.
export function metric(unit, number, name) {
  // Loads and counts have no unit either.
  if (unit === "1") return number > 1.5 || /^(load|pci|agent\.threads)/.test(name) ? digits(number) : share(number);
  if (unit === "By") return bytes(number);
  if (unit === "By/s") return value("B/s", number);
  const plain = UNITS[unit] ?? unit.replace(/^1\//, "/").replaceAll(/[{}]/g, "");
  const text = Math.abs(number) >= 1e6 ? count(number) : digits(number);
  return plain.startsWith("/") ? `${text}${plain}` : `${text}${GAP}${plain}`;
}

// How rare something of this score is.
export function rarity(score) {
  return score >= 9 ? "1 in over 10⁹" : `1 in ${count(Number((10 ** score).toPrecision(1)))}`;
}
