// Small plots of the last quarter of an hour.

import { el, svg } from "./dom.mjs";
import { span } from "./format.mjs";

const WIDTH = 240;
const HEIGHT = 52;
/** A server that has just started shows its past as this many points at least, so that three do not look like a trend. */
const POINTS_MIN = 36;
/** Points per bar, or bars would be thinner than a pixel. */
const POINTS_PER_BAR = 4;

/** A figure: caption, the value now, a plot, its scale. `lines` and `bars` are columns that end now. */
export function figure({ caption, value, unit, lines = [], bars = [], describe, points, interval }) {
  const longest = Math.max(0, ...[...lines, ...bars].map((column) => column.values.length));
  const extent = Math.min(points, Math.max(POINTS_MIN, longest));
  const binned = bars.map((column) => ({ ...column, values: bins(column.values) }));
  const top = Math.max(1e-9, ...[...lines, ...binned].flatMap((column) => column.values));
  return el(
    "figure",
    {},
    el("figcaption", {}, caption),
    el("p", { class: "value num" }, value, unit && el("small", {}, unit)),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": describe },
      svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }),
      lines.map((column) => line(column, top, extent)),
      binned.map((column, place) => barsOf(column, top, extent / POINTS_PER_BAR, place, bars.length)),
    ),
    el("p", { class: "scale", "aria-hidden": "true" }, el("span", {}, `${span(extent * interval)} ago`), el("span", {}, "now")),
  );
}

const round = (number) => Math.round(number * 10) / 10;

function line({ values, kind }, top, extent) {
  if (values.length < 2 || (kind === "second" && values.every((value) => value === 0))) return null;
  const step = WIDTH / (extent - 1);
  const start = WIDTH - step * (values.length - 1);
  const spots = values.map((value, place) => `${round(start + place * step)} ${round(HEIGHT - 1 - (value / top) * (HEIGHT - 4))}`);
  const path = `M${spots.join("L")}`;
  return [
    kind !== "second" && svg("path", { class: "area", d: `${path}L${WIDTH} ${HEIGHT}L${round(start)} ${HEIGHT}Z` }),
    svg("path", { class: `curve ${kind ?? ""}`, d: path }),
  ].filter(Boolean);
}

/** Sums of a few points each, the newest whole. */
function bins(values) {
  const sums = [];
  for (let end = values.length; end > 0; end -= POINTS_PER_BAR) {
    sums.unshift(values.slice(Math.max(0, end - POINTS_PER_BAR), end).reduce((total, value) => total + value, 0));
  }
  return sums;
}

/** Bars of several kinds stand beside each other. */
function barsOf({ values, kind }, top, extent, place, kinds) {
  const step = WIDTH / extent;
  const width = (step * 0.8) / kinds;
  const start = WIDTH - step * values.length;
  return values.map((value, index) => {
    if (value === 0) return null;
    const height = Math.max(2, (value / top) * (HEIGHT - 4));
    const x = start + (index + 0.1) * step + place * width;
    return svg("rect", { class: kind, x: round(x), y: round(HEIGHT - 1 - height), width: round(width), height: round(height) });
  });
}
