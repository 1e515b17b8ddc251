// Polls the JSON interface and shows it. Stops while nobody looks.

import { byId, say } from "./dom.mjs";
import * as sections from "./sections.mjs";

const POLL_MS = 2_000;
/** Costs of families change slowly, and take the server longer. */
const FAMILIES_EVERY = 5;
const REQUEST_TIMEOUT_MS = 10_000;
/** With fewer hosts than this, and few workers, all are open from the start. */
const OPEN_HOSTS_MAX = 3;
const OPEN_WORKERS_MAX = 40;

const state = { namespace: new URLSearchParams(location.search).get("namespace"), isPaused: false, rounds: 0, timer: null, shown: null };
/** Workers of the open hosts; `null` while they are on their way. */
let open = new Map();
let hasOpened = false;

async function ask(path, query = "") {
  const namespace = state.namespace === null ? "" : `namespace=${encodeURIComponent(state.namespace)}`;
  const parts = [namespace, query].filter(Boolean).join("&");
  const response = await fetch(`api/v1/${path}${parts && `?${parts}`}`, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), cache: "no-store" });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer;
}

/** Asks for everything; what fails because the store has never been read is simply not there. */
async function read() {
  const [status, history] = await Promise.all([ask("status"), ask("history")]);
  const isRead = status.store.read_age_seconds != null;
  const isTurn = state.rounds % FAMILIES_EVERY === 0 || state.shown?.namespace !== status.namespace || !state.shown?.families?.total;
  const [workers, families] = await Promise.all([isRead ? ask("workers", "limit=0") : null, isRead && isTurn ? ask("families", "limit=10") : null]);
  return { status, history, workers, families: families ?? state.shown?.families };
}

async function openWorkers() {
  const lists = [...open.keys()].map(async (instance) => [instance, await ask("workers", sections.workersOfHost(instance))]);
  for (const [instance, list] of await Promise.all(lists)) if (open.has(instance)) open.set(instance, list);
}

async function round() {
  clearTimeout(state.timer);
  const asked = state.namespace;
  try {
    const found = await read();
    if (found.workers) {
      openFew(found.workers);
      await openWorkers();
    }
    if (asked === state.namespace) {
      state.shown = { ...found, namespace: found.status.namespace };
      state.rounds += 1;
      render();
    }
  } catch (error) {
    const reason = error.name === "TimeoutError" ? "It does not answer." : error instanceof TypeError ? "The connection failed." : `${error.message}.`;
    sections.health(null, reason);
    if (error.status === 404 && asked !== null && asked === state.namespace) choose(null);
  }
  if (asked !== state.namespace) return round();
  schedule();
}

function schedule() {
  clearTimeout(state.timer);
  if (!state.isPaused && !document.hidden) state.timer = setTimeout(round, POLL_MS);
}

function openFew({ hosts, sources }) {
  if (hasOpened || hosts.length === 0) return;
  hasOpened = true;
  const workers = sources.live + sources.dead;
  if (hosts.length <= OPEN_HOSTS_MAX && workers <= OPEN_WORKERS_MAX) open = new Map(hosts.map((host) => [host.instance, null]));
}

function render() {
  const { status, history, workers, families } = state.shown;
  const isEmpty = workers !== null && workers.hosts_total === 0;
  sections.health(status);
  sections.identity(status);
  byId("empty").hidden = !isEmpty;
  byId("plots").hidden = isEmpty;
  byId("facts").hidden = false;
  byId("workers").hidden = isEmpty || workers === null;
  byId("families").hidden = isEmpty || !families;
  if (isEmpty) sections.empty(status);
  else sections.plots(status, history);
  if (workers) sections.workers(workers, open, toggle);
  if (families) sections.families(families);
  sections.problems(status);
  sections.store(status);
  say(byId("updated"), `Updated ${new Date().toLocaleTimeString()}${state.isPaused ? ", paused" : ""}`);
  document.title = `${status.store.state === "ok" ? "" : "! "}${status.namespace} · Metrifold`;
  document.documentElement.dataset.rounds = state.rounds;
}

async function toggle(instance) {
  if (!open.delete(instance)) {
    open.set(instance, null);
    sections.workers(state.shown.workers, open, toggle);
    await openWorkers().catch(() => {}); // The next round says what is wrong.
  }
  sections.workers(state.shown.workers, open, toggle);
}

function choose(namespace) {
  Object.assign(state, { namespace, shown: null });
  [open, hasOpened] = [new Map(), false];
  const address = new URL(location.href);
  if (namespace === null) address.searchParams.delete("namespace");
  else address.searchParams.set("namespace", namespace);
  history.replaceState(null, "", address);
}

byId("namespace").addEventListener("change", (event) => {
  choose(event.target.value);
  round();
});
byId("pause").addEventListener("click", (event) => {
  state.isPaused = !state.isPaused;
  event.target.setAttribute("aria-pressed", String(state.isPaused));
  say(event.target, state.isPaused ? "Resume" : "Pause");
  if (state.isPaused) clearTimeout(state.timer);
  else round();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(state.timer) : state.isPaused || round()));
round();
