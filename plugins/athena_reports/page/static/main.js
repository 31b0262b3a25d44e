// Which view is shown, and what all views know.

import { ApiError, AIRFLOW, follow, loginAddress, read, theme } from "./api.js";
import { showCoverage } from "./coverage.js";
import { h } from "./dom.js";
import { openFill } from "./fill.js";
import { showPeriod, updateHeading } from "./period.js";

const POLL_MS = 5000;

const main = document.getElementById("main");
const status = document.getElementById("status");

const known = { reports: [], isLoaded: false, isComplete: false };
let shown = "";
let pollTimer;

function applyTheme() {
  const chosen = theme();
  document.documentElement.dataset.theme = chosen === "dark" || chosen === "light" ? chosen : "system";
}

// Each cell comes as an array of values; the response names its fields once for all of them.
function withNamedCells(report, fields) {
  const cells = report.cells.map((values) => {
    const cell = Object.fromEntries(fields.map((name, place) => [name, values[place]]));
    cell.day = Date.parse(cell.date) / 86_400_000;
    return cell;
  });
  return { ...report, cells };
}

async function load({ isRecent }) {
  const response = await read(isRecent ? "coverage?recent=true" : "coverage");
  known.reports = response.reports.map((report) => withNamedCells(report, response.fields));
  known.isLoaded = true;
  known.isComplete = !isRecent;
  status.textContent = known.isComplete ? `As of ${new Date().toLocaleTimeString("en-GB")}` : "Loading\u2026";
  status.dataset.complete = known.isComplete;
}

// What is known of the period that is shown, as a text that can be compared with a later one; undefined if nothing is.
function shownCell() {
  const [dagId, periodId] = place();
  const report = known.reports.find((report) => report.dag_id === dagId);
  return JSON.stringify(report?.cells.find((cell) => cell.id === periodId));
}

async function refresh() {
  clearTimeout(pollTimer);
  const before = shownCell();
  try {
    await load({ isRecent: false });
    if (!shown) render();
    else if (shownCell() !== before) showNews(before);
  } catch (error) {
    status.textContent = error.message;
  }
  schedulePoll();
}

// A period that was opened before the coverage was known is shown already. Then only its heading is drawn anew,
// so that nothing is loaded twice.
function showNews(before) {
  const isFirstNews = before === undefined;
  const isUpdated = isFirstNews && updateHeading(main, context(), ...place());
  if (!isUpdated) render();
}

function schedulePoll() {
  const isBusy = known.reports.some((report) => report.cells.some((cell) => cell.states[0] === "running"));
  if (isBusy) pollTimer = setTimeout(() => (document.hidden ? schedulePoll() : refresh()), POLL_MS);
}

function showError(error) {
  const login = error instanceof ApiError && error.status === 401;
  main.replaceChildren(
    h(
      "section",
      { class: "problem", role: "alert" },
      h("h2", {}, login ? "You are not logged in" : "This cannot be shown"),
      h("p", {}, error.message),
      login && h("p", {}, h("a", { href: loginAddress(), target: "_top", onclick: follow }, "Log in to Airflow")),
    ),
  );
}

// The DAG and the period that the address names. If it does not name both, all reports are shown.
function place() {
  const [dagId, periodId] = location.hash.slice(1).split("/").map(decoded);
  return dagId && periodId ? [dagId, periodId] : [];
}

// A person may have written the address, with a percent sign that stands for itself.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const context = () => ({ ...known, refresh, fill: (report, choice) => openFill(report, choice, refresh) });

async function render() {
  const [dagId, periodId] = place();
  const rendered = dagId ? location.hash : "";
  shown = rendered;
  try {
    if (dagId) await showPeriod(main, context(), dagId, periodId, () => shown === rendered);
    else if (known.isLoaded) showCoverage(main, context());
    else main.replaceChildren(h("p", { class: "empty" }, "\u2026"));
  } catch (error) {
    if (shown === rendered) showError(error);
  }
}

function showWays() {
  const isFramed = window.parent !== window;
  const way = isFramed
    ? h("a", { href: location.href, target: "_top", onclick: follow }, "Open in full page")
    : h("a", { href: AIRFLOW }, "Airflow");
  if (isFramed) addEventListener("hashchange", () => (way.href = location.href));
  document.getElementById("ways").append(way);
}

applyTheme();
addEventListener("storage", applyTheme);
addEventListener("hashchange", render);
addEventListener("online", refresh);
showWays();
const [directDagId] = place();
try {
  if (directDagId) {
    // A link to a period. What the coverage knows is only in its heading, so the period does not wait for it.
    status.textContent = "Loading\u2026";
    await Promise.all([refresh(), render()]);
  } else {
    // What a window shows is asked for first: the latest periods of the first reports.
    await load({ isRecent: true });
    await render();
    requestAnimationFrame(() => setTimeout(() => performance.mark("shown")));
    await refresh();
  }
} catch (error) {
  showError(error);
}
