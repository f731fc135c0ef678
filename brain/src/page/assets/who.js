// Who looks at the page, and whether they may change something.

import * as feed from "./feed.js";

const byId = (id) => document.getElementById(id);
let me = {name: null, role: null, has_session: false};

// Asks once: who logs in as somebody else loads the page anew.
export async function askWho() {
  me = await feed.me();
  byId("who").hidden = me.name === null;
  byId("who").textContent = me.name ?? "";
  byId("who").title = me.role ?? "";
  byId("leave").hidden = !me.has_session;
  byId("leave").onclick = async () => {
    await feed.leave();
    location.assign("/login");
  };
}

// The name of the login; null where nobody logs in.
export const loginName = () => me.name;
export const mayChange = () => me.role === "operator";
export const whyNot = () => me.name === null
  ? "For looking only: page.users lets people log in, page.local_role whoever is on the brain's machine, page.proxy_login whom a proxy names, to freeze, acknowledge and approve."
  : "For looking only: an operator may freeze, acknowledge and approve.";
