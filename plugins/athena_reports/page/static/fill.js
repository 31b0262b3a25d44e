// Fill the holes: choose, see what it will run and cost, then start it through Airflow's API.

import { AIRFLOW, follow, read, start } from "./api.js";
import { FILLABLE, OPEN, refocus } from "./coverage.js";
import { h, plural, scan } from "./dom.js";

const dialog = document.getElementById("fill");

export function openFill(report, { periodId, states }, refresh) {
  const open = report.cells.filter((cell) => cell.states.some((state) => OPEN.includes(state)));
  const choice = {
    first: periodId ?? (open[0] ?? report.cells[0]).id,
    last: periodId ?? (open.at(-1) ?? report.cells.at(-1)).id,
    states: new Set(states ?? OPEN),
  };
  const summary = h("div", { class: "summary", "aria-live": "polite" });
  const go = h("button", { type: "submit", class: "primary", disabled: true }, "Start");
  let plan = null;
  let asked = 0;

  const ask = async () => {
    const ticket = (asked += 1);
    plan = null;
    go.disabled = true;
    summary.replaceChildren("\u2026");
    try {
      if (!choice.states.size) throw new Error("Select at least one state.");
      const range = new URLSearchParams({ first: choice.first, last: choice.last });
      for (const state of choice.states) range.append("state", state);
      const response = await read(`dags/${encodeURIComponent(report.dag_id)}/plan?${range}`);
      if (ticket !== asked) return;
      plan = response;
      summary.replaceChildren(...described(report, plan));
      go.disabled = plan.starts.length === 0;
    } catch (error) {
      if (ticket === asked) summary.replaceChildren(h("p", { class: "error" }, error.message));
    }
  };

  const box = (state) => {
    const toggle = (event) => {
      if (event.target.checked) choice.states.add(state);
      else choice.states.delete(state);
      ask();
    };
    const input = h("input", { type: "checkbox", checked: choice.states.has(state), onchange: toggle });
    return h("label", {}, input, h("i", { class: "mark", "data-state": state }), ` ${state}`);
  };

  const end = (name, label, meaning) => {
    const choose = (event) => {
      choice[name] = event.target.value;
      ask();
    };
    const periods = report.cells.map((cell) => h("option", { value: cell.id, selected: cell.id === choice[name] }, cell.id));
    return h("label", {}, `${label} `, h("select", { "aria-label": meaning, onchange: choose }, periods));
  };

  const submit = async (event) => {
    event.preventDefault();
    if (!plan) return;
    go.disabled = true;
    form.querySelectorAll("select, input").forEach((field) => (field.disabled = true));
    await run(report, plan, summary);
    form.querySelector(".close").textContent = "Close";
    go.remove();
    refresh();
  };

  const form = h(
    "form",
    { method: "dialog", onsubmit: submit },
    h("h2", { id: "fill-title" }, `Fill ${report.dag_id}`),
    h("div", { class: "ends" }, end("first", "From", "First period"), end("last", "to", "Last period")),
    h("fieldset", {}, h("legend", {}, "Periods that are"), FILLABLE.map(box)),
    summary,
    h("div", { class: "buttons" }, h("button", { type: "button", class: "close", onclick: () => dialog.close() }, "Cancel"), go),
  );
  // The button may have been drawn anew meanwhile; the browser gives the focus back to the old one.
  const from = document.activeElement?.dataset.key;
  dialog.addEventListener("close", () => refocus(from), { once: true });
  dialog.replaceChildren(form);
  dialog.showModal();
  ask();
}

const list = (ids) => (ids.length > 3 ? `${ids[0]} to ${ids.at(-1)}` : ids.join(", "));

function described(report, plan) {
  const { starts, held } = plan;
  const waits = held.map(({ period, dag_id, parts }) =>
    h("li", {}, `${period} must wait: first fill ${plural(parts.length, "period")} of ${dag_id} (${list(parts)}).`),
  );
  if (!starts.length) {
    if (waits.length) return [h("p", {}, "Nothing to run yet."), h("ul", {}, waits)];
    return [h("p", {}, "Nothing to run: no period in this range has a selected state.")];
  }
  const periods = (action) => starts.filter((start) => start.action === action).map((start) => start.period);
  const steps = Object.entries({ clear: "cleared", trigger: "triggered" }).map(([action, done]) => {
    const ids = periods(action);
    return ids.length && `${plural(ids.length, "run")} ${done}${ids.length > 1 ? ", earliest first" : ""}: ${list(ids)}.`;
  });
  const cost =
    plan.scanned_bytes === null
      ? "The scan cannot be estimated: no period of this report is published yet."
      : `About ${scan(plan.scanned_bytes, plan.price_usd)}, based on the median of the nearest published periods.`;
  const [from, to] = plan.backfill;
  return [
    h("p", { class: "figure" }, h("strong", {}, plural(starts.length, "run")), ` \u00b7 ${cost}`),
    h("ul", {}, [...steps.filter(Boolean).map((step) => h("li", {}, step)), ...waits]),
    h("p", {}, "This range as an Airflow backfill, in UTC: from ", h("code", { class: "copy" }, from), " to ", h("code", { class: "copy" }, to), "."),
    report.is_paused && h("p", { class: "error" }, "The DAG is paused: its runs wait until you unpause it."),
  ].filter(Boolean);
}

async function run(report, plan, summary) {
  const done = h("ul", { class: "done" });
  summary.replaceChildren(done);
  const note = (text, isError) => done.append(h("li", { class: isError ? "error" : "" }, text));
  try {
    for (const { period, action, path, body } of plan.starts) {
      await start(path, body);
      note(`${period}: run ${action === "clear" ? "cleared" : "triggered"}.`);
    }
  } catch (error) {
    note(`${error.message} Only the runs listed above were started.`, true);
  }
  const runs = new URL(`dags/${encodeURIComponent(report.dag_id)}/runs`, AIRFLOW);
  done.append(h("li", {}, h("a", { href: runs, target: "_top", onclick: follow }, "See the runs in Airflow")));
}
