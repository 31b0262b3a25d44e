// A bar chart and a line chart.
//
// An entry has a name of one or more parts, one for each column of its key. Its values come as texts, so that
// none is rounded where it is written; a value that is not there comes as null.

import { count, decimal, h, svg } from "./dom.js";
import { dayOf } from "./reports.js";

const SERIES = 5;
const TICK_PX = 90;
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 2"];

const shortened = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}\u2026` : text);
// Of a small number two digits are shown at least: 0.04 is not 0.
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1, maximumSignificantDigits: 2, roundingPriority: "morePrecision" });
const whole = (name) => name.join(", ");
// Beyond it the ends of an axis, or its length, could be infinite.
const LARGEST = 1e300;
// Where a value is drawn; null if it is drawn nowhere, such as NULL, infinity and the very largest numbers.
const numberOf = (text) => (text !== null && Math.abs(Number(text)) <= LARGEST ? Number(text) : null);

// All parts of a name, the longest ones shortened until they fit.
function fitted(name, length) {
  const lengths = name.map((part) => part.length);
  const room = length - 2 * (name.length - 1); // between two parts there are a comma and a space
  for (let over = lengths.reduce((sum, characters) => sum + characters, 0) - room; over > 0; over -= 1) {
    const longest = Math.max(...lengths);
    if (longest > 2) lengths[lengths.indexOf(longest)] -= 1;
  }
  return name.map((part, place) => shortened(part, lengths[place])).join(", ");
}

function written(text, isDecimal) {
  if (text === null) return "\u2013";
  return isDecimal ? decimal(text) : count(text);
}

// What stands beside a bar. Large numbers are rounded there, and are whole in the tooltip.
function beside(text, isDecimal) {
  const number = numberOf(text);
  if (number === null) return text;
  const isSmall = Math.abs(number) < 1000;
  return isDecimal && isSmall ? decimal(text) : compact.format(number);
}

function niceStep(span) {
  const rough = span / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((each) => each * power).find((step) => step >= rough);
}

export function barChart(bars, measure, isDecimal) {
  const hasParts = bars.some((bar) => bar.name.length > 1);
  const [height, left, width, characters] = hasParts ? [24, 260, 630, 36] : [24, 150, 520, 20];
  const values = bars.map((bar) => numberOf(bar.value) ?? 0);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const scale = (width - left - 70) / (high - low || 1);
  const zero = left - low * scale;
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${bars.length * height + 4}`, role: "img", "aria-label": `Bar chart of ${measure} of the first ${bars.length} rows` },
    bars.map((bar, place) => {
      const length = Math.abs(values[place]) * scale;
      const x = values[place] < 0 ? zero - length : zero;
      return svg(
        "g",
        { transform: `translate(0 ${place * height + 2})` },
        svg("title", {}, `${whole(bar.name)}: ${written(bar.value, isDecimal)}`),
        svg("text", { x: left - 8, y: 15, class: "label" }, fitted(bar.name, characters)),
        svg("rect", { x, y: 2, width: Math.max(length, 1), height: height - 6, rx: 3, class: "bar" }),
        svg("text", { x: x + length + 6, y: 15, class: "value" }, bar.value === null ? "NULL" : beside(bar.value, isDecimal)),
      );
    }),
  );
}

export function lineChart(periods, series, measure, isDecimal) {
  const hasParts = series.some((curve) => curve.name.length > 1);
  const [right, characters] = hasParts ? [290, 40] : [170, 22];
  const [width, height, left, top, bottom] = [900, 260, 56, 12, 26];
  const numbers = series.map((curve) => curve.values.map(numberOf));
  const known = numbers.flat().filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
  const step = niceStep(high - low);
  const [from, to] = [Math.floor(low / step) * step, Math.ceil(high / step) * step || step];
  const days = periods.map(dayOf);
  const x = (place) => left + ((days[place] - days[0]) * (width - left - right)) / Math.max(days.at(-1) - days[0], 1);
  const y = (value) => top + ((to - value) * (height - top - bottom)) / (to - from);
  const grid = [];
  for (let value = from; value <= to + step / 2; value += step) grid.push(value);
  const ticks = [];
  for (let place = periods.length - 1; place >= 0; place -= 1) {
    if (!ticks.length || x(ticks[0]) - x(place) >= TICK_PX) ticks.unshift(place);
  }
  const ends = spread(numbers.map((values) => y(values.at(-1) ?? from)), 16, height - bottom);
  return h(
    "figure",
    {},
    svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Line chart of ${measure} over ${periods.length} periods` },
      grid.map((value) => svg("g", { class: "gridline" }, svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value) }), svg("text", { x: left - 8, y: y(value) + 4, class: "label" }, compact.format(value)))),
      ticks.map((place) => svg("text", { x: x(place), y: height - 8, class: "tick" }, periods[place])),
      numbers.map((values, number) => svg("g", { class: "series", "data-series": number % SERIES }, line(values, x, y, DASHES[number % SERIES]), values.map((value, place) => Number.isFinite(value) && svg("circle", { cx: x(place), cy: y(value), r: 3.5 }, svg("title", {}, `${whole(series[number].name)}, ${periods[place]}: ${written(series[number].values[place], isDecimal)}`))), svg("text", { x: width - right + 12, y: ends[number] + 4, class: "name" }, fitted(series[number].name, characters)))),
    ),
    h("details", {}, h("summary", {}, "Show as a table"), h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, measure), periods.map((period) => h("th", { scope: "col", class: "number" }, period)))), h("tbody", {}, series.map((curve) => h("tr", {}, h("th", { scope: "row" }, whole(curve.name)), curve.values.map((text) => h("td", { class: "number" }, written(text, isDecimal))))))))),
  );
}

function line(values, x, y, dash) {
  let path = "";
  values.forEach((value, place) => {
    if (Number.isFinite(value)) path += `${Number.isFinite(values[place - 1]) ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return svg("path", { d: path, "stroke-dasharray": dash });
}

// Names at the ends of the lines, moved apart where they would cover one another. Each is moved down until it is clear of
// the one above; then, from the lowest on, up until all are above the limit.
function spread(places, gap, limit) {
  const order = places.map((_, number) => number).sort((a, b) => places[a] - places[b]);
  const moved = [...places];
  order.forEach((number, rank) => {
    if (rank) moved[number] = Math.max(moved[number], moved[order[rank - 1]] + gap);
  });
  let room = limit;
  for (const number of order.toReversed()) {
    moved[number] = Math.min(moved[number], room);
    room = moved[number] - gap;
  }
  return moved;
}
