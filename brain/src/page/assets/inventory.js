// What a host is made of: system, processors, BMC, disks, interfaces, and every PCI function with its link.

import {el, facts, panel, table} from "./dom.js";
import * as format from "./format.js";

// Parts for `keyed`: {key, ..., build()}.
export function inventoryParts(answer) {
  if (!answer) return [{key: "none", build: () => el("section.panel.note", {}, "Asking for the inventory …")}];
  if (answer.told.length === 0) return [{key: "none", told: 0, build: () => el("section.panel.note", {}, "No agent of this host has told its inventory yet.")}];
  return answer.told.flatMap((told) => [
    {key: `${told.vantage}/system`, told: {...told, pci: told.pci.length}, build: () => system(told)},
    {key: `${told.vantage}/pci`, pci: told.pci, build: () => told.pci.length > 0 && told.vantage ? pci(told.pci) : el("span")},
  ]);
}

function system(told) {
  const {capacity, processor, bmc} = told;
  return panel(told.vantage === "inband" ? "The host" : "Its BMC", el("span.soft", {}, `told ${format.moment(told.time_ms)} by agent ${told.agent_version}, ${format.plural(told.metrics, "metric")}`),
    facts([
      ["kernel", told.kernel], ["system", told.os], ["processor", told.cpu_model],
      ["", processor && `${format.plural(processor.packages, "socket")}, ${format.plural(processor.cores, "core")}, ${format.plural(processor.threads, "thread")}; `
        + `${processor.vendor} family ${processor.family} model ${processor.model} stepping ${processor.stepping}${processor.microcode === null ? "" : `, microcode ${hex(processor.microcode)}`}`],
      ["cores", capacity.cpu_cores && format.digits(capacity.cpu_cores)], ["memory", capacity.memory_bytes && format.bytes(capacity.memory_bytes)],
      ["network", capacity.network_bytes_per_s && format.value("B/s", capacity.network_bytes_per_s)],
      ["power", capacity.power_w && format.value("W", capacity.power_w)],
      ["interfaces", told.interfaces.join(", ")], ["disks", told.disks.join(", ")],
      ["machine", bmc && [bmc.system_manufacturer, bmc.system_product, bmc.system_serial].filter(Boolean).join(" ")],
      ["board", bmc && [bmc.board_manufacturer, bmc.board_product, bmc.board_serial].filter(Boolean).join(" ")],
      ["BMC", bmc && `${bmc.manufacturer} product ${bmc.product_id}, firmware ${bmc.firmware}, IPMI ${bmc.ipmi}`],
    ]));
}

const hex = (number, digits = 1) => `0x${number.toString(16).padStart(digits, "0")}`;
const id = (number) => number.toString(16).padStart(4, "0");

// Classes of PCI functions that people know by name (PCI Code and ID Assignment 1.11).
const CLASSES = {0x01: "storage", 0x02: "network", 0x03: "display", 0x04: "multimedia", 0x05: "memory", 0x06: "bridge", 0x07: "communication",
  0x08: "system", 0x0b: "processor", 0x0c: "serial bus", 0x0d: "wireless", 0x11: "signals", 0x12: "accelerator", 0xff: "of no class"};

function pci(devices) {
  const slow = devices.filter(isSlow).length;
  return panel(`PCI, ${format.plural(devices.length, "function")}`, slow > 0 && el("span.chip.warn", {}, `${slow} below their best link`),
    table(["address", "what", "id", "driver", "link", "errors"], devices.map((device) => [
      el("code", {}, device.address),
      el("span.two", {}, CLASSES[device.class >> 16] ?? hex(device.class, 6), el("span.soft", {}, device.port_type)),
      el("code", {}, `${id(device.vendor)}:${id(device.device)}`),
      device.driver || "–", link(device), errors(device)])));
}

const isSlow = ({link_width: width, link_width_max: widest, link_speed_gts: speed, link_speed_max_gts: fastest}) =>
  width !== null && widest !== null && (width < widest || speed < fastest);

function link(device) {
  const {link_width: width, link_width_max: widest, link_speed_gts: speed, link_speed_max_gts: fastest} = device;
  if (width === null) return "–";
  const now = `x${width}${speed === null ? "" : ` at ${speed} GT/s`}`;
  return isSlow(device) ? el("span.two.warn", {}, now, el("span", {}, `of x${widest} at ${fastest} GT/s`)) : now;
}

function errors({errors: bits, aer, dpc, sriov, power_state: power}) {
  const counts = aer && [["correctable", aer.correctable], ["non-fatal", aer.nonfatal], ["fatal", aer.fatal]].filter(([, count]) => count > 0).map(([name, count]) => `${count} ${name}`);
  const parts = [...(counts ?? []), ...bits, dpc?.triggered && `contained: ${dpc.reason}`].filter(Boolean);
  const calm = [aer && "AER", dpc?.enabled && "DPC", sriov && `SR-IOV ${sriov.vfs} of ${sriov.total_vfs}`, power && power !== "D0" && power].filter(Boolean).join(", ");
  return parts.length > 0 ? el("span.warn", {}, parts.join(", ")) : el("span.soft", {}, calm || "–");
}
