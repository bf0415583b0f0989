// Keys, highlights and news. Everything works without this file; it only makes it quicker.
"use strict";

const POLL_MS = 8000;
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);

// --- highlights: a sentence, its number and its quote light up together ---

function light(numbers, on) {
  for (const node of all("[data-cites]")) {
    const own = node.dataset.cites.split(" ");
    if (own.some((number) => numbers.includes(number))) node.classList.toggle("hot", on);
  }
}

for (const node of all("[data-cites]")) {
  const numbers = node.dataset.cites.split(" ");
  for (const name of ["mouseenter", "focus"]) node.addEventListener(name, () => light(numbers, true));
  for (const name of ["mouseleave", "blur"]) node.addEventListener(name, () => light(numbers, false));
  if (node.localName === "mark") {
    node.addEventListener("click", () => {
      const inDraft = node.closest(".draft") !== null;
      const other = one(inDraft ? `#source-${numbers[0]}` : `#sentence-${numbers[0]}`);
      if (other) other.scrollIntoView({ block: "center" });
    });
  }
}

// --- the decision: nothing that was typed is lost, nothing is sent twice ---

const form = one("#decision");
let isSending = false;

function isChanged() {
  return form !== null && all("textarea", form).some((area) => area.value !== area.defaultValue);
}

if (form) {
  form.addEventListener("submit", (event) => {
    if (isSending) event.preventDefault();
    isSending = true;
    form.setAttribute("aria-busy", "true");
  });
  window.addEventListener("beforeunload", (event) => {
    if (!isSending && isChanged()) event.preventDefault();
  });
  window.addEventListener("pageshow", () => { isSending = false; form.removeAttribute("aria-busy"); });
}

function unfold(details, field) {
  details.open = true;
  field.focus();
  field.scrollIntoView({ block: "center" });
}

function press(verdict) {
  const button = form && one(`button[value="${verdict}"]`, form);
  if (button) form.requestSubmit(button);
}

// --- keys ---

const keysOn = one("#keys-on");
const help = one("#keys");
const store = {
  read: () => { try { return localStorage.getItem("keys") !== "off"; } catch { return true; } },
  write: (on) => { try { localStorage.setItem("keys", on ? "on" : "off"); } catch { /* private windows */ } },
};
keysOn.checked = store.read();
keysOn.addEventListener("change", () => store.write(keysOn.checked));
for (const button of all(".needs-script")) button.hidden = false;
for (const button of all("button[data-open]")) button.addEventListener("click", () => one(`#${button.dataset.open}`).showModal());

function step(direction) {
  const rows = all(".rows a.open");
  const at = rows.indexOf(document.activeElement);
  const to = rows[at < 0 && direction < 0 ? rows.length - 1 : at + direction];
  if (to) { to.focus(); return; }
  const link = one(direction > 0 ? 'a[rel="next"]' : 'a[rel="prev"]');  // beyond the last row, and on a ticket's page
  if (link) link.click();
}

const focusOn = (selector) => () => { const node = one(selector); if (node) { node.focus(); node.scrollIntoView({ block: "nearest" }); } };
const keys = {
  "j": () => step(1),
  "k": () => step(-1),
  "a": focusOn('button[data-key="a"]'),
  "r": focusOn('button[data-key="r"]'),
  "e": () => { if (form) unfold(one("#edit"), one("#text")); },
  "t": () => { if (form) unfold(one("#ask"), one("#instruction")); },
  "u": () => { const link = one('a[data-key="u"]'); if (link) link.click(); },
  "/": focusOn("#search"),
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const isTyping = target.matches("textarea, select, input:not([type=checkbox])");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (target.id === "text") press("edit");
    if (target.id === "instruction") press("retry");
    return;
  }
  if (event.key === "Escape" && isTyping) { target.blur(); return; }
  if (isTyping || help.open || event.ctrlKey || event.metaKey || event.altKey || event.repeat && !"jk".includes(event.key)) return;
  if (event.key === "?") { event.preventDefault(); help.showModal(); return; }
  const act = keysOn.checked ? keys[event.key] : undefined;
  if (act) { event.preventDefault(); act(); }
});

// --- news: counts, a queue that changed, a ticket that somebody else decided ---

const news = one("#news");
const head = one("[data-run]");
let queueWas = null;

function tell(text, href, label) {
  news.textContent = `${text} `;
  if (href) {
    const link = document.createElement("a");
    link.href = href;
    link.textContent = label;
    news.append(link);
  }
  news.hidden = false;
}

async function ask(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" }, cache: "no-store" });
  if (answer.status === 401) tell("You are logged out.", location.pathname, "Log in");
  return answer.ok ? answer.json() : null;
}

async function lookAtQueue() {
  const state = await ask("/queue/state");
  if (!state) return;
  const counts = { ...state, troubles: state.dead + state.held };
  for (const node of all("[data-count]")) node.textContent = counts[node.dataset.count] ?? node.textContent;
  const now = `${state.waiting} ${counts.troubles}`;
  if (queueWas !== null && queueWas !== now && one("body.queue")) tell("The queue has changed.", location.href.split("#")[0], "Show it");
  queueWas = now;
}

async function lookAtRun() {
  if (!head || head.dataset.open !== "yes" || isSending) return;
  const state = await ask(`/runs/${encodeURIComponent(head.dataset.run)}/state`);
  if (!state || state.waits) return;
  head.dataset.open = "no";
  tell(state.by ? `${state.by} has decided this one: ${state.verdict}.` : "This one does not wait any more.", location.pathname, "Show it");
}

async function look() {
  if (document.visibilityState !== "visible") return;
  try {
    await Promise.all([lookAtQueue(), lookAtRun()]);
  } catch {
    tell("The server does not answer; what you typed is still here.");
  }
}

look();
setInterval(look, POLL_MS);
