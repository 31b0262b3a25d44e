// Fill the holes: choose, see what it will run and cost, then start it through Airflow's API.

import { AIRFLOW, follow, read, start } from "./api.js";
import { FILLABLE, refocus } from "./coverage.js";
import { bytes, count, dollars, h, plural, poolNotice } from "./dom.js";

const dialog = document.getElementById("fill");
const CHECKED = ["missing", "failed", "stale"];

export function openFill(report, { periodId, states }, refresh) {
  const open = report.cells.filter((cell) => cell.states.some((state) => CHECKED.includes(state)));
  const choice = {
    first: periodId ?? open[0].id,
    last: periodId ?? open.at(-1).id,
    states: new Set(states ?? CHECKED),
  };
  const summary = h("div", { class: "summary", "aria-live": "polite" });
  const go = h("button", { type: "submit", class: "primary", disabled: true }, "Start");
  const numbers = Object.fromEntries(FILLABLE.map((state) => [state, h("span", {})]));
  let plan = null;
  let asked = 0;

  const ask = async () => {
    const ticket = (asked += 1);
    plan = null;
    go.disabled = true;
    showNumbers();
    summary.replaceChildren("\u2026");
    try {
      if (!choice.states.size) throw new Error("Choose which periods.");
      const query = new URLSearchParams({ first: choice.first, last: choice.last });
      for (const state of choice.states) query.append("state", state);
      const found = await read(`dags/${encodeURIComponent(report.dag_id)}/plan?${query}`);
      if (ticket !== asked) return;
      plan = found;
      summary.replaceChildren(...described(report, plan));
      go.disabled = plan.runs === 0;
    } catch (error) {
      if (ticket === asked) summary.replaceChildren(h("p", { class: "error" }, error.message));
    }
  };

  const showNumbers = () => {
    const ids = report.cells.map((cell) => cell.id);
    const chosen = report.cells.slice(ids.indexOf(choice.first), ids.indexOf(choice.last) + 1);
    for (const state of FILLABLE) numbers[state].textContent = `(${count(chosen.filter((cell) => cell.states.includes(state)).length)})`;
  };

  const box = (state) => {
    const toggle = (event) => {
      if (event.target.checked) choice.states.add(state);
      else choice.states.delete(state);
      ask();
    };
    const input = h("input", { type: "checkbox", checked: choice.states.has(state), onchange: toggle });
    return h("label", {}, input, h("i", { class: "mark", "data-state": state }), ` ${state} `, numbers[state]);
  };

  const end = (name, label, meaning) =>
    h(
      "label",
      {},
      `${label} `,
      h(
        "select",
        { "aria-label": meaning, onchange: (event) => { choice[name] = event.target.value; ask(); } },
        report.cells.map((cell) => h("option", { value: cell.id, selected: cell.id === choice[name] }, cell.id)),
      ),
    );

  const submit = async (event) => {
    event.preventDefault();
    if (!plan) return;
    go.disabled = true;
    form.querySelectorAll("select, input").forEach((each) => (each.disabled = true));
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

function described(report, plan) {
  if (!plan.runs) return [h("p", {}, "Nothing to run: no period of this range is in such a state.")];
  const { backfill, reruns } = plan;
  const cleared = reruns.filter((each) => each.run_id);
  const triggered = reruns.filter((each) => !each.run_id);
  const list = (periods) => (periods.length > 3 ? `${periods[0]} to ${periods.at(-1)}` : periods.join(", "));
  const steps = [
    backfill &&
      `One backfill of ${plural(backfill.periods.length, "run")}: ${list(backfill.periods)}` +
        `${backfill.reprocess === "failed" ? "; runs that failed run again" : ""}.`,
    cleared.length && `${plural(cleared.length, "run")} cleared${cleared.length > 1 ? ", earliest first" : ""}: ${list(cleared.map((each) => each.period_id))}.`,
    triggered.length && `${plural(triggered.length, "run")} triggered, each for its period: ${list(triggered.map((each) => each.period_id))}.`,
  ];
  const cost =
    plan.scanned_bytes === null
      ? "What that scans is not known: no period of this report is published yet."
      : `About ${bytes(plan.scanned_bytes)} scanned for ${dollars(plan.price_usd)}, by the mean of the published periods.`;
  return [
    h("p", { class: "figure" }, h("strong", {}, plural(plan.runs, "run")), ` \u00b7 ${cost}`),
    h("ol", {}, steps.filter(Boolean).map((step) => h("li", {}, step))),
    ...budget(plan),
    plan.missing_pool && poolNotice(plan.missing_pool, "p", { class: "error" }),
    report.is_paused && h("p", { class: "error" }, "The DAG is paused: its runs wait until it is unpaused."),
  ].filter(Boolean);
}

function budget({ budget_bytes: allowed, backfill_bytes: wanted }) {
  if (allowed === null || wanted === 0) return [];
  return [
    h("p", {}, `Backfills of this DAG may scan ${bytes(allowed)} in 24 hours; what they have scanned already counts.`),
    wanted > allowed &&
      h("p", { class: "error" }, `This is more than that: about ${bytes(wanted)}. Queries that would exceed it fail before they start; take a shorter range, or raise ATHENA_REPORTS_BACKFILL_BUDGET.`),
  ];
}

async function run(report, plan, summary) {
  const dag = encodeURIComponent(report.dag_id);
  const done = h("ul", { class: "done" });
  summary.replaceChildren(done);
  const note = (text, isError) => done.append(h("li", { class: isError ? "error" : "" }, text));
  try {
    if (plan.backfill) {
      const { from_date, to_date, reprocess, periods } = plan.backfill;
      await start("backfills", {
        dag_id: report.dag_id,
        from_date,
        to_date,
        reprocess_behavior: reprocess,
        run_backwards: false,
        dag_run_conf: {},
      });
      note(`Backfill of ${plural(periods.length, "run")} started.`);
    }
    for (const { period_id, run_id, new_run_id } of plan.reruns) {
      if (run_id) await start(`dags/${dag}/dagRuns/${encodeURIComponent(run_id)}/clear`, { dry_run: false, only_failed: false });
      else await start(`dags/${dag}/dagRuns`, { dag_run_id: new_run_id, logical_date: null, conf: { period: period_id } });
      note(`${period_id}: ${run_id ? "run cleared" : "run triggered"}.`);
    }
  } catch (error) {
    note(`${error.message} What is listed above was started, nothing else.`, true);
  }
  done.append(h("li", {}, h("a", { href: new URL(`dags/${dag}/runs`, AIRFLOW), target: "_top", onclick: follow }, "See the runs in Airflow")));
}
