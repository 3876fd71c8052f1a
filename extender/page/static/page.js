// Live refresh, sorting, keys and the map's pointer. Without scripts every page works as well.
"use strict";

const EVERY = 5000; // ms between two looks
const SOON = 1000; // where the page says that more is being worked out
const main = document.querySelector("main");
const live = document.querySelector(".live");
const said = document.querySelector("#said");

// ---------------------------------------------------------------- live refresh

let timer = 0;
let running = read("live") !== "off";
let busy = false;

function read(key) {
  try { return sessionStorage.getItem(key); } catch { return null; }
}

function keep(key, value) {
  try { sessionStorage.setItem(key, value); } catch { /* private windows may forbid it */ }
}

function show() {
  live.setAttribute("aria-pressed", String(running));
  live.querySelector(".live-text").textContent = running ? "Live, every 5 s" : "Paused";
  live.title = running ? "The page looks again every 5 seconds; press to pause" : "The page stays as it is; press to look again every 5 seconds";
}

function plan() {
  clearTimeout(timer);
  const wait = main.querySelector("[data-soon]") ? SOON : EVERY;
  if (running && !document.hidden) timer = setTimeout(look, wait);
}

// Who types, selects text or has a list open is not disturbed.
function engaged() {
  const active = document.activeElement;
  const typing = active && main.contains(active) && active.matches("input, select");
  return typing || String(getSelection()).length > 0;
}

async function look() {
  if (busy || engaged()) return plan();
  busy = true;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.status !== 429) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (page.documentElement.dataset.build !== document.documentElement.dataset.build) {
        location.reload();
        return;
      }
      if (!engaged()) replace(page);
    }
    live.classList.remove("lost");
  } catch {
    live.querySelector(".live-text").textContent = "No answer";
    plan();
    return;
  } finally {
    busy = false;
  }
  show();
  plan();
}

// Parts that are the same stay, so that focus, scroll and open details do.
function replace(page) {
  const fresh = page.querySelector("main");
  if (fresh) merge(main, fresh);
  const foot = page.querySelector("footer"), old = document.querySelector("footer");
  if (foot && old) merge(old, foot);
  document.title = page.title;
  sortable();
}

function merge(old, fresh) {
  const sorted = old.matches("table.sortable") && old.querySelector("[aria-sort]");
  const was = [...old.childNodes], now = [...fresh.childNodes];
  now.forEach((child, place) => {
    const known = was[place];
    if (!known) { old.append(child); return; }
    if (known.isEqualNode(child)) return;
    const alike = known.nodeType === 1 && child.nodeType === 1 && known.tagName === child.tagName;
    if (!alike || known.matches("tbody")) {
      if (known.nodeType === 3 && child.nodeType === 3) known.data = child.data;
      else known.replaceWith(child);
      return;
    }
    if (known.matches("thead")) return; // its buttons are ours
    for (const { name, value } of child.attributes) {
      if (known.getAttribute(name) !== value) known.setAttribute(name, value);
    }
    for (const { name } of [...known.attributes]) {
      if (!child.hasAttribute(name) && !(name === "open" && known.matches("details"))) {
        known.removeAttribute(name);
      }
    }
    merge(known, child);
  });
  was.slice(now.length).forEach((child) => child.remove());
  if (sorted) order(sorted, sorted.getAttribute("aria-sort"));
}

if (live) {
  live.hidden = false;
  live.addEventListener("click", () => {
    running = !running;
    keep("live", running ? "on" : "off");
    show();
    said.textContent = running ? "Live refresh is on" : "Live refresh is paused";
    if (running) look(); else clearTimeout(timer);
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : plan()));
  show();
  plan();
}

// ---------------------------------------------------------------- tables that sort

function sortable() {
  for (const head of document.querySelectorAll("table.sortable thead th")) {
    if (head.querySelector("button") || !head.textContent.trim()) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      const number = head.classList.contains("n");
      const way = head.getAttribute("aria-sort");
      const next = way ? (way === "descending" ? "ascending" : "descending") : number ? "descending" : "ascending";
      for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", next);
      order(head, next);
    });
    head.append(button);
  }
}

function order(head, way) {
  const column = [...head.parentNode.children].indexOf(head);
  const body = head.closest("table").tBodies[0];
  const number = head.classList.contains("n");
  const key = (row) => {
    const text = row.cells[column] ? row.cells[column].textContent.trim() : "";
    if (!number) return text;
    const match = text.replace(/,/g, "").match(/-?\d+(\.\d+)?/);
    return match ? Number(match[0]) * (text.includes("TiB") ? 1024 : 1) : -1;
  };
  const names = new Intl.Collator(undefined, { numeric: true });
  const rows = [...body.rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => (number ? a - b : names.compare(a, b)));
  if (way === "descending") rows.reverse();
  body.append(...rows.map(([, row]) => row));
}

sortable();

// ---------------------------------------------------------------- keys

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("#q").select();
    document.querySelector("#q").focus();
  } else if (event.key === "p" && live) {
    live.click();
  }
});

// ---------------------------------------------------------------- the map's pointer

const names = new Map(); // address of a pool's names → promise of them, by block
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);

async function cellAt(event) {
  const svg = event.target.closest(".blocks svg");
  if (!svg) return null;
  const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
  const column = Math.floor(((event.clientX - box.left) / box.width) * view.width / 10);
  const row = Math.floor(((event.clientY - box.top) / box.height) * view.height / 10);
  const block = svg.closest("li"), pool = svg.closest("[data-map]");
  const address = pool.dataset.map;
  if (!names.has(address)) {
    names.set(address, fetch(address).then((answer) => {
      if (!answer.ok) throw new Error(answer.status);
      return answer.json();
    }).catch(() => { names.delete(address); return []; }));
  }
  const blocks = await names.get(address);
  const of = blocks[[...block.parentNode.children].indexOf(block)] || [];
  return { name: of[row * 8 + column], svg, row, column };
}

function leave() {
  tip.hidden = true;
  document.querySelector(".blocks .at")?.remove();
}

main.addEventListener("pointermove", async (event) => {
  if (!event.target.closest(".blocks svg")) return leave();
  const found = await cellAt(event);
  leave();
  if (!found || !found.name) return;
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "path");
  mark.setAttribute("class", "at");
  mark.setAttribute("d", `M${found.column * 10} ${found.row * 10}h10v10h-10z`);
  found.svg.append(mark);
  tip.textContent = found.name;
  tip.hidden = false;
  // The policy of these pages forbids style attributes; the object model may set them.
  tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${event.clientY + 16}px`;
});
main.addEventListener("pointerleave", leave);

main.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || !event.target.closest(".blocks svg")) return;
  event.preventDefault();
  const link = event.target.closest("a").href;
  cellAt(event).then((found) => {
    location.href = found && found.name ? `/nodes/${encodeURIComponent(found.name)}` : link;
  });
});
