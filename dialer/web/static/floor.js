// What the desk and the wall share: the switch between light and dark, and clocks that run.

const root = document.documentElement;

function switched() {
  const dark = getComputedStyle(root).colorScheme.includes("dark");
  const chosen = dark ? "light" : "dark";
  root.dataset.theme = chosen;
  try { localStorage.setItem("theme", chosen); } catch { /* only for this page then */ }
}
for (const button of document.querySelectorAll("[data-theme-switch]")) button.addEventListener("click", switched);

let ahead = 0; // of the server's clock before ours, ms
export function serverNow(iso) { ahead = Date.parse(iso) - Date.now(); }

const two = (number) => String(number).padStart(2, "0");
function length(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const rest = `${hours ? two(Math.floor(whole / 60) % 60) : Math.floor(whole / 60)}:${two(whole % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}
export function tick(place = document) {
  for (const one of place.querySelectorAll("[data-since]")) {
    const passed = (Date.now() + ahead - Date.parse(one.dataset.since)) / 1000;
    const limit = Number(one.dataset.limit || 0);
    const text = length(limit ? limit - passed : passed);
    if (one.textContent !== text) one.textContent = text;
  }
}
setInterval(tick, 1000);
tick();

// Every form carries the token of this session; before zanc.js sends it.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.elements._csrf) return;
  const token = document.createElement("input");
  token.type = "hidden";
  token.name = "_csrf";
  token.value = document.body.dataset.csrf || "";
  form.append(token);
}, true);
