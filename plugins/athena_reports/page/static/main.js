// Which view is shown, and when it is loaded anew.

import { ApiError, AIRFLOW, follow, loginAddress } from "./api.js";
import { loadCoverage, showCoverage } from "./coverage.js";
import { clock, h } from "./dom.js";
import { openFill } from "./fill.js";
import { showPeriod, updateHeading } from "./period.js";
import { findReport, known, listReports, loadPeriods } from "./reports.js";

const POLL_MS = 5000;

const main = document.getElementById("main");
const status = document.getElementById("status");

let shown = "";
let pollTimer;

function applyTheme() {
  const chosen = chosenTheme();
  document.documentElement.dataset.theme = chosen === "dark" || chosen === "light" ? chosen : "system";
}

function chosenTheme() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null; // a browser may refuse it to a frame
  }
}

// What is known of the period that is shown, as a text that can be compared with a later one; undefined if nothing is.
function shownCell() {
  const [dagId, periodId] = place();
  return JSON.stringify(findReport(dagId)?.cells.find((cell) => cell.id === periodId));
}

async function refresh() {
  clearTimeout(pollTimer);
  try {
    if (!known.reports.length) await listReports();
    if (shown) await refreshPeriod();
    else await refreshCoverage();
  } catch (error) {
    status.textContent = error.message;
    if (!known.isListed && !shown) showError(error);
  }
  clearTimeout(pollTimer);
  if (known.isListed) pollTimer = setTimeout(poll, POLL_MS);
}

const poll = () => {
  if (document.hidden) pollTimer = setTimeout(poll, POLL_MS);
  else refresh();
};

async function refreshCoverage() {
  if (!main.querySelector(".scroller")) await render();
  await loadCoverage();
  status.dataset.complete = true;
}

async function refreshPeriod() {
  const [dagId] = place();
  const before = shownCell();
  const report = findReport(dagId);
  const hadAll = report?.loadedSince === null;
  const isNew = report && (await loadPeriods([report], null));
  status.textContent = `As of ${clock(known.asOf)}`;
  status.dataset.complete = true;
  if (shown && isNew && (!hadAll || shownCell() !== before)) showNews(before);
}

// The heading names the periods beside the one that is shown. The rest is loaded again only if the period has changed
// since it was known.
function showNews(before) {
  const isSame = before === undefined || shownCell() === before;
  const isUpdated = isSame && updateHeading(main, context(), ...place());
  if (!isUpdated) render();
}

function showError(error) {
  const isLoggedOut = error instanceof ApiError && error.status === 401;
  const title = h("h2", {}, isLoggedOut ? "You are not logged in" : "Could not load this page");
  const login = isLoggedOut && h("p", {}, h("a", { href: loginAddress(), target: "_top", onclick: follow }, "Log in to Airflow"));
  main.replaceChildren(h("section", { class: "problem", role: "alert" }, title, h("p", {}, error.message), login));
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

// The form lists all periods of a report, and keeps those that it was opened with.
async function fill(report, choice) {
  try {
    await loadPeriods([report], null);
    openFill({ ...report }, choice, refresh);
  } catch (error) {
    status.textContent = error.message;
  }
}

// Of the coverage; a period may be shown meanwhile.
const showStatus = (text) => shown || (status.textContent = text);
const context = () => ({ fill, showStatus });

async function render() {
  const [dagId, periodId] = place();
  const rendered = dagId ? location.hash : "";
  shown = rendered;
  try {
    if (dagId) await showPeriod(main, context(), dagId, periodId, () => shown === rendered);
    else if (known.isListed) showCoverage(main, context());
    else main.replaceChildren(h("p", { class: "empty" }, "\u2026"));
  } catch (error) {
    if (shown === rendered) showError(error);
  }
}

function showWays() {
  const isFramed = window.parent !== window;
  const way = isFramed
    ? h("a", { href: location.href, target: "_top", onclick: follow }, "Open full page")
    : h("a", { href: AIRFLOW }, "Airflow");
  if (isFramed) addEventListener("hashchange", () => (way.href = location.href));
  document.getElementById("ways").append(way);
}

function goToPlace() {
  render();
  refresh();
}

applyTheme();
addEventListener("storage", applyTheme);
addEventListener("hashchange", goToPlace);
addEventListener("online", refresh);
showWays();
status.textContent = "Loading\u2026";
goToPlace();
