// The deliveries of a period: where each version went, what failed, and a way to send again.

import { AIRFLOW, follow, periodPath, read, start } from "./api.js";
import { h, problem, time } from "./dom.js";

const dialog = document.getElementById("send");
const POLL_MS = 5_000;

// What Airflow's states of a task mean here. One that has succeeded is seen by its receipt.
const UNSCHEDULED = "none"; // Airflow has null for it
const SOON = { [UNSCHEDULED]: "is waiting for Airflow", scheduled: "is waiting for Airflow", queued: "is waiting for a worker", running: "is sending", restarting: "is restarting" };
const FAILED = { failed: "failed", up_for_retry: "failed and will be retried", upstream_failed: "failed" };

// Shows the section, unless there is nothing that the viewer may see. While something is under way, it asks again.
export async function showDeliveries(place, dagId, periodId, manifest) {
  const title = place.firstChild;
  let known = null;
  let asked = 0;
  let timer;

  const load = async () => {
    const ticket = (asked += 1);
    clearTimeout(timer);
    let failure = null;
    try {
      const answer = await read(`${periodPath(dagId, periodId)}/deliveries`);
      if (ticket !== asked) return;
      known = answer;
    } catch (error) {
      if (ticket !== asked) return;
      failure = problem(error.message);
    }
    show([failure, ...(known ? described(known, manifest, again) : [])].filter(Boolean));
    schedule();
  };
  const show = (content) => {
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    place.hidden = content.length === 0;
    place.replaceChildren(title, ...content);
    if (focused) [...place.querySelectorAll("[data-key]")].find((element) => element.dataset.key === focused)?.focus({ preventScroll: true });
  };
  const schedule = () => {
    const states = known ? known.channels.map(stateOf) : [];
    const isUnderWay = states.some((state) => state in SOON);
    if (!isUnderWay && !states.includes("up_for_retry")) return;
    // Where a DAG is paused or a task waits for its retry, nothing happens by itself for minutes.
    timer = setTimeout(poll, !known.is_paused && isUnderWay ? POLL_MS : 6 * POLL_MS);
  };
  const poll = () => {
    if (!place.isConnected) return;
    if (document.hidden) schedule();
    else load();
  };
  const again = (channel, receipts) => openSend(channel, receipts, manifest, periodId, load);
  await load();
}

const stateOf = (channel) => (channel.task ? (channel.task.state ?? UNSCHEDULED) : "");

function described(answer, manifest, again) {
  const heads = ["version", "channel", "sent", "to", "", ""].map((name) => h("th", { scope: "col" }, name));
  return [
    answer.problem && problem(answer.problem),
    answer.is_paused && h("p", { class: "error" }, `The DAG ${answer.dag_id} is paused: nothing is sent until you unpause it.`),
    h("div", { class: "table", tabindex: "0" }, h("table", { class: "deliveries" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, lines(answer, manifest, again)))),
  ];
}

// The current version is first, with each channel that it can be sent to. Of the others there is what was sent.
function lines(answer, manifest, again) {
  const isCurrent = (receipt) => receipt.version === manifest.version;
  const current = answer.channels.flatMap((channel) => {
    const receipts = answer.receipts.filter((receipt) => isCurrent(receipt) && receipt.channel === channel.name);
    const [newest, ...earlier] = receipts;
    const label = newest || answer.problem ? "Send again\u2026" : "Send\u2026";
    const button = channel.clear && h("button", { type: "button", class: "small", "data-key": `send/${channel.name}`, "aria-label": `${label} ${channel.name}`, onclick: () => again(channel, receipts) }, label);
    const task = taskNote(channel, answer.dag_id);
    if (newest) return [sentLine(newest, true, task, button), ...earlier.map((receipt) => sentLine(receipt, true))];
    return [line(manifest.version, true, channel.name, answer.problem ? "\u2013" : "not sent", [], task, button)];
  });
  // A channel that the report no longer has cannot be sent to again.
  const names = answer.channels.map((channel) => channel.name);
  const others = answer.receipts.filter((receipt) => !isCurrent(receipt) || !names.includes(receipt.channel));
  return [...current, ...others.map((receipt) => sentLine(receipt, isCurrent(receipt)))];
}

const line = (version, isCurrent, channel, sent, to, notes, button) =>
  h(
    "tr",
    {},
    h("td", {}, h("code", {}, version), isCurrent && " current"),
    h("td", {}, channel),
    h("td", {}, sent),
    h("td", { class: "wrapped" }, to.join(", ")),
    h("td", { class: "wrapped" }, notes),
    h("td", {}, button),
  );

function sentLine(receipt, isCurrent, task = null, button = null) {
  const kinds = [receipt.corrects && `correction of ${receipt.corrects}`, receipt.number > 1 && `message ${receipt.number}`].filter(Boolean);
  const notes = [
    kinds.length > 0 && h("div", {}, kinds.join(", ")),
    ...Object.entries(receipt.refused).map(([address, reason]) => h("div", { class: "error" }, `${address} was refused: ${reason}`)),
    task,
  ];
  return line(receipt.version, isCurrent, receipt.channel, time(receipt.sent_at), receipt.recipients, notes, button);
}

// What has become of the last task of a channel, with the way to its log.
function taskNote(channel, dagId) {
  const { task, name } = channel;
  const state = stateOf(channel);
  if (!task || state === "success") return null;
  const meaning = SOON[state] ?? FAILED[state] ?? `is ${state}`;
  const address = new URL(["dags", dagId, "runs", task.run_id, "tasks", name].map(encodeURIComponent).join("/"), AIRFLOW);
  if (task.try_number > 0) address.searchParams.set("try_number", task.try_number);
  const count = task.try_number > 1 ? `, try ${task.try_number}` : "";
  return h("div", { class: state in FAILED && "error" }, `The task ${meaning}${count}. `, h("a", { href: address, target: "_top", "data-key": `log/${name}`, onclick: follow }, "Log"));
}

function openSend(channel, receipts, manifest, periodId, refresh) {
  const [newest] = receipts;
  const warned = manifest.checks.filter((check) => !check.passed).map((check) => check.name);
  const told = h("div", { "aria-live": "polite" });
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const go = h("button", { type: "submit", class: "primary" }, "Send");

  const submit = async (event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      const cleared = await start(channel.clear.path, channel.clear.body);
      if (cleared.total_entries === 0) throw new Error("Airflow did not clear anything: the run has no such task. Reload the page.");
      if (form.isConnected) dialog.close();
    } catch (error) {
      told.replaceChildren(h("p", { class: "error" }, error.message));
      close.textContent = "Close";
      go.remove();
    }
    refresh();
  };

  // A message whose recipients were refused temporarily has another receipt for those that it reached later.
  const ofMessage = receipts.filter((receipt) => receipt.message_id === newest.message_id).reverse();
  const recipients = ofMessage.flatMap((receipt) => receipt.recipients);
  const last = newest && `It was sent on ${time(newest.sent_at)}${recipients.length ? ` to ${recipients.join(", ")}` : ""}.`;
  const form = h(
    "form",
    { method: "dialog", onsubmit: submit },
    h("h2", { id: "send-title" }, `Send ${periodId} to ${channel.name}${newest ? " again" : ""}?`),
    h("p", {}, "Sends the current version again, even if the channel already has it. This clears its task in Airflow."),
    last && h("p", { class: "last" }, last),
    warned.length > 0 && h("p", { class: "error" }, `This version has check warnings: ${warned.join(", ")}.`),
    told,
    h("div", { class: "buttons" }, close, go),
  );
  dialog.replaceChildren(form);
  dialog.showModal();
}
