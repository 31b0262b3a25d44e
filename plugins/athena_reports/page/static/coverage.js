// Reports as rows, periods as cells on one axis of time.

import { bytes, clock, count, h, plural, scan, time } from "./dom.js";
import { dayOf, findReport, known, loadPeriods } from "./reports.js";

export const STATES = {
  running: "A run is queued or running",
  failed: "The last run failed",
  missing: "Nothing is published",
  broken: "Its objects in S3 are missing or damaged: clear the run",
  stale: "The previous period, or another report that it reads, has changed since publication",
  outdated: "Published with different SQL, params or transforms",
  partial: "Published while input partitions were missing",
  warned: "A check raised a warning",
  empty: "Published without rows",
  provisional: "Late events may still arrive",
  published: "Published",
};
export const OPEN = ["missing", "broken", "failed", "stale"];
export const FILLABLE = [...OPEN, "outdated", "partial", "empty", "provisional"];

const ALL = 40_000;
const RANGES = { 183: "6 months", 366: "1 year", 731: "2 years", 1827: "5 years", [ALL]: "All" };
const SHORTEST = { daily: 1, weekly: 7, monthly: 28, quarterly: 90, yearly: 365 }; // days
const CELL_PX = 15; // the narrowest cell that shows its shape
const NAME_PX = 300;
const REPORTS_AT_ONCE = 20;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const view = { days: 183, filter: "", onlyOpen: false, focus: "", context: null, axis: { begin: 0, end: 0, px: 1 } };
const tip = document.getElementById("tip");
const place = h("div", { class: "scroller", tabindex: "-1", onscroll: () => requestAnimationFrame(loadOrTell) });
const outdated = new Set(); // reports that a refresh is about to ask for again
let loading = null;

export function showCoverage(main, context) {
  document.title = "Reports";
  view.context = context;
  if (!known.reports.length) {
    main.replaceChildren(h("section", { class: "problem" }, h("h2", {}, "No reports"), h("p", {},
      "No DAG with the tag athena-report is visible to you.")));
    return;
  }
  if (!main.contains(place)) {
    place.replaceChildren();
    main.replaceChildren(toolbar(), place, legend());
  }
  draw();
}

// Loads what has changed of the reports that are looked at.
export async function loadCoverage() {
  known.reports.forEach((report) => outdated.add(report));
  await load().finally(() => outdated.clear());
  showStatus();
}

// An error stays until something is loaded.
const loadOrTell = () => load().catch((error) => view.context.showStatus(error.message));

// Loads the reports that are looked at and unknown or outdated, some at a time, until there is none.
function load() {
  loading ??= loadAll().finally(() => (loading = null));
  return loading;
}

async function loadAll() {
  const next = () => lookedAt().filter((report) => !isLoaded(report) || outdated.has(report)).slice(0, REPORTS_AT_ONCE);
  for (let reports = next(); reports.length; reports = next()) {
    const isNew = await loadPeriods(reports, since());
    reports.forEach((report) => outdated.delete(report));
    if (!place.isConnected) return;
    if (isNew) draw();
    performance.mark("shown");
    showStatus();
  }
}

function showStatus() {
  const matching = known.reports.filter(matches);
  const loaded = matching.filter(isLoaded).length;
  const rest = loaded < matching.length ? `; ${loaded} of ${matching.length} reports loaded, scroll to load the rest` : "";
  view.context.showStatus(`As of ${clock(known.asOf)}${rest}`);
}

// Whether a report needs attention is known only when it is loaded.
const lookedAt = () => (view.onlyOpen ? known.reports.filter(matches) : reportsInView());
const isLoaded = (report) => report.loadedSince === since();
const since = () => (view.days === ALL ? null : new Date(Math.floor(view.axis.begin) * 86_400_000).toISOString().slice(0, 10));

function reportsInView() {
  const box = place.getBoundingClientRect();
  const isInView = (row) => {
    const { top, bottom } = row.getBoundingClientRect();
    return bottom > box.top && top < box.bottom;
  };
  return [...place.querySelectorAll("[data-dag]")].filter(isInView).map((row) => findReport(row.dataset.dag));
}

// What is looked at stays where it is: the newest period at first, then what the viewer has scrolled to.
function draw() {
  const [right, top] = [place.childElementCount ? place.scrollWidth - place.scrollLeft : 0, place.scrollTop];
  const focus = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  hideTip();
  place.replaceChildren(grid(view.context));
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
    redraw();
  };
  const ranges = Object.entries(RANGES).map(([days, name]) => h("option", { value: days, selected: Number(days) === view.days }, name));
  return h(
    "form",
    { class: "toolbar", onsubmit: (event) => event.preventDefault() },
    h("label", {}, "Find ", h("input", { type: "search", value: view.filter, placeholder: "a report", oninput: change("filter", (input) => input.value) })),
    h("label", {}, "Show ", h("select", { name: "days", onchange: change("days", (select) => Number(select.value)) }, ranges)),
    h("label", {}, "Go to ", h("input", { name: "goto", size: 10, placeholder: "2026-11-15", oninput: (event) => event.target.setCustomValidity(""), onchange: (event) => goTo(event.target) })),
    h("label", {}, h("input", { type: "checkbox", checked: view.onlyOpen, onchange: change("onlyOpen", (box) => box.checked) }), " Only periods that need attention"),
  );
}

function redraw() {
  draw();
  loadOrTell();
}

// Brings a date or a period into the middle, in a wider range if it lies before what is shown.
function goTo(input) {
  const day = dayOf(input.value);
  if (Number.isNaN(day)) {
    input.setCustomValidity("Enter a date or a period, such as 2026-11-15, 2026-11, 2026-Q4 or 2026.");
    input.reportValidity();
    return;
  }
  if (day < view.axis.begin) {
    const days = Object.keys(RANGES).map(Number);
    view.days = days.find((range) => view.axis.end - range <= day) ?? ALL;
    input.form.elements.days.value = view.days;
    redraw();
  }
  place.scrollLeft = (day - view.axis.begin) * view.axis.px - (place.clientWidth - NAME_PX) / 2;
}

// A period counts as its first state alone.
const countOf = (report, state) => report.cells.filter((cell) => cell.states[0] === state && endsAfter(cell, view.axis.begin)).length;
const needsAttention = (report) => report.problems.length > 0 || OPEN.some((state) => countOf(report, state));
const matches = (report) => report.dag_id.toLowerCase().includes(view.filter.trim().toLowerCase());
const isShown = (report) => matches(report) && (!view.onlyOpen || needsAttention(report));

// The axis ends today, or with the last period if all reports have ended.
function axisOf(reports) {
  const today = Date.now() / 86_400_000;
  const ends = reports.map((report) => Math.max(report.until ? Math.min(dayOf(report.until) + 1, today) : today, ...report.cells.slice(-1).map((cell) => cell.day + cell.days)));
  const firsts = reports.map((report) => Math.min(dayOf(report.since), ...(view.days === ALL ? report.cells.slice(0, 1).map((cell) => cell.day) : [])));
  const end = Math.max(...ends);
  const begin = Math.max(end - view.days, Math.min(end - 28, ...firsts));
  const shortest = Math.min(...reports.map((report) => SHORTEST[report.cadence]));
  const room = Math.max(place.clientWidth - NAME_PX - 16, 200);
  return { begin, end, px: Math.max(room / (end - begin), CELL_PX / shortest) };
}

function grid(context) {
  const matching = known.reports.filter(matches);
  if (matching.length) view.axis = axisOf(matching);
  const { axis } = view;
  const reports = matching.filter(isShown);
  if (!reports.length) return h("p", { class: "empty" }, "No matching reports");
  const width = `${Math.round((axis.end - axis.begin) * axis.px)}px`;
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
  if (report.until && dayOf(report.until) < axis.begin) track.append(h("span", { class: "latest" }, `Ended on ${report.until}`));
  else if (report.loadedSince === undefined) track.append(h("span", { class: "latest" }, "\u2026"));
  return h("div", { role: "row", class: "row", "data-dag": report.dag_id }, heading(report, context), track);
}

function heading(report, context) {
  const open = OPEN.filter((state) => countOf(report, state));
  const counts = open.map((state) => h("span", { class: "count", "data-state": state }, `${count(countOf(report, state))} ${state}`));
  const cadence = h("span", { class: "cadence", title: report.description }, report.cadence);
  const paused = report.is_paused && h("span", { class: "paused" }, "paused");
  const canFill = report.may_run && open.length > 0;
  const fill = canFill && h("button", { type: "button", class: "small", "data-key": `${report.dag_id}#fill`, "aria-label": `Fill the gaps in ${report.dag_id}`, onclick: () => context.fill(report, {}) }, "Fill\u2026");
  const details = report.problems.length
    ? h("div", { class: "row-problem", "data-key": `${report.dag_id}#problem`, title: report.problems.join("\n"), tabindex: "0" }, report.problems[0])
    : h("div", { class: report.note ? "counts note" : "counts" }, report.note || (open.length ? counts : report.description));
  return h("div", { role: "rowheader", class: "name" }, h("div", { class: "title" }, h("strong", {}, report.report), cadence, paused, fill), details);
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
    const report = findReport(dagId);
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
    h("ul", {}, cell.states.map((state) => h("li", {}, h("i", { class: "mark", "data-state": state }), STATES[state]))),
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
  const earlier = cell.earlier > 0 ? `, ${plural(cell.earlier, "earlier version")}` : "";
  const lines = [
    `${plural(cell.rows, "row")}, ${bytes(cell.bytes)}`,
    `published ${time(cell.published_at)}`,
    `version ${cell.version}${earlier}`,
    scan(cell.scanned_bytes, cell.price_usd),
  ];
  if (cell.broken) lines.push(cell.broken);
  return lines;
}

function hideTip() {
  tip.hidden = true;
}

function legend() {
  const states = Object.entries(STATES).map(([state, meaning]) => h("span", { title: meaning }, h("i", { class: "mark", "data-state": state }), state));
  const dot = h("span", { title: "The details of a period list all its states" }, "Dot: more than one state");
  return h("section", { class: "legend", "aria-label": "Legend" }, states, dot);
}
