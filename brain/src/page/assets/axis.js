// Axes: round moments of the clock on the wall, and round numbers.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY];

// How many moments have room.
export const momentsFor = (width) => Math.max(3, width / 90);

// About `most` moments within a range: [{ms, text}].
export function moments([since, until], most) {
  const step = STEPS.find((step) => (until - since) / step <= most) ?? 30 * DAY;
  const zone = new Date(until).getTimezoneOffset() * MINUTE;
  const ticks = [];
  for (let ms = Math.ceil((since - zone) / step) * step + zone; ms <= until; ms += step) ticks.push({ms, text: label(ms, step)});
  return ticks;
}

function label(ms, step) {
  const date = new Date(ms);
  const midnight = date.getHours() === 0 && date.getMinutes() === 0;
  if (step >= DAY || (midnight && step >= HOUR)) return date.toLocaleDateString("en-GB", {day: "numeric", month: "short"});
  return date.toLocaleTimeString("en-GB", step < MINUTE ? {} : {hour: "2-digit", minute: "2-digit"});
}

// Some round numbers from `low` to `top`.
export function numbers(top, most = 4, low = 0) {
  const span = top - low;
  const rough = span / most;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((by) => by * size).find((step) => step >= rough * 0.999) ?? rough;
  const ticks = [];
  for (let at = Math.ceil(low / step - 0.001); at * step <= top + span * 0.0001; at++) ticks.push(at * step);
  return ticks;
}
