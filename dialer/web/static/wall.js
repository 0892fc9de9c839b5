// The wall looks again when the dialer says that something changed, at most every 1.5 s; without
// the websocket the page still asks every few seconds by itself.

// By the addresses that the page gave them: under another a module would run a second time.
const loaded = (name) => import(document.querySelector(`script[src*="/${name}"]`).src);
const { tick } = await loaded("floor.js");
const { refresh } = await loaded("zanc.js");

const REST = 1500;
let wanted = false, resting = false;

async function look() {
  if (resting || document.hidden || document.querySelector("dialog[open]")) { wanted = true; return; }
  wanted = false;
  resting = true;
  await refresh();
  tick();
  setTimeout(() => { resting = false; if (wanted) look(); }, REST);
}

function connect(failures = 0) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`);
  socket.addEventListener("open", () => { failures = 0; });
  socket.addEventListener("message", look);
  socket.addEventListener("close", (event) => {
    if (event.code === 4401) { location.assign(`/entrar?depois=${encodeURIComponent("/painel")}`); return; }
    setTimeout(() => connect(failures + 1), Math.min(500 * (failures + 1), 5000));
  });
}
connect();
