// Requests, as the viewer: with the session's cookie.

const PAGE = new URL(".", location.origin + location.pathname);
export const AIRFLOW = new URL("../", PAGE);

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function send(url, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  let response;
  try {
    response = await fetch(url, { ...options, headers, credentials: "same-origin" });
  } catch {
    throw new ApiError(0, "No response from Airflow's API server. Check that it is running, then reload this page.");
  }
  if (!response.ok) throw new ApiError(response.status, await reason(response));
  return response;
}

async function reason(response) {
  const text = (await response.text()) || response.statusText;
  try {
    return described(JSON.parse(text).detail) ?? text;
  } catch {
    return text; // it is not JSON, or has no details
  }
}

// Airflow has an object of what its database refused.
function described(detail) {
  if (detail === null || typeof detail !== "object") return detail;
  const parts = [detail.reason, detail.message].filter(Boolean);
  return parts.length > 0 ? parts.join(": ") : JSON.stringify(detail);
}

export async function read(path) {
  return (await send(new URL(`api/${path}`, PAGE))).json();
}

// Airflow's own REST API: the only place where anything is started.
export async function start(path, body) {
  const options = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return (await send(new URL(`api/v2/${path}`, AIRFLOW), options)).json();
}

export const periodPath = (dagId, periodId) =>
  `dags/${encodeURIComponent(dagId)}/periods/${encodeURIComponent(periodId)}`;

export const loginAddress = () =>
  `${new URL("api/v2/auth/login", AIRFLOW)}?next=${encodeURIComponent(location.href)}`;

// Airflow shows the page in a frame that may neither navigate its window nor open one nor download. The window
// is of the same origin, so the click is made there.
export function follow(event) {
  if (window.parent === window) return;
  event.preventDefault();
  const { href, download, target } = event.currentTarget;
  const page = window.parent.document;
  const attributes = download ? { download } : { target: target || "_top", rel: "noopener" };
  const link = Object.assign(page.createElement("a"), { href, ...attributes });
  page.body.append(link);
  link.click();
  link.remove();
}
