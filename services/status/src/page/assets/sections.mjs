// What each part of the page shows, from the answers of the JSON interface.

import { byId, el, mark, say, show, stateCount, svg } from "./dom.mjs";
import { ago, bytes, count, plural, rate, span } from "./format.mjs";
import { figure } from "./plot.mjs";

const WORKERS_PER_HOST = 200;
/** Of the folded only the newest: there may be a whole day of them. */
const FOLDED_PER_HOST = 8;

/** One sentence on how things are, and what follows from it. */
export function health(status, failure) {
  const { state, words, details, since } = verdict(status, failure);
  const banner = byId("health");
  banner.className = `banner ${state}`;
  const shape = { good: "live", warn: "warn", bad: "dead" }[state];
  show(banner, mark(shape), el("div", {}, el("strong", {}, words, since), details && el("p", {}, details)));
  // Without what changes every second, or it would be read out every second.
  say(byId("announcer"), words);
}

function verdict(status, failure) {
  if (failure) return { state: "bad", words: "This page cannot reach the server", details: `${failure} What is shown below was true before.` };
  const { store, sources } = status;
  const scrapes = status.shows_view ? "Scrapes are answered with 503" : "Exporters answer scrapes with 503";
  if (store.state === "unreachable") {
    const since = store.failing_seconds >= 1 ? ` for ${span(store.failing_seconds)}` : "";
    return {
      state: "bad",
      words: "The store cannot be read",
      since,
      details: `${store.reason}. ${scrapes} until it answers; workers go on counting, and lose nothing.`,
    };
  }
  if (store.state === "sealed") return { state: "warn", words: "The store is sealed", details: `${store.reason}. ${scrapes} until then.` };
  if (store.state === "settling") return { state: "warn", words: "The store is settling", details: `${store.reason}.` };
  if (store.state === "unread") return { state: "warn", words: "The store has not been read yet", details: null };
  if (sources.live + sources.dead + sources.folded === 0) return { state: "good", words: "Ready, and waiting for the first worker", details: null };
  const problems = status.conflicts_total + status.refusals.length;
  const view = `${plural(status.view.series, "series", "series")} in ${plural(status.view.families, "family", "families")}`;
  if (problems > 0) {
    const found = [
      status.conflicts_total > 0 && plural(status.conflicts_total, "conflict"),
      status.refusals.length > 0 && plural(status.refusals.length, "kind of refused push", "kinds of refused pushes"),
    ].filter(Boolean);
    return { state: "warn", words: `${plural(sources.live, "worker")} live, with ${found.join(" and ")}`, details: `${view}. See “Refusals and conflicts” below.` };
  }
  return { state: "good", words: `${plural(sources.live, "worker")} live, one exact view`, details: `${view}. Nothing refused, nothing in conflict.` };
}

export function identity(status) {
  say(byId("identity"), `${status.role} · version ${status.version} · up ${span(status.uptime_seconds)}`);
  const select = byId("namespace");
  byId("namespace-label").hidden = status.namespaces_total < 2;
  const names = status.namespaces.includes(status.namespace) ? status.namespaces : [status.namespace, ...status.namespaces];
  // An open list must not be rebuilt under the pointer.
  if (select.dataset.names !== JSON.stringify(names)) {
    select.dataset.names = JSON.stringify(names);
    select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  }
  select.value = status.namespace;
  const query = `?namespace=${encodeURIComponent(status.namespace)}`;
  byId("link-metrics").setAttribute("href", `metrics${query}`);
  byId("link-metrics").hidden = !status.shows_view;
  byId("link-sd").hidden = !status.shows_view;
}

export function plots(status, history) {
  const last = (column, points) => column.slice(-points);
  const sum = (column) => column.reduce((total, value) => total + value, 0);
  const perSecond = (column) => column.map((value) => value / history.interval_seconds);
  const now = (column) => (column.length > 0 ? sum(last(column, 3)) / last(column, 3).length / history.interval_seconds : 0);
  const common = { points: history.points_max, interval: history.interval_seconds };
  const past = "in the last 15 minutes";
  const live = history.live;
  const range = live.length > 1 ? `, between ${count(Math.min(...live))} and ${count(Math.max(...live))} ${past}` : "";
  const [died, folded] = [sum(history.died), sum(history.folded)];
  const failed = sum(history.scrapes_failed);
  show(
    byId("plots"),
    figure({
      ...common,
      caption: "Live workers",
      value: count(status.sources.live),
      lines: [{ values: live }],
      describe: `${count(status.sources.live)} live now${range}`,
    }),
    figure({
      ...common,
      caption: "Deaths and folds",
      value: count(died),
      unit: `died, ${count(folded)} folded`,
      bars: [
        { values: history.died, kind: "bar-died" },
        { values: history.folded, kind: "bar-folded" },
      ],
      describe: `${count(died)} workers died and ${count(folded)} were folded ${past}`,
    }),
    status.role !== "exporter" && figure({
      ...common,
      caption: "Pushes",
      value: rate(now(history.pushes)),
      unit: "per second",
      lines: [{ values: perSecond(history.pushes) }],
      describe: `${rate(now(history.pushes))} pushes per second to this server now; ${count(sum(history.pushes))} ${past}`,
    }),
    status.shows_view && figure({
      ...common,
      caption: "Scrapes",
      value: rate(now(history.scrapes)),
      unit: failed > 0 ? `per second, ${count(failed)} failed` : "per second",
      lines: [{ values: perSecond(history.scrapes) }, { values: perSecond(history.scrapes_failed), kind: "second" }],
      describe: `${rate(now(history.scrapes))} scrapes of this server per second now; ${count(sum(history.scrapes))} answered and ${count(failed)} failed ${past}`,
    }),
  );
}

/** Hosts, each with its workers if it is open. `open` holds the workers of open hosts. */
export function workers(answer, open, toggle) {
  const { live, dead, folded } = answer.sources;
  say(byId("workers-sum"), `${count(live)} live, ${count(dead)} dead, ${count(folded)} folded on ${plural(answer.hosts_total, "host")}`);
  const container = byId("hosts");
  const rows = new Map([...container.querySelectorAll(".host")].map((row) => [row.dataset.instance, row]));
  const fresh = answer.hosts.map((host) => {
    const row = rows.get(host.instance) ?? hostRow(host.instance, toggle);
    fillHost(row, host, open.get(host.instance));
    return row;
  });
  const hidden = answer.hosts_total - answer.hosts.length;
  const more = hidden > 0 ? [el("p", { class: "more" }, `${plural(hidden, "more host")} with fewer live workers: see /api/v1/workers?instance=…`)] : [];
  const wanted = [...fresh, ...more];
  const isSame = wanted.length === container.children.length && fresh.every((row, place) => container.children[place] === row);
  if (!isSame) container.replaceChildren(...wanted);
}

const chevron = () => svg("svg", { class: "chevron", viewBox: "0 0 12 12", "aria-hidden": "true" }, svg("path", { d: "M4 2l4 4-4 4" }));

let hostsMade = 0;

function hostRow(instance, toggle) {
  const id = `host-${(hostsMade += 1)}`;
  const button = el("button", { type: "button", "aria-expanded": "false", "aria-controls": id, onclick: () => toggle(instance) });
  const row = el("div", { class: "host" }, el("h3", {}, button), el("div", { class: "body", id, hidden: true }));
  row.dataset.instance = instance;
  return row;
}

function fillHost(row, host, list) {
  const [button, body] = [row.querySelector("button"), row.querySelector(".body")];
  const isOpen = list !== undefined;
  button.setAttribute("aria-expanded", String(isOpen));
  const strip = el("span", { class: "strip", "aria-hidden": "true" });
  for (const state of ["live", "dead", "folded"]) {
    if (host[state] > 0) {
      const part = el("span", { class: state });
      part.style.flexGrow = host[state];
      strip.append(part);
    }
  }
  show(
    button,
    chevron(),
    el("span", { class: "name" }, host.instance || "(no host name)"),
    strip,
    el("span", { class: "counts" }, counts(host)),
    el("span", { class: "right age" }, ago(host.last_push_age_seconds)),
    el("span", { class: "right series soft" }, plural(host.series, "series", "series")),
    el("span", { class: "right bytes soft" }, bytes(host.bytes)),
  );
  body.hidden = !isOpen;
  if (isOpen) show(body, list === null ? el("p", { class: "soft" }, "Reading…") : workerTable(list));
}

/** What there is; with nothing at all, at least that none lives. */
function counts(host) {
  const there = ["live", "dead", "folded"].filter((state) => host[state] > 0 || state === "live");
  return there.map((state) => stateCount(state, host[state], `${count(host[state])} ${state}`));
}

function workerTable(answer) {
  const present = answer.workers.filter((worker) => worker.state !== "folded");
  const listed = [...present, ...answer.workers.slice(present.length, present.length + FOLDED_PER_HOST)];
  const hidden = answer.total - listed.length;
  const hasLabels = listed.some((worker) => Object.keys(worker.labels).length > 0);
  const row = (worker) =>
    el(
      "tr",
      {},
      el("td", {}, el("span", { class: `state ${worker.state}` }, mark(worker.state), worker.state)),
      el("td", { class: "mono" }, worker.process),
      el("td", { class: "right" }, ago(worker.last_push_age_seconds)),
      el("td", { class: "right" }, count(worker.series)),
      el("td", { class: "right wide" }, bytes(worker.bytes)),
      hasLabels && el("td", { class: "wide" }, Object.entries(worker.labels).map(([name, value]) => `${name}=${value}`).join(", ")),
      el("td", { class: "mono soft wide" }, worker.source),
    );
  return [
    el(
      "table",
      {},
      el("caption", { class: "hidden" }, "Workers of this host"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "State"),
          el("th", { scope: "col" }, "Process"),
          el("th", { scope: "col", class: "right" }, "Last push or fold"),
          el("th", { scope: "col", class: "right" }, "Series"),
          el("th", { scope: "col", class: "right wide" }, "Values"),
          hasLabels && el("th", { scope: "col", class: "wide" }, "Labels"),
          el("th", { scope: "col", class: "wide" }, "Source"),
        ),
      ),
      el("tbody", {}, listed.map(row)),
    ),
    hidden > 0 && el("p", { class: "soft" }, `and ${count(hidden)} more, at `, el("a", { href: link(answer, listed) }, "/api/v1/workers")),
  ];
}

const link = (answer, listed) =>
  `api/v1/workers?namespace=${encodeURIComponent(answer.namespace)}&${workersOfHost(listed[0].instance)}&offset=${listed.length}`;

export const workersOfHost = (instance) => `instance=${encodeURIComponent(instance)}&limit=${WORKERS_PER_HOST}`;

export function families(answer) {
  say(
    byId("families-sum"),
    `${plural(answer.series, "series", "series")} in ${plural(answer.total, "family", "families")}, ${bytes(answer.bytes)} of values`,
  );
  const top = Math.max(1, ...answer.families.map((family) => family.bytes));
  const row = (family) =>
    el(
      "tr",
      {},
      el("td", {}, el("div", { class: "family mono" }, family.name), el("div", { class: "soft" }, family.kind)),
      el("td", { class: "right" }, count(family.series)),
      el(
        "td",
        { class: "cost right" },
        bytes(family.bytes),
        svg(
          "svg",
          { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
          svg("rect", { class: "whole", width: 100, height: 4, rx: 1 }),
          svg("rect", { class: "part", width: Math.max(1, Math.round((family.bytes / top) * 100)), height: 4, rx: 1 }),
        ),
      ),
      el("td", { class: "labels wide" }, family.labels.slice(0, 3).map(label)),
    );
  show(
    byId("families-list"),
    answer.families.length === 0
      ? el("p", { class: "soft" }, "No series yet.")
      : el(
          "table",
          {},
          el("caption", { class: "hidden" }, "The families that take most space, and their labels with the most values"),
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              el("th", { scope: "col" }, "Family"),
              el("th", { scope: "col", class: "right" }, "Series"),
              el("th", { scope: "col", class: "right" }, "Values of all workers"),
              el("th", { scope: "col", class: "wide" }, "Labels with most values"),
            ),
          ),
          el("tbody", {}, answer.families.map(row)),
        ),
  );
}

function label({ name, values_total: total, values }) {
  const shown = values.slice(0, 3).map(({ value }) => (value === "" ? "(empty)" : value));
  const rest = total - shown.length;
  return el("div", {}, el("b", {}, name), ` ${plural(total, "value")}: ${shown.join(", ")}`, rest > 0 && ` and ${count(rest)} more`);
}

export function problems(status) {
  const refusal = (refused) =>
    el(
      "li",
      { class: "problem" },
      el("h3", {}, stateCount("warn", 1, `${plural(refused.count, "push was", "pushes were")} refused`)),
      el("p", {}, `${refused.reason}.`),
      el("p", { class: "soft" }, `Last from process ${refused.last_process || "?"} on ${refused.last_instance || "?"}, ${ago(refused.last_age_seconds)}.`),
    );
  const conflict = (found) =>
    el(
      "li",
      { class: "problem" },
      el("h3", {}, stateCount("warn", 1, el("span", { class: "mono" }, found.family))),
      el("p", {}, `${found.reason}.`),
      el("p", { class: "soft" }, `${plural(found.samples, "sample")} left out of the view.`),
    );
  const entries = [...status.refusals.map(refusal), ...status.conflicts.map(conflict)];
  const hidden = status.conflicts_total - status.conflicts.length;
  show(
    byId("problems"),
    entries.length === 0
      ? el("p", {}, stateCount("live", 1, "None: every push was accepted, and every sample is shown."))
      : el("ul", {}, entries, hidden > 0 && el("li", { class: "problem soft" }, `and ${plural(hidden, "more conflict")}.`)),
  );
}

const STORE_WORDS = {
  ok: ["live", "readable, open and settled"],
  settling: ["warn", "settling"],
  sealed: ["warn", "sealed"],
  unread: ["warn", "not read yet"],
  unreachable: ["dead", "cannot be read"],
};

export function store(status) {
  const { store, settings, traffic } = status;
  const [shape, words] = STORE_WORDS[store.state];
  const shards = Object.entries(store.shards).map(([state, number]) => `${count(number)} ${STORE_WORDS[state][1]}`);
  const facts = [
    ["State", stateCount(shape, 1, words)],
    ["Kind", store.kind === "redis" ? "Redis" : "embedded in this process"],
    store.address && [store.kind === "redis" ? "Address" : "Directory", el("span", { class: "mono" }, store.address)],
    ["Last read", store.read_age_seconds == null ? "never" : ago(store.read_age_seconds)],
    ["Shards", shards.join(", ") || "none read"],
    ["Dead after silence of", settings.ttl_seconds == null ? "any length: only an explicit end counts" : span(settings.ttl_seconds)],
    ["Pushes", `${count(traffic.pushes)} since the start, ${count(traffic.pushes_refused)} refused`],
    status.shows_view && ["Scrapes", `${count(traffic.scrapes)} answered, ${count(traffic.scrapes_failed)} failed`],
  ].filter(Boolean);
  const container = byId("store");
  if (container.children.length === 0) {
    const limits = Object.entries(status.limits).flatMap(([name, limit]) => [el("dt", { class: "mono" }, name), el("dd", {}, count(limit))]);
    container.append(el("dl"), el("details", {}, el("summary", {}, "Limits"), el("dl", {}, limits)));
  }
  show(container.firstElementChild, facts.map(([term, fact]) => [el("dt", {}, term), el("dd", {}, fact)]));
}

/** What to do when nobody has pushed yet. */
export function empty(status) {
  const section = byId("empty");
  if (section.dataset.namespace === status.namespace) return;
  section.dataset.namespace = status.namespace;
  const address = status.store.kind === "redis" ? status.store.address : "redis://127.0.0.1:6379";
  const target = status.takes_pushes ? location.origin : address;
  const settings = [`METRIFOLD_TARGET=${target}`, `METRIFOLD_NAMESPACE=${status.namespace}`];
  const shell = (...words) => words.join(" \\\n  ");
  const others = status.namespaces.filter((name) => name !== status.namespace);
  const way = (title, words, text) => el("div", {}, el("h3", {}, title), el("p", {}, words), code(title, text));
  section.replaceChildren(
    el("div", { class: "head" }, el("h2", { id: "empty-title" }, "No worker has pushed yet")),
    el(
      "p",
      {},
      `Start one of these, and it appears here within seconds. Workers must use the namespace “${status.namespace}”.`,
      others.length > 0 && ` Others in this store: ${others.slice(0, 20).join(", ")}; choose one above.`,
    ),
    el(
      "div",
      { class: "ways" },
      way(
        "gunicorn",
        "Existing prometheus_client code works as it is.",
        shell(...settings, "gunicorn --workers 4 --worker-class", "metrifold.gunicorn.PrometheusWorker", "yourapp:app"),
      ),
      way(
        "Rust",
        "Any prometheus::Registry; the environment says where to.",
        `let _pusher = metrifold_client::Pusher\n  ::builder(registry.clone()).start()?;\n\n${shell(...settings, "cargo run")}`,
      ),
      way(
        "Redis",
        "Without a server on the path: workers push straight to the Redis that a server reads.",
        `${shell("metrifold serve", `--redis-url ${address}`, `--namespace ${status.namespace}`)}\n\n${shell(`METRIFOLD_TARGET=${address}`, settings[1], "your-worker")}`,
      ),
    ),
  );
}

function code(title, text) {
  const copy = el("button", { type: "button", "aria-label": `Copy the commands for ${title}` }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(copy, "Copied");
    } catch {
      // Without https a page may not write the clipboard.
      getSelection().selectAllChildren(copy.previousElementSibling);
      say(copy, "Selected; press Ctrl+C");
    }
  });
  return el("div", { class: "code" }, el("pre", {}, text), copy);
}
