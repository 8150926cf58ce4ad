// Keeps the status page up to date: fetches it again every few seconds, and puts what is new in its place. What stands
// here is not changed more than it must be, so that focus, open details and what is being read stay where they are.
"use strict";

const EVERY = 5000;
const LIVE = "[data-live]";

let paused = false;
let failed = false;
let timer;
let asking;

const bar = document.createElement("div");
bar.className = "live";
const button = document.createElement("button");
button.type = "button";
const told = document.createElement("span");
told.setAttribute("role", "status");
bar.append(button, told);
document.getElementById("top").after(bar);

function tell() {
  button.textContent = paused ? "Go on" : "Pause";
  button.setAttribute("aria-pressed", String(paused));
  button.setAttribute("aria-label", paused ? "Go on updating the page" : "Pause updating the page");
  const text = paused ? "Paused" : failed ? "No answer: what you see may be old. Trying again" : "Updated every 5 seconds";
  if (told.textContent !== text) told.textContent = text;
  bar.classList.toggle("bad", failed && !paused);
}

function wait() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(refresh, EVERY);
}

async function refresh() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  const late = setTimeout(() => mine.abort(), 20000);
  try {
    const answer = await fetch(location.href.split("#")[0], { signal: mine.signal, cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (asking !== mine) return;
    for (const part of document.querySelectorAll(LIVE)) {
      const other = next.getElementById(part.id);
      if (other) renew(part, other);
    }
    if (document.title !== next.title) document.title = next.title;
    failed = false;
  } catch {
    // Another one was begun: that one tells.
    if (asking !== mine) return;
    failed = true;
  } finally {
    clearTimeout(late);
  }
  tell();
  wait();
}

const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key : undefined);

// Makes an element like another one, and leaves alone what is like it already.
function renew(old, next) {
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const keyed = new Map([...old.children].filter(key).map((child) => [key(child), child]));
  let at = old.firstChild;
  for (const child of [...next.childNodes]) {
    const known = key(child) === undefined ? at : keyed.get(key(child));
    const fits = known && known.nodeName === child.nodeName && known.nodeType === child.nodeType && key(known) === key(child);
    if (!fits) {
      old.insertBefore(document.importNode(child, true), at);
      continue;
    }
    if (known === at) at = at.nextSibling;
    else old.insertBefore(known, at);
    if (known.nodeType !== Node.ELEMENT_NODE) {
      if (known.data !== child.data) known.data = child.data;
    } else if (!known.isEqualNode(child)) {
      renew(known, child);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

// What to look for: at each change, without loading the page anew.
const form = document.getElementById("filter");
let typing;

function look() {
  clearTimeout(typing);
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
  refresh();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  look();
});
form.addEventListener("change", look);
form.addEventListener("input", (event) => {
  if (event.target.localName !== "input") return;
  clearTimeout(typing);
  typing = setTimeout(look, 300);
});

button.addEventListener("click", () => {
  paused = !paused;
  tell();
  if (paused) clearTimeout(timer);
  else refresh();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else if (!paused) refresh();
});

tell();
wait();
