// The operator's desk: shows what the dialer pushes, and brings every tabulation to it, whatever
// dies in between. What is not confirmed waits in localStorage under the login: the attempt's
// number, the tabulation, dates and amounts; no name, no CPF, no phone.

// By the addresses that the page gave them: under another a module would run a second time.
const loaded = (name) => import(document.querySelector(`script[src*="/${name}"]`).src);
const { serverNow, tick } = await loaded("floor.js");
const zanc = await loaded("zanc.js");

const $ = (id) => document.getElementById(id);
const { csrf, login } = document.body.dataset;
const PLACE = `zanc.tabulacoes.${login}`;
const BLOCKS = ["state", "card", "tabulation", "script", "past"];
const shown = {};
let present = { attempt: null, state: null };

// ---- what the dialer pushes

function put(name, html) {
  if (shown[name] === html) return;
  shown[name] = html;
  const place = $(name);
  const written = [...place.querySelectorAll("select[id]")].map((one) => [one.id, one.value]);
  const open = [...place.querySelectorAll("details[open][id]")].map((one) => one.id);
  const focus = place.contains(document.activeElement) ? document.activeElement.id || document.activeElement.dataset.key : null;
  place.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  for (const [id, value] of written) {
    const one = $(id);
    if (one && [...one.options].some((option) => option.value === value) && document.activeElement !== one) one.value = value;
  }
  for (const id of open) { const one = $(id); if (one) one.open = true; }
  if (focus) (place.querySelector(`#${CSS.escape(focus)}`) || place.querySelector(`[data-key="${CSS.escape(focus)}"]`))?.focus({ preventScroll: true });
}

function show(news) {
  serverNow(news.now);
  if (news.problem) return problem(news.problem);
  problem(null);
  for (const name of BLOCKS) put(name, news.blocks[name]);
  tick();
  const arrived = news.attempt && news.attempt !== present.attempt;
  const target = document.querySelector("#tabulation [data-target]")?.dataset.target;
  for (const dialog of document.querySelectorAll("dialog[open][data-target]")) {
    if (dialog.dataset.target !== target) dialog.close();
  }
  if (arrived) {
    const name = document.querySelector("#card h2")?.textContent || "";
    $("anuncio").textContent = `Ligação: ${name}`;
  }
  present = { attempt: news.attempt, state: news.state };
  document.title = `${news.state === "talking" || news.state === "reserved" ? "☎ " : ""}${news.title} · Zanc`;
}

function problem(text) {
  $("problema").hidden = !text;
  if (text) $("problema").textContent = text;
}

function connection(text, stale) {
  $("conexao").textContent = text;
  $("conexao").classList.toggle("stale", stale);
}

let failures = 0;
function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/mesa/ao-vivo`);
  socket.addEventListener("open", () => { failures = 0; connection("conectado", false); flush(); });
  socket.addEventListener("message", (event) => show(JSON.parse(event.data)));
  socket.addEventListener("close", (event) => {
    if (event.code === 4401) {
      connection("sessão encerrada", true);
      location.assign(`/entrar?depois=${encodeURIComponent("/mesa")}`);
      return;
    }
    failures += 1;
    connection("sem o discador: reconectando…", true);
    setTimeout(connect, Math.min(500 * failures, 4000));
  });
}

// ---- tabulations that are not confirmed yet

function unsent() {
  try { return JSON.parse(localStorage.getItem(PLACE)) || []; } catch { return []; }
}
function keep(list) {
  localStorage.setItem(PLACE, JSON.stringify(list));
  const note = $("naoenviadas");
  note.hidden = list.length === 0;
  note.textContent = list.length === 1 ? "Uma tabulação está guardada aqui e será enviada assim que o discador responder."
    : `${list.length} tabulações estão guardadas aqui e serão enviadas assim que o discador responder.`;
}
const key = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function tabulate(attempt, fields) {
  const entry = { key: key(), attempt, ...fields };
  keep([...unsent().filter((one) => one.attempt !== attempt), entry]);
  flush();
}

let sending = false;
async function flush() {
  if (sending) return;
  sending = true;
  try {
    for (let entry = unsent()[0]; entry; entry = unsent()[0]) {
      if (!(await sent(entry))) break;
    }
  } finally { sending = false; }
  keep(unsent());
}

// Whether the entry is done with: recorded, or refused for good.
async function sent(entry) {
  const body = new FormData();
  body.set("_csrf", csrf);
  for (const [name, value] of Object.entries(entry)) body.set(name, value);
  let response;
  try {
    response = await fetch("/mesa/tabular", { method: "POST", body, credentials: "same-origin", headers: { [zanc.HEADER]: "1", Accept: "application/json" } });
  } catch { return false; }
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401 || response.status === 403 || response.status === 429 || response.status >= 500) return false;
  keep(unsent().filter((one) => one.key !== entry.key));
  if (response.ok) { zanc.toast(answer.message); return true; }
  zanc.toast(answer.error || "A tabulação foi recusada.", "bad");
  const dialog = { promise: $("promessa"), callback: $("retorno") }[entry.tabulation];
  if (response.status === 400 && dialog) ask(dialog, entry.attempt, entry, answer.error);
  return true;
}
setInterval(() => { if (unsent().length) flush(); }, 2000);
addEventListener("online", flush);

// ---- the keys

const money = (text) => Number(text).toLocaleString("pt-BR", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

function ask(dialog, attempt, values = {}, said = null) {
  const place = document.querySelector("#tabulation [data-target]");
  const form = dialog.querySelector("form");
  const day = form.querySelector('input[type="date"]');
  day.min = place?.dataset.today || "";
  const debt = dialog.querySelector("[data-debt-text]");
  if (debt && place) debt.textContent = `R$ ${money(place.dataset.debt)}`;
  if (dialog.dataset.target !== attempt) {
    form.reset();
    if (form.elements.promise_amount && place) form.elements.promise_amount.value = money(place.dataset.debt);
    day.value = place?.dataset.today || "";
  }
  dialog.dataset.target = attempt;
  for (const input of form.elements) if (input.name && values[input.name]) input.value = values[input.name];
  const note = dialog.querySelector("[data-problem]");
  note.hidden = !said;
  note.textContent = said || "";
  if (!dialog.open) dialog.showModal();
  day.focus();
}

for (const id of ["promessa", "retorno"]) {
  const dialog = $(id);
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  // A date field keeps Escape for itself; and keys must not stay in a field that is gone.
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.preventDefault(); dialog.close(); }
  });
  dialog.addEventListener("close", () => document.activeElement?.blur());
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.target));
    dialog.close();
    tabulate(dialog.dataset.target, { tabulation: id === "promessa" ? "promise" : "callback", ...fields });
  });
}

$("tabulation").addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-code]");
  if (!button) return;
  const attempt = button.closest("[data-target]").dataset.target;
  if (button.dataset.form) { ask($(button.dataset.form), attempt); return; }
  if (button.dataset.question && !(await zanc.confirmed(button.dataset.question, button.dataset.say))) return;
  tabulate(attempt, { tabulation: button.dataset.code });
});

keep(unsent());
connect();
