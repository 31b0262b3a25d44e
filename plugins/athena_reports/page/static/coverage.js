// Reports as rows, periods as cells on one axis of time.

import { bytes, count, dollars, h, plural, scan, time } from "./dom.js";

export const STATES = {
  running: "A run is under way",
  failed: "The last run failed",
  missing: "Nothing is published",
  broken: "What was published is gone or damaged in S3: clear the run",
  stale: "What it reads of the period before, or of another report, has changed since",
  outdated: "Made by other SQL, params or transform than today's",
  partial: "Made while partitions of its input were missing",
  warned: "Checks warned",
  empty: "Published without rows",
  provisional: "Late events may still land",
  published: "Published, and none of the other states",
};
// A page that was opened before an upgrade may be told of a state that it does not know.
export const meaningOf = (state) => STATES[state] ?? state;
export const OPEN = ["missing", "broken", "failed", "stale"];
export const FILLABLE = [...OPEN, "outdated", "partial", "empty", "provisional"];

const RANGES = { 183: "6 months", 366: "1 year", 731: "2 years", 1827: "5 years", 40_000: "All" };
const CELL_PX = 15; // the narrowest cell that shows its shape
const NAME_PX = 300;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const view = { days: 183, filter: "", onlyOpen: false, focus: "", context: null, axis: { begin: 0, end: 0, px: 1 } };
const tip = document.getElementById("tip");
const place = h("div", { class: "scroller", tabindex: "-1" });
const costs = h("div", {});

export function showCoverage(main, context) {
  document.title = "Reports";
  if (!context.reports.length) {
    main.replaceChildren(h("section", { class: "problem" }, h("h2", {}, "No reports"), h("p", {},
      "There is no DAG with the tag athena-report that you may read.")));
    return;
  }
  view.context = context;
  if (!main.contains(place)) {
    place.replaceChildren();
    main.replaceChildren(toolbar(), place, legend(), costs);
  }
  draw();
}

// What is looked at stays where it is: the newest period at first, then what the viewer has scrolled to.
function draw() {
  const [right, top] = [place.childElementCount ? place.scrollWidth - place.scrollLeft : 0, place.scrollTop];
  const focus = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  hideTip();
  place.replaceChildren(grid(view.context));
  if (view.context.isComplete) fillCosts(view.context.reports);
  place.scrollLeft = place.scrollWidth - right;
  place.scrollTop = top;
  refocus(focus);
}

// Puts the focus back on what stands again for what had it before it was drawn anew.
export const refocus = (key) => keyed(place, key)?.focus({ preventScroll: true });

const keyed = (within, key) => [...within.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);

function toolbar() {
  const change = (name, read) => (event) => {
    view[name] = read(event.target);
    draw();
  };
  return h(
    "form",
    { class: "toolbar", onsubmit: (event) => event.preventDefault() },
    h("label", {}, "Find ", h("input", { type: "search", value: view.filter, placeholder: "a report", oninput: change("filter", (input) => input.value) })),
    h(
      "label",
      {},
      "Show ",
      h(
        "select",
        { name: "days", onchange: change("days", (select) => Number(select.value)) },
        Object.entries(RANGES).map(([days, name]) => h("option", { value: days, selected: Number(days) === view.days }, name)),
      ),
    ),
    h("label", {}, "Go to ", h("input", { type: "date", onchange: (event) => goTo(event.target.value, event.target.form.elements.days) })),
    h("label", {}, h("input", { type: "checkbox", checked: view.onlyOpen, onchange: change("onlyOpen", (box) => box.checked) }), " Only what needs a look"),
  );
}

// Brings a date into the middle, in a wider range if it lies before what is shown.
function goTo(date, select) {
  const day = Date.parse(date) / 86_400_000;
  if (Number.isNaN(day)) return;
  if (day < view.axis.begin) {
    const days = Object.keys(RANGES).map(Number);
    view.days = days.find((range) => view.axis.end - range <= day) ?? days.at(-1);
    select.value = view.days;
    draw();
  }
  place.scrollLeft = (day - view.axis.begin) * view.axis.px - (place.clientWidth - NAME_PX) / 2;
}

const needsLook = (report) => report.problems.length > 0 || OPEN.some((state) => countOf(report, state));
const countOf = (report, state) => report.cells.filter((cell) => cell.states.includes(state)).length;

function chosen(reports) {
  const wanted = view.filter.trim().toLowerCase();
  return reports.filter((report) => report.dag_id.toLowerCase().includes(wanted) && (!view.onlyOpen || needsLook(report)));
}

function grid(context) {
  const reports = chosen(context.reports);
  const cells = reports.flatMap((report) => report.cells);
  if (!reports.length) return h("p", { class: "empty" }, "No report fits.");
  const today = Date.now() / 86_400_000;
  const end = cells.reduce((latest, cell) => Math.max(latest, cell.day + cell.days), today);
  const begin = Math.max(end - view.days, cells.reduce((earliest, cell) => Math.min(earliest, cell.day), end - 28));
  const shown = cells.filter((cell) => endsAfter(cell, begin));
  const shortest = shown.reduce((least, cell) => Math.min(least, cell.days), 31);
  const room = Math.max(place.clientWidth - NAME_PX - 16, 200);
  const axis = { begin, end, px: Math.max(room / (end - begin), CELL_PX / shortest) };
  view.axis = axis;
  const width = `${Math.round((end - begin) * axis.px)}px`;
  const table = h(
    "div",
    { role: "grid", class: "grid", "aria-label": "Coverage of the reports", "aria-readonly": "true" },
    h("div", { class: "row axis", "aria-hidden": "true" }, h("div", { class: "name" }), ticks(axis, width)),
    reports.map((report) => row(report, context, axis, width)),
  );
  const first = keyed(table, view.focus) ?? [...table.querySelectorAll(".cell")].at(-1);
  if (first) first.tabIndex = 0;
  listen(table, context);
  return table;
}

const endsAfter = (cell, day) => cell.day + cell.days > day;

function ticks(axis, width) {
  const track = h("div", { class: "track" });
  track.style.width = width;
  // Each month has room for its name, or at least each third one: a cell of a month has 15 px.
  const step = axis.px * 30 > 42 ? 1 : 3;
  const date = new Date(Math.floor(axis.begin) * 86_400_000);
  date.setUTCDate(1);
  for (; date.getTime() / 86_400_000 < axis.end; date.setUTCMonth(date.getUTCMonth() + 1)) {
    const day = date.getTime() / 86_400_000;
    if (date.getUTCMonth() % step || day < axis.begin) continue;
    const name = date.getUTCMonth() ? MONTHS[date.getUTCMonth()] : String(date.getUTCFullYear());
    const tick = h("span", { class: date.getUTCMonth() ? "tick" : "tick year" }, name);
    tick.style.left = `${(day - axis.begin) * axis.px}px`;
    track.append(tick);
  }
  return track;
}

function row(report, context, axis, width) {
  const track = h("div", { class: "track", role: "presentation" });
  track.style.width = width;
  const cells = report.cells.filter((cell) => endsAfter(cell, axis.begin));
  track.append(...cells.map((cell) => box(report, cell, axis)));
  const latest = report.cells.at(-1);
  if (!cells.length && latest) track.append(h("a", { class: "latest", href: address(report, latest) }, `Before that: ${latest.id}`));
  return h("div", { role: "row", class: "row" }, heading(report, context), track);
}

function heading(report, context) {
  const open = OPEN.filter((state) => countOf(report, state));
  const suffix = context.isComplete ? "" : " lately";
  const counts = open.map((state) => h("span", { class: "count", "data-state": state }, `${count(countOf(report, state))} ${state}${suffix}`));
  return h(
    "div",
    { role: "rowheader", class: "name" },
    h(
      "div",
      { class: "title" },
      h("strong", {}, report.report),
      h("span", { class: "cadence", title: report.description }, report.cadence),
      report.is_paused && h("span", { class: "paused" }, "paused"),
      report.may_run &&
        open.length > 0 &&
        h("button", { type: "button", class: "small", "data-key": `${report.dag_id}#fill`, "aria-label": `Fill the holes of ${report.dag_id}`, onclick: () => context.fill(report, {}) }, "Fill\u2026"),
    ),
    report.problems.length > 0
      ? h("div", { class: "row-problem", "data-key": `${report.dag_id}#problem`, title: report.problems.join("\n"), tabindex: "0" }, report.problems[0])
      : h("div", { class: report.note ? "counts note" : "counts" }, report.note || (open.length ? counts : report.description)),
  );
}

function box(report, cell, axis) {
  const [state, ...also] = cell.states;
  const second = also.find((other) => other !== "published" && other !== "missing");
  const element = h("div", {
    role: "gridcell",
    tabindex: "-1",
    class: "cell",
    "data-state": state,
    "data-also": second,
    "data-key": `${report.dag_id}/${cell.id}`,
    "aria-label": `${report.dag_id}, ${report.noun} ${cell.id}: ${cell.states.join(", ")}`,
  });
  const left = Math.max(cell.day, axis.begin);
  element.style.left = `${(left - axis.begin) * axis.px}px`;
  element.style.width = `${(cell.day + cell.days - left) * axis.px - 2}px`;
  return element;
}

function listen(table, context) {
  const find = (element) => {
    const [dagId, periodId] = element.dataset.key.split("/");
    const report = context.reports.find((report) => report.dag_id === dagId);
    return { report, cell: report.cells.find((cell) => cell.id === periodId) };
  };
  const elementOf = (event) => event.target.closest(".cell");
  table.addEventListener("click", (event) => {
    const element = elementOf(event);
    if (element) open(find(element), context);
  });
  table.addEventListener("pointerover", (event) => {
    const element = elementOf(event);
    if (element) showTip(element, find(element));
    else hideTip();
  });
  table.addEventListener("pointerleave", hideTip);
  table.addEventListener("focusin", (event) => {
    const element = elementOf(event);
    if (!element) return;
    table.querySelector(".cell[tabindex='0']")?.setAttribute("tabindex", "-1");
    element.tabIndex = 0;
    view.focus = element.dataset.key;
    showTip(element, find(element));
  });
  table.addEventListener("focusout", hideTip);
  table.addEventListener("keydown", (event) => {
    const element = elementOf(event);
    if (!element) return;
    if (event.key === "Escape") return hideTip();
    if (event.key === "Enter" || event.key === " ") open(find(element), context);
    else if (!move(element, event.key)) return undefined;
    return event.preventDefault();
  });
}

function move(element, key) {
  const inRow = (row) => [...row.querySelectorAll(".cell")];
  const row = element.closest(".row");
  const elements = inRow(row);
  const place = elements.indexOf(element);
  const beside = { ArrowLeft: elements[place - 1], ArrowRight: elements[place + 1], Home: elements[0], End: elements.at(-1) };
  const step = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[key];
  let target = beside[key];
  for (let other = step && row[step]; other && !target; other = other[step]) {
    target = nearest(inRow(other), element);
  }
  target?.focus();
  target?.scrollIntoView({ block: "nearest", inline: "nearest" });
  return key in beside || Boolean(step);
}

// Of the elements the one that begins nearest to where another one begins.
function nearest(elements, other) {
  const distance = (element) => Math.abs(parseFloat(element.style.left) - parseFloat(other.style.left));
  let best = elements[0];
  for (const element of elements) {
    if (distance(element) < distance(best)) best = element;
  }
  return best;
}

const address = (report, cell) => `#${encodeURIComponent(report.dag_id)}/${encodeURIComponent(cell.id)}`;

function open({ report, cell }, context) {
  hideTip();
  location.hash = address(report, cell);
}

function showTip(element, { report, cell }) {
  const lines = cell.version ? publishedLines(cell) : [];
  if (cell.waits) lines.unshift(cell.waits);
  tip.replaceChildren(
    h("strong", {}, `${report.report}, ${report.noun} ${cell.id}`),
    h("ul", {}, cell.states.map((state) => h("li", {}, h("i", { class: "mark", "data-state": state }), meaningOf(state)))),
    ...lines.map((line) => h("div", {}, line)),
  );
  tip.hidden = false;
  element.setAttribute("aria-describedby", "tip");
  const at = element.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const below = at.bottom + 6 + size.height < innerHeight;
  tip.style.left = `${Math.max(4, Math.min(at.left, innerWidth - size.width - 8))}px`;
  tip.style.top = `${below ? at.bottom + 6 : Math.max(4, at.top - size.height - 6)}px`;
}

function publishedLines(cell) {
  const earlier = cell.earlier > 0 ? `, ${plural(cell.earlier, "earlier one")}` : "";
  const lines = [
    `${plural(cell.rows, "row")}, ${bytes(cell.bytes)}`,
    `published ${time(cell.published_at)}`,
    `version ${cell.version}${earlier}`,
    scan(cell.scanned_bytes, cell.price_usd),
  ];
  if (cell.broken) lines.push(cell.broken);
  if (cell.checks_warned > 0) lines.push(`${plural(cell.checks_warned, "check")} warned`);
  return lines;
}

function hideTip() {
  tip.hidden = true;
}

function fillCosts(reports) {
  const paid = reports.filter((report) => report.costs.queries);
  paid.sort((left, right) => {
    const byPrice = right.costs.price_usd - left.costs.price_usd;
    return byPrice || right.costs.scanned_bytes - left.costs.scanned_bytes;
  });
  const line = (report) => {
    const cost = report.costs;
    const values = [count(cost.queries), bytes(cost.scanned_bytes), dollars(cost.price_usd), growth(cost)];
    return h("tr", {}, h("th", { scope: "row" }, report.dag_id), values.map((value) => h("td", { class: "number" }, value)));
  };
  const head = ["report", "queries", "scanned", "cost", "growth per query"].map((name) => h("th", { scope: "col" }, name));
  const note = "Of published queries, earlier versions included; of failed and cancelled ones nothing is known. On a capacity reservation a query has no price.";
  const open = costs.querySelector("details")?.open;
  costs.replaceChildren(
    h("details", { class: "card", open }, h("summary", {}, "Costs of the last 12 months"), h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, paid.map(line))), h("p", {}, note)),
  );
}

function growth(cost) {
  if (cost.growth === null) return "";
  const sign = cost.growth < 0 ? "" : "+"; // a minus is in the number
  return `${sign}${Math.round(cost.growth * 100)}%`;
}

function legend() {
  return h(
    "section",
    { class: "legend", "aria-label": "Legend" },
    Object.entries(STATES).map(([state, meaning]) => h("span", {}, h("i", { class: "mark", "data-state": state }), h("b", {}, state), ` ${meaning[0].toLowerCase()}${meaning.slice(1)}`)),
    h("span", {}, "A dot in a corner: another state holds too. The details name it."),
  );
}
