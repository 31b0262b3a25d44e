// One period: its ranking, its history, its versions, its deliveries, its checks and its SQL.

import { AIRFLOW, follow, periodPath, read } from "./api.js";
import { barChart, lineChart } from "./charts.js";
import { FILLABLE, STATES } from "./coverage.js";
import { showDeliveries } from "./deliveries.js";
import { bytes, count, decimal, dollars, h, plural, problem, scan, section, time } from "./dom.js";
import { findReport } from "./reports.js";

const FORMATS = { parquet: "Parquet", csv: "CSV", csv_for_spreadsheets: "CSV for spreadsheets", jsonl: "JSON Lines" };

function find(dagId, periodId) {
  const report = findReport(dagId);
  const cell = report?.cells.find((cell) => cell.id === periodId);
  return { report, cell };
}

// Draws the heading of the shown period anew. Returns false if the rest has to be drawn anew too: what is shown
// is an error, or it has turned out that nothing is published.
export function updateHeading(main, context, dagId, periodId) {
  const { report, cell } = find(dagId, periodId);
  const body = main.querySelector(".period");
  main.querySelector(".heading")?.replaceWith(heading(context, report, cell, dagId, periodId));
  const isError = !body || body.querySelector(":scope > .error");
  const isUnpublished = cell && !cell.version;
  return !isError && !isUnpublished;
}

export async function showPeriod(main, context, dagId, periodId, isShown) {
  document.title = `${dagId} ${periodId}`;
  const { report, cell } = find(dagId, periodId);
  const body = h("div", { class: "period" }, h("p", {}, "\u2026"));
  main.replaceChildren(heading(context, report, cell, dagId, periodId), body);
  main.focus({ preventScroll: true });
  if (cell && !cell.version) {
    body.replaceChildren(h("p", { class: "empty" }, `${STATES[cell.states[0]]}. ${cell.run_id ? "See the log of the run in Airflow." : "There is nothing to show."}`));
    return;
  }
  let response;
  try {
    response = await read(periodPath(dagId, periodId));
  } catch (error) {
    if (error.status === 401 || error.status === 403) throw error;
    body.replaceChildren(problem(error.message));
    return;
  }
  if (!isShown()) return;
  const { manifest, roles, rows, names } = response;
  const queryLink = linkToQuery(response.console);
  const sql = section("SQL", h("p", { class: "empty" }, "\u2026"));
  let asked = 0;
  const showSql = async (version) => {
    const ticket = (asked += 1);
    const isOld = () => ticket !== asked;
    const title = h("h3", {}, version === manifest.version ? "SQL" : `SQL of the earlier version ${version}`);
    try {
      const { sql: text } = await read(`${periodPath(dagId, periodId)}/versions/${version}/sql`);
      if (isOld()) return sql;
      const none = "The SQL is no longer stored. Athena keeps it for 45 days: open the query to see it.";
      sql.replaceChildren(title, text === null ? h("p", { class: "empty" }, none) : h("pre", { tabindex: "0" }, text));
    } catch (error) {
      if (!isOld()) sql.replaceChildren(title, problem(error.message));
    }
    return sql;
  };
  const history = section("History", h("p", { class: "empty" }, "\u2026"));
  // It is hidden until it is known that there are any.
  const deliveries = section("Deliveries");
  deliveries.hidden = true;
  body.replaceChildren(
    facts(manifest, dagId, periodId, queryLink),
    response.problem ? section("Rows", problem(response.problem)) : ranking(manifest, rows, names, roles),
    history,
    versions(manifest, showSql, queryLink),
    deliveries,
    meanings(manifest.columns),
    checks(manifest.checks),
    sql,
  );
  await Promise.all([
    showHistory(history, dagId, periodId, roles, rankedFirst(manifest, rows, roles)),
    showSql(manifest.version),
    showDeliveries(deliveries, dagId, periodId, manifest),
  ]);
}

function heading(context, report, cell, dagId, periodId) {
  const cells = report?.cells ?? [];
  const place = cells.indexOf(cell);
  const beside = (other, label, text) =>
    other ? h("a", { class: "beside", href: `#${encodeURIComponent(dagId)}/${encodeURIComponent(other.id)}`, "aria-label": `${label}: ${other.id}` }, text) : h("span", { class: "beside off", "aria-hidden": "true" }, text);
  const fillable = (cell?.states ?? []).filter((state) => FILLABLE.includes(state));
  return h(
    "div",
    { class: "heading" },
    h("a", { href: "#" }, "\u2190 All reports"),
    h("h2", {}, report?.report ?? dagId, " ", h("span", { class: "cadence" }, report?.cadence ?? ""), " ", h("span", { class: "id" }, periodId)),
    place >= 0 && h("span", { class: "besides" }, beside(cells[place - 1], "Previous period", "\u2039"), beside(cells[place + 1], "Next period", "\u203a")),
    h("span", { class: "chips" }, (cell?.states ?? []).map((state) => h("span", { class: "chip", title: STATES[state] }, h("i", { class: "mark", "data-state": state }), state))),
    report?.may_run && fillable.length > 0 && h("button", { type: "button", onclick: () => context.fill(report, { periodId, states: fillable }) }, cell.version ? "Run again\u2026" : "Fill\u2026"),
    cell?.run_id && link(new URL(`dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(cell.run_id)}`, AIRFLOW), "Run in Airflow", "_top"),
    cell?.waits && h("p", { class: "waits" }, cell.waits),
  );
}

const link = (href, text, target) => h("a", { href, target, rel: target === "_blank" ? "noopener noreferrer" : null, onclick: follow }, text);
const downloadLink = (path, name, text) => h("a", { class: "button", href: `api/${path}`, download: name, onclick: follow }, text);

const linkToQuery = (athena) => (query) =>
  athena && query.id ? link(`${athena}${encodeURIComponent(query.id)}`, query.id, "_blank") : query.id;

function facts(manifest, dagId, periodId, queryLink) {
  const { query } = manifest;
  const path = periodPath(dagId, periodId);
  const downloads = manifest.objects.map((object) => {
    const { format } = object;
    const [suffix] = format.split("_");
    const name = `${dagId}-${periodId}${format.slice(suffix.length)}.${suffix}`;
    return downloadLink(`${path}/objects/${format}`, name, `${FORMATS[format]}, ${bytes(object.bytes)}`);
  });
  const values = {
    Rows: count(manifest.rows),
    Published: time(manifest.published_at),
    Version: h("code", {}, manifest.version),
    Period: `${manifest.period.start} to ${manifest.period.end}, ${manifest.period.timezone}`,
    Scanned: scan(query.scanned_bytes, query.price_usd),
    Query: queryLink(query),
  };
  return h(
    "section",
    { class: "facts" },
    h("dl", {}, Object.entries(values).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    h("p", { class: "downloads" }, downloads, downloadLink(`${path}/manifest`, `${dagId}-${periodId}.json`, "Manifest")),
  );
}

function ranking(manifest, rows, names, roles) {
  const at = Object.fromEntries(manifest.columns.map((column, place) => [column.name, place]));
  const chart = h("div", { class: "chart" });
  const draw = (measure) => {
    const bars = names.map((name, place) => ({ name, value: rows[place][at[measure]] }));
    chart.replaceChildren(barChart(bars, measure, roles.decimals.includes(measure)));
  };
  const measures = rankedFirst(manifest, rows, roles);
  if (roles.key.length && measures.length && rows.length) draw(measures[0]);
  return section(
    rows.length < manifest.rows ? `First ${rows.length} of ${count(manifest.rows)} rows` : plural(rows.length, "row"),
    chart.childElementCount > 0 && picker(measures, draw),
    h("div", { class: "side" }, h("div", { class: "table", tabindex: "0" }, table(manifest.columns, rows, roles)), chart),
  );
}

// The measures of a report, the one first by which its rows are ranked.
function rankedFirst(manifest, rows, roles) {
  const isRanked = (measure) => {
    const place = manifest.columns.findIndex((column) => column.name === measure);
    return rows.every((row, number) => number === 0 || Number(rows[number - 1][place]) >= Number(row[place]));
  };
  const ranked = roles.measures.find(isRanked) ?? roles.measures[0];
  return [ranked, ...roles.measures.filter((measure) => measure !== ranked)].filter(Boolean);
}

const picker = (measures, draw) =>
  measures.length > 1 && h("label", { class: "picker" }, "By ", h("select", { onchange: (event) => draw(event.target.value) }, measures.map((name) => h("option", {}, name))));

function table(columns, rows, roles) {
  const isNumber = columns.map((column) => roles.numbers.includes(column.name));
  const isDecimal = columns.map((column) => roles.decimals.includes(column.name));
  const valueCell = (value, place) => {
    if (columns[place].name === "movement") return h("td", { class: "movement", "data-movement": (value ?? "").split(" ")[0] }, value ?? "");
    if (value === null) return h("td", { class: isNumber[place] ? "number" : "" }, h("span", { class: "null" }, "NULL"));
    if (!isNumber[place]) return h("td", { class: "" }, value);
    return h("td", { class: "number" }, isDecimal[place] ? decimal(value) : count(value));
  };
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, columns.map((column, place) => h("th", { scope: "col", class: isNumber[place] ? "number" : "", title: column.type }, column.name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(valueCell)))),
  );
}

async function showHistory(place, dagId, periodId, roles, measures) {
  const title = place.firstChild;
  try {
    const history = await read(`${periodPath(dagId, periodId)}/history`);
    const chart = h("div", { class: "chart wide" });
    const draw = (measure) => {
      const at = history.columns.indexOf(measure);
      const series = history.names.map((name, number) => ({ name, values: history.measures[number].map((values) => values?.[at] ?? null) }));
      chart.replaceChildren(lineChart(history.periods, series, measure, roles.decimals.includes(measure)));
    };
    if (history.note) chart.replaceChildren(h("p", { class: "empty" }, history.note));
    else if (history.periods.length < 2 || !measures.length) chart.replaceChildren(h("p", { class: "empty" }, "No earlier period to compare with"));
    else draw(measures[0]);
    place.replaceChildren(title, (chart.querySelector("svg") && picker(measures, draw)) || "", chart, ...history.problems.map(problem));
  } catch (error) {
    place.replaceChildren(title, problem(error.message));
  }
}

function versions(manifest, showSql, queryLink) {
  const all = [manifest, ...manifest.earlier_versions];
  // What a version changed is noted where it replaced the one before.
  const change = (place) => {
    const before = all[place + 1];
    if (!before) return "first version";
    if (!before.difference) return "unknown";
    const { difference } = before;
    const changed = difference.changed ? `, ${count(difference.changed)} changed` : "";
    return `${plural(difference.added, "row")} added, ${count(difference.removed)} removed${changed}`;
  };
  return section(
    "Versions",
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ["version", "published", "rows", "compared with previous", "", "cost", "code", "query", ""].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, all.map((version, place) =>
        h(
          "tr",
          {},
          h("td", {}, h("code", {}, version.version)),
          h("td", {}, time(version.published_at)),
          h("td", { class: "number" }, count(version.rows)),
          h("td", {}, change(place)),
          h("td", {}, [place === 0 && "current", version.provisional && "provisional"].filter(Boolean).join(", ")),
          h("td", { class: "number" }, dollars(version.query.price_usd)),
          h("td", {}, version.code_version, version.bundle_version && h("span", { title: version.bundle_version }, `, bundle ${version.bundle_version.slice(0, 7)}`)),
          h("td", {}, queryLink(version.query)),
          h("td", {}, h("button", { type: "button", class: "small", "aria-label": `SQL of ${version.version}`, onclick: async () => (await showSql(version.version)).scrollIntoView() }, "SQL")),
        ),
      )),
    ),
  );
}

function meanings(columns) {
  if (!columns.some((column) => column.description)) return "";
  const line = (column) => h("tr", {}, h("th", { scope: "row" }, column.name), h("td", {}, h("code", {}, column.glue)), h("td", {}, column.description));
  return section("Columns", h("table", {}, h("thead", {}, h("tr", {}, ["column", "type", "meaning"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, columns.map(line))));
}

function checks(results) {
  if (!results.length) return section("Checks", h("p", { class: "empty" }, "The report declares no checks."));
  const markOf = (check) => {
    if (check.passed) return "published";
    return check.severity === "warn" ? "warned" : "failed";
  };
  return section("Checks", h("ul", { class: "checks" }, results.map((check) =>
    h("li", {}, h("i", { class: "mark", "data-state": markOf(check) }), h("code", {}, check.name), ` ${check.passed ? "passed" : check.severity}: ${check.message}`))));
}
