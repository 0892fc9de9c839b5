// What every page of ours does by itself: it stays fresh, sends forms safely, obeys the keyboard.
//
//   <main data-every="5">              asks this very page again every 5 s (ETag: 304 when nothing
//                                      changed) and exchanges each element with `data-live` and an
//                                      id, unless a person is writing in it
//   <form method="post" data-send data-confirm="Parar a campanha?">
//                                      goes by fetch with the header that another site can't set;
//                                      the answer {"message", "goto"} or {"error"} is shown
//   data-row                           rows for j/k and the arrows; Enter opens the row's first link
//   data-key="p"                       this key presses the button or follows the link

export const HEADER = "X-Zanc-Page";

export function toast(text, kind = "ok") {
  let place = document.querySelector(".toasts");
  if (!place) {
    place = document.createElement("div");
    place.className = "toasts";
    place.setAttribute("role", "status");
    place.setAttribute("aria-live", "polite");
    document.body.append(place);
  }
  const note = document.createElement("p");
  note.className = `alert ${kind}`;
  note.textContent = text;
  place.append(note);
  setTimeout(() => note.remove(), kind === "bad" ? 12000 : 6000);
}

export function confirmed(question, doing = "Confirmar") {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    const text = document.createElement("p");
    text.textContent = question;
    const row = document.createElement("form");
    row.className = "row";
    row.method = "dialog";
    const no = document.createElement("button");
    no.value = "";
    no.textContent = "Cancelar";
    const yes = document.createElement("button");
    yes.value = "yes";
    yes.className = "main";
    yes.textContent = doing;
    row.append(no, yes);
    dialog.append(text, row);
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
    yes.focus();
  });
}

// ---- forms

// Sends a request that changes something; resolves to the answer's JSON or throws its error.
export async function send(address, body, method = "POST") {
  let response;
  try {
    response = await fetch(address, {
      method, body, credentials: "same-origin", headers: { [HEADER]: "1", Accept: "application/json" },
    });
  } catch {
    throw new Error("O servidor não respondeu: tente de novo.");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401) throw new Error("Sua sessão terminou: entre de novo.");
  if (response.status === 403) throw new Error(answer.error || "Você não tem permissão para isto.");
  if (!response.ok) {
    const said = answer.error || answer.detail;
    throw new Error(typeof said === "string" ? said : `Não foi possível (${response.status}).`);
  }
  return answer;
}

async function submitted(event) {
  const form = event.target.closest("form[data-send]");
  if (!form) return;
  event.preventDefault();
  const button = event.submitter;
  const question = button?.dataset.confirm || form.dataset.confirm;
  if (question && !(await confirmed(question, button?.textContent.trim()))) return;
  const body = new FormData(form, button?.name ? button : undefined);
  const buttons = form.querySelectorAll("button");
  buttons.forEach((one) => { one.disabled = true; });
  try {
    const answer = await send(form.action, body);
    const place = form.dataset.into && document.getElementById(form.dataset.into);
    if (place && typeof answer.html === "string") place.replaceChildren(...parsed(answer.html).body.childNodes);
    else if (answer.message) toast(answer.message, answer.kind || "ok");
    if (!form.hasAttribute("data-keep")) form.reset();
    if (answer.goto) location.assign(answer.goto);
    else if (!place) await refresh(true);
  } catch (error) {
    toast(error.message, "bad");
  } finally {
    buttons.forEach((one) => { one.disabled = false; });
  }
}

// ---- freshness

const parsed = (text) => new DOMParser().parseFromString(text, "text/html");
let etag = null, failing = 0, running = null;

const busy = (element) => {
  const here = document.activeElement;
  if (!here || !element.contains(here)) return false;
  return here.matches("input:not([type=button]):not([type=submit]), textarea, select") || here.closest("dialog");
};

function exchange(fresh) {
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const now = fresh.getElementById(old.id);
    if (!now || busy(old) || old.isEqualNode(now)) continue;
    const open = [...old.querySelectorAll("details[open][id]")].map((one) => one.id);
    const focus = old.contains(document.activeElement) ? place(document.activeElement) : null;
    const written = [...old.querySelectorAll("input[id], textarea[id], select[id]")]
      .filter((one) => one.type !== "file" && one.value !== one.defaultValue && one.value).map((one) => [one.id, one.value]);
    old.replaceWith(now);
    for (const id of open) { const one = document.getElementById(id); if (one) one.open = true; }
    for (const [id, value] of written) { const one = document.getElementById(id); if (one) one.value = value; }
    if (focus) document.querySelector(focus)?.focus({ preventScroll: true });
  }
}

const place = (element) => {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const row = element.closest("[data-row]");
  return row?.dataset.row ? `[data-row="${CSS.escape(row.dataset.row)}"]` : null;
};

export async function refresh(whole = false) {
  if (!document.querySelector("[data-live]")) return;
  if (running) await running;
  running = asked(whole);
  try { await running; } finally { running = null; }
}

async function asked(whole) {
  const headers = { Accept: "text/html" };
  if (etag && !whole) headers["If-None-Match"] = etag;
  try {
    const response = await fetch(location.href, { headers, credentials: "same-origin", cache: "no-store" });
    if (response.status === 401 || response.status === 403) return told("sessão encerrada: entre de novo");
    if (response.status !== 304) {
      if (!response.ok) throw new Error(String(response.status));
      const text = await response.text();
      if (response.headers.get("ETag") !== etag || whole) exchange(parsed(text));
      etag = response.headers.get("ETag");
    }
    failing = 0;
    told(null);
  } catch {
    failing += 1;
    told("sem resposta do servidor: o que se vê pode ser antigo");
  }
}

function told(problem) {
  for (const mark of document.querySelectorAll(".live")) {
    mark.classList.toggle("stale", Boolean(problem));
    mark.textContent = problem || `ao vivo · ${new Date().toLocaleTimeString("pt-BR", { timeZone: "America/Sao_Paulo" })}`;
  }
}

function keepFresh(seconds) {
  const next = () => setTimeout(async () => {
    if (!document.hidden && !document.querySelector("dialog[open]")) await refresh();
    next();
  }, seconds * 1000 * Math.min(1 + failing, 6));
  next();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
}

// ---- ways out of Airflow's frame

// The frame may open neither its top nor a new tab; the page around it, which is ours as well, may.
function left(event) {
  const link = event.target.closest("a[target=_top], a[target=_blank]");
  if (!link || window.parent === window || event.defaultPrevented) return;
  event.preventDefault();
  const own = window.parent.document.createElement("a");
  own.href = link.href;
  own.target = link.target === "_blank" || event.ctrlKey || event.metaKey ? "_blank" : "_self";
  own.rel = "noopener";
  window.parent.document.body.append(own);
  own.click();
  own.remove();
}

// ---- keyboard

const HELP = [["j ou ↓", "próxima linha"], ["k ou ↑", "linha anterior"], ["Enter", "abrir a linha"], ["/", "procurar"], ["?", "esta ajuda"]];

function help() {
  const dialog = document.createElement("dialog");
  const title = document.createElement("h2");
  title.textContent = "Teclado";
  const list = document.createElement("dl");
  list.className = "facts";
  const own = [...document.querySelectorAll("[data-key]")].filter((one) => one.offsetParent)
    .map((one) => [one.dataset.key, one.dataset.say || one.getAttribute("aria-label") || one.textContent.trim()]);
  const seen = new Set();
  for (const [key, what] of [...own, ...HELP]) {
    if (seen.has(key)) continue;
    seen.add(key);
    const name = document.createElement("dt");
    const mark = document.createElement("kbd");
    mark.textContent = key;
    name.append(mark);
    const text = document.createElement("dd");
    text.textContent = what;
    list.append(name, text);
  }
  dialog.append(title, list);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const here = document.activeElement;
  if (document.querySelector("dialog[open]")) return;
  if (here?.matches("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") here.blur();
    return;
  }
  const rows = [...document.querySelectorAll("[data-row]")].filter((one) => one.offsetParent);
  const at = rows.indexOf(here?.closest?.("[data-row]"));
  const go = (row) => { if (row) { row.tabIndex = -1; row.focus(); row.scrollIntoView({ block: "nearest" }); event.preventDefault(); } };
  const inRows = at >= 0 || event.key === "j" || event.key === "k";
  if (rows.length && inRows && (event.key === "j" || event.key === "ArrowDown")) return go(rows[Math.min(at + 1, rows.length - 1)]);
  if (rows.length && inRows && (event.key === "k" || event.key === "ArrowUp")) return go(rows[Math.max(at - 1, 0)]);
  if (event.key === "Enter" && at >= 0 && here === rows[at]) {
    const link = rows[at].querySelector("a[href]");
    if (link) { link.click(); event.preventDefault(); }
    return;
  }
  if (event.key === "?") { help(); event.preventDefault(); return; }
  const wanted = event.key === "/" ? document.querySelector("input[type=search]")
    : [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key && one.offsetParent && !one.disabled);
  if (!wanted) return;
  event.preventDefault();
  if (wanted.matches("input, textarea, select")) wanted.focus(); else wanted.click();
}

document.addEventListener("submit", submitted);
document.addEventListener("click", left);
document.addEventListener("keydown", pressed);
const seconds = Number(document.querySelector("[data-every]")?.dataset.every || 0);
if (seconds) { told(null); keepFresh(seconds); }
