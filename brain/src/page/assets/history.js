// The past of one host: at most a day from the brain's memory, in steps of the grid; what is longer from its store, coarser.

import * as feed from "./feed.js";

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const STEP_MS = 10_000; // of the grid: asking more often shows nothing new
const STORED_EVERY_MS = 300_000;
const SPANS = [60, 360, 1440]; // minutes that are asked for at once

// The columns of the store that a resource is the sum of.
const COLUMNS = {cpu: ["cpu_share"], memory: ["memory_share"], network: ["network_rx_bytes_per_s", "network_tx_bytes_per_s"],
  disk: ["disk_read_bytes_per_s", "disk_write_bytes_per_s"], power: ["power_w"]};

export class History {
  constructor(host) {
    this.host = host;
    this.points = {}; // resource -> [[ms, value], ...], oldest first
    this.minutes = 0; // how far back memory was asked
    this.at = 0;
    this.stored = {};
    this.storedSince = Infinity;
    this.storedAt = 0;
    this.version = 0;
  }

  // Makes sure that `range` is there as far as anybody knows it.
  async load(resources, [since], now) {
    const wanted = SPANS.find((minutes) => now - since <= minutes * MINUTE) ?? 1440;
    const widens = wanted > this.minutes;
    if (widens || now - this.at >= STEP_MS || now < this.at) {
      // What is known already is only continued.
      const behind = Math.ceil((now - this.at) / MINUTE) + 1;
      const minutes = widens || now < this.at || behind > this.minutes ? Math.max(wanted, this.minutes) : behind;
      const all = await Promise.all(resources.map((name) => feed.series(this.host, name, minutes)));
      resources.forEach((name, at) => { this.points[name] = joined(this.points[name] ?? [], all[at], now - minutes * MINUTE, now); });
      this.minutes = Math.max(this.minutes, wanted);
      this.at = now;
      this.version += 1;
    }
    if (now - since > DAY && (since < this.storedSince || now - this.storedAt >= STORED_EVERY_MS)) await this.loadStored(since, now);
  }

  async loadStored(since, now) {
    const {time_ms: times, columns} = await feed.stored("series", {host: this.host, since: Math.floor(since / 1000), limit: 4000});
    for (const [name, parts] of Object.entries(COLUMNS)) {
      const known = parts.map((part) => columns[part]).filter(Boolean);
      if (known.length < parts.length) continue;
      this.stored[name] = times.map((ms, at) => [ms, known.reduce((sum, part) => part[at] === null ? NaN : sum + part[at], 0)]).filter(([, value]) => !Number.isNaN(value));
    }
    Object.assign(this, {storedSince: since, storedAt: now, version: this.version + 1});
  }

  of(resource) {
    const recent = this.points[resource] ?? [];
    const begin = recent[0]?.[0] ?? Infinity;
    return [...(this.stored[resource] ?? []).filter(([ms]) => ms < begin), ...recent];
  }
}

// What was known before `since`, and what is newer; values may be newer than the picture that they are drawn with.
function joined(known, newer, since, now) {
  return [...known.filter(([ms]) => ms < since && ms >= now - DAY), ...newer.filter(([ms]) => ms >= since && ms <= now)];
}
