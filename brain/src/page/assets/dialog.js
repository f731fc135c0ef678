// Asks a person for their name, unless they have logged in by one, and for a reason where one is wanted.

import {el, setText} from "./dom.js";
import {loginName} from "./who.js";

// `act(name, reason)` is awaited; what it throws is told in the dialog, which stays. The name is kept in this browser.
export function askName({title, text, action, reason = false, act}) {
  const user = loginName();
  const by = el("input", {type: "text", name: "by", required: true, maxlength: 64, autocomplete: "name",
    readonly: user !== null, value: user ?? localStorage.getItem("name") ?? ""});
  const why = reason && el("input", {type: "text", name: "reason", maxlength: 256, autocomplete: "off"});
  const fault = el("p.bad", {role: "alert"});
  const send = el("button.primary", {type: "submit"}, action);
  const form = el("form", {method: "dialog"},
    el("h2", {}, title), text && el("p.soft", {}, text),
    el("label", {}, "Your name", by), reason && el("label", {}, "Reason", why), fault,
    el("div.actions", {}, el("button", {type: "button", onclick: () => dialog.close()}, "Cancel"), send));
  const dialog = el("dialog", {"aria-label": title, onclose: () => dialog.remove()}, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = by.value.trim();
    if (!name) return setText(fault, "A name is needed: it stands in the audit log.");
    if (user === null) localStorage.setItem("name", name);
    send.disabled = true;
    try {
      await act(name, why ? why.value.trim() : "");
      dialog.close();
    } catch (error) {
      setText(fault, error.message);
      send.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  if (user === null) by.select(); else (why || send).focus();
}
