// What is known of the reports: a heading of each, and the periods of those that were looked at.

import { read } from "./api.js";

// `asOf` is when the server answered last.
export const known = { reports: [], isListed: false, asOf: null };
export const findReport = (dagId) => known.reports.find((report) => report.dag_id === dagId);

// `loadedSince` is the date from which on the periods of a report are known; null for all of them, undefined for none.
export async function listReports() {
  known.reports = (await read("reports")).map((heading) => ({ cells: [], problems: [], loadedSince: undefined, ...findReport(heading.dag_id), ...heading }));
  known.isListed = true;
  known.asOf = new Date();
}

// Loads the periods of reports from a date on, or all if it is null. Returns whether there is something new.
export async function loadPeriods(reports, since) {
  const params = new URLSearchParams(since ? { since } : {});
  for (const report of reports) {
    params.append("dag_id", report.dag_id);
    if (report.loadedSince === since) params.append("known", report.digest);
  }
  const { rows, fields } = await read(`coverage?${params}`);
  for (const report of reports) report.loadedSince = since;
  for (const [digest, text] of Object.entries(rows)) {
    const row = JSON.parse(text);
    Object.assign(findReport(row.dag_id), row, { digest, cells: row.cells.map((values) => withNames(values, fields)) });
  }
  known.asOf = new Date();
  return Object.keys(rows).length > 0;
}

// Each cell comes as an array of values; the response names its fields once for all of them.
function withNames(values, fields) {
  const cell = Object.fromEntries(fields.map((name, place) => [name, values[place]]));
  return { ...cell, day: dayOf(cell.id) };
}

// The day of a date or a period id, such as 2026-11-15, 2026-11, 2026-Q4 or 2026; NaN for another text.
export function dayOf(text) {
  const date = text.trim().replace(/-Q([1-4])$/i, (_, quarter) => `-${String(quarter * 3 - 2).padStart(2, "0")}`);
  return /^\d{4}(-\d{2}){0,2}$/.test(date) ? Date.parse(date) / 86_400_000 : NaN;
}
