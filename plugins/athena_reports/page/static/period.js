// One period: its ranking, its history, its versions, its checks and its SQL.

import { AIRFLOW, follow, periodPath, read } from "./api.js";
import { barChart, lineChart } from "./charts.js";
import { FILLABLE, STATES } from "./coverage.js";
import { bytes, count, dollars, h, plural, scan, time } from "./dom.js";

const BARS = 15;
const FORMATS = { parquet: "Parquet", csv: "CSV", csv_for_spreadsheets: "CSV for spreadsheets", jsonl: "JSON Lines" };

export async function showPeriod(main, context, dagId, periodId, isShown) {
  document.title = `${dagId} ${periodId}`;
  const report = context.reports.find((each) => each.dag_id === dagId);
  const cell = report?.cells.find((each) => each.id === periodId);
  const body = h("div", { class: "period", "aria-busy": "true" }, h("p", {}, "\u2026"));
  main.replaceChildren(heading(context, report, cell, dagId, periodId), body);
  main.focus({ preventScroll: true });
  if (cell && !cell.version) {
    body.removeAttribute("aria-busy");
    body.replaceChildren(h("p", { class: "empty" }, `${STATES[cell.states[0]]}. ${cell.run_id ? "Its log is with the run in Airflow." : "There is nothing to show."}`));
    return;
  }
  let found;
  try {
    found = await read(periodPath(dagId, periodId));
  } catch (error) {
    if (error.status === 401 || error.status === 403) throw error;
    body.replaceChildren(problem(error.message));
    return;
  }
  if (!isShown()) return;
  body.removeAttribute("aria-busy");
  const { manifest } = found;
  const sql = section("SQL", h("p", { class: "empty" }, "\u2026"));
  const showSql = async (version) => {
    const title = h("h3", {}, version === manifest.version ? "SQL" : `SQL of the earlier version ${version}`);
    try {
      const answer = await read(`${periodPath(dagId, periodId)}/versions/${version}/sql`);
      const none = "It was not kept, or it was removed. Athena keeps it for 45 days: see the query.";
      sql.replaceChildren(title, answer.sql === null ? h("p", { class: "empty" }, none) : h("pre", { tabindex: "0" }, answer.sql));
    } catch (error) {
      sql.replaceChildren(title, problem(error.message));
    }
    return sql;
  };
  const history = section("History", h("p", { class: "empty" }, "\u2026"));
  body.replaceChildren(
    facts(context, found, dagId, periodId),
    found.problem ? section("Rows", problem(found.problem)) : ranking(found),
    history,
    versions(context, manifest, showSql),
    meanings(manifest),
    checks(manifest),
    sql,
  );
  await Promise.all([showHistory(history, dagId, periodId), showSql(manifest.version)]);
}

const section = (title, ...content) => h("section", { class: "card" }, h("h3", {}, title), content);
const problem = (text) => h("p", { class: "error", role: "alert" }, text);

function heading(context, report, cell, dagId, periodId) {
  const cells = report?.cells ?? [];
  const place = cells.indexOf(cell);
  const beside = (other, label, text) =>
    other ? h("a", { class: "beside", href: `#${encodeURIComponent(dagId)}/${encodeURIComponent(other.id)}`, "aria-label": `${label}: ${other.id}` }, text) : h("span", { class: "beside off", "aria-hidden": "true" }, text);
  const state = cell?.states.find((each) => FILLABLE.includes(each));
  return h(
    "div",
    { class: "heading" },
    h("a", { href: "#" }, "\u2190 All reports"),
    h("h2", {}, report?.report ?? dagId, " ", h("span", { class: "cadence" }, report?.cadence ?? ""), " ", h("span", { class: "id" }, periodId)),
    place >= 0 && h("span", { class: "besides" }, beside(cells[place - 1], "Period before", "\u2039"), beside(cells[place + 1], "Period after", "\u203a")),
    h("span", { class: "chips" }, (cell?.states ?? []).map((each) => h("span", { class: "chip", title: STATES[each] }, h("i", { class: "mark", "data-state": each }), each))),
    report?.may_run && state && h("button", { type: "button", onclick: () => context.fill(report, { periodId, states: cell.states.filter((each) => FILLABLE.includes(each)) }) }, cell.version ? "Run again\u2026" : "Fill\u2026"),
    cell?.run_id && link(new URL(`dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(cell.run_id)}`, AIRFLOW), "Run in Airflow", "_top"),
  );
}

const link = (href, text, target) => h("a", { href, target, rel: target === "_blank" ? "noopener noreferrer" : null, onclick: follow }, text);
const downloadLink = (path, name, text) => h("a", { class: "button", href: `api/${path}`, download: name, onclick: follow }, text);

const queryLink = (context, { id }) => (context.console && id ? link(`${context.console}${encodeURIComponent(id)}`, id, "_blank") : id);

function facts(context, found, dagId, periodId) {
  const { manifest } = found;
  const { query } = manifest;
  const path = periodPath(dagId, periodId);
  const downloads = manifest.objects.map(({ format, bytes: size }) => {
    const [suffix] = format.split("_");
    const name = `${dagId}-${periodId}${format.slice(suffix.length)}.${suffix}`;
    return downloadLink(`${path}/objects/${format}`, name, `${FORMATS[format]}, ${bytes(size)}`);
  });
  const values = {
    Rows: count(manifest.rows),
    Published: time(manifest.published_at),
    Version: h("code", {}, manifest.version),
    Period: `${manifest.period.start} to ${manifest.period.end}`,
    Scanned: scan(query.scanned_bytes, query.price_usd),
    Query: queryLink(context, query),
  };
  return h(
    "section",
    { class: "facts" },
    h("dl", {}, Object.entries(values).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    h("p", { class: "downloads" }, downloads, downloadLink(`${path}/manifest`, `${dagId}-${periodId}.json`, "Manifest")),
  );
}

function ranking({ manifest, rows, shape }) {
  const names = manifest.columns.map((column) => column.name);
  const at = Object.fromEntries(names.map((name, place) => [name, place]));
  const chart = h("div", { class: "chart" });
  const draw = (measure) => {
    const bars = rows.slice(0, BARS).map((row) => ({ label: row[at[shape.label]] ?? row[at[shape.key]] ?? "", value: Number(row[at[measure]]) }));
    chart.replaceChildren(barChart(bars, measure));
  };
  if (shape.key && shape.measures.length && rows.length) draw(shape.measures[0]);
  return section(
    rows.length < manifest.rows ? `Rows, the first ${rows.length} of ${count(manifest.rows)}` : plural(rows.length, "row"),
    chart.childElementCount > 0 && picker(shape.measures, draw),
    h("div", { class: "side" }, h("div", { class: "table", tabindex: "0" }, table(manifest.columns, rows, shape)), chart),
  );
}

const picker = (measures, draw) =>
  measures.length > 1 && h("label", { class: "picker" }, "By ", h("select", { onchange: (event) => draw(event.target.value) }, measures.map((name) => h("option", {}, name))));

function table(columns, rows, shape) {
  const isNumber = columns.map((column) => shape.numbers.includes(column.name));
  const cell = (value, place) =>
    columns[place].name === "movement"
      ? h("td", { class: "movement", "data-movement": (value ?? "").split(" ")[0] }, value ?? "")
      : h("td", { class: isNumber[place] ? "number" : "" }, value === null ? h("span", { class: "null" }, "NULL") : isNumber[place] ? count(value) : value);
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, columns.map((column, place) => h("th", { scope: "col", class: isNumber[place] ? "number" : "", title: column.type }, column.name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))),
  );
}

async function showHistory(place, dagId, periodId) {
  const title = place.firstChild;
  try {
    const { periods, entries, values, problems, note } = await read(`${periodPath(dagId, periodId)}/history`);
    const measures = Object.keys(values);
    const chart = h("div", { class: "chart wide" });
    const draw = (measure) => chart.replaceChildren(lineChart(periods, entries.map((entry, number) => ({ label: entry.label, values: values[measure][number] })), measure));
    if (note) chart.replaceChildren(h("p", { class: "empty" }, note));
    else if (periods.length < 2 || !measures.length) chart.replaceChildren(h("p", { class: "empty" }, "There is no earlier period to compare with."));
    else draw(measures[0]);
    place.replaceChildren(title, picker(measures, draw) || "", chart, ...problems.map(problem));
  } catch (error) {
    place.replaceChildren(title, problem(error.message));
  }
}

function versions(context, manifest, showSql) {
  const current = { ...manifest, replaced_at: null, difference: null };
  const all = [current, ...manifest.earlier_versions];
  // What a version changed is noted where it replaced the one before.
  const change = (place) => {
    const before = all[place + 1];
    if (!before) return "the first one";
    if (!before.difference) return "not known";
    return `${plural(before.difference.added, "row")} added, ${count(before.difference.removed)} removed`;
  };
  return section(
    "Versions",
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ["version", "published", "rows", "against the one before", "", "cost", "code", "query", ""].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, all.map((each, place) =>
        h(
          "tr",
          {},
          h("td", {}, h("code", {}, each.version)),
          h("td", {}, time(each.published_at)),
          h("td", { class: "number" }, count(each.rows)),
          h("td", {}, change(place)),
          h("td", {}, [place === 0 && "current", each.provisional && "provisional"].filter(Boolean).join(", ")),
          h("td", { class: "number" }, dollars(each.query.price_usd)),
          h("td", {}, each.code_version),
          h("td", {}, queryLink(context, each.query)),
          h("td", {}, h("button", { type: "button", class: "small", "aria-label": `SQL of ${each.version}`, onclick: async () => (await showSql(each.version)).scrollIntoView() }, "SQL")),
        ),
      )),
    ),
  );
}

function meanings({ columns }) {
  if (!columns.some((column) => column.description)) return "";
  const line = (column) => h("tr", {}, h("th", { scope: "row" }, column.name), h("td", {}, h("code", {}, column.glue)), h("td", {}, column.description));
  return section("Columns", h("table", {}, h("thead", {}, h("tr", {}, ["column", "type", "meaning"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, columns.map(line))));
}

function checks(manifest) {
  const all = manifest.checks;
  if (!all.length) return section("Checks", h("p", { class: "empty" }, "The report declares none."));
  return section("Checks", h("ul", { class: "checks" }, all.map((check) =>
    h("li", {}, h("i", { class: "mark", "data-state": check.passed ? "published" : check.severity === "warn" ? "warned" : "failed" }), h("code", {}, check.name), ` ${check.passed ? "passed" : check.severity}: ${check.message}`))));
}
