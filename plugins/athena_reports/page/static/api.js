// Requests, as the viewer: with the session's cookie, or with the token that the UI of Airflow before 3.1 keeps.

const PAGE = new URL(".", location.origin + location.pathname);
export const AIRFLOW = new URL("../", PAGE);

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // a browser may refuse it to a frame
  }
}

export const token = () => stored("token");
export const theme = () => stored("theme");

async function send(url, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  let response;
  try {
    response = await fetch(url, { ...options, headers, credentials: "same-origin" });
  } catch {
    throw new ApiError(0, "Airflow's API server does not answer. See whether it runs, then load this page again.");
  }
  if (!response.ok) throw new ApiError(response.status, await reason(response));
  return response;
}

async function reason(response) {
  const text = await response.text();
  try {
    const { detail } = JSON.parse(text);
    return Array.isArray(detail) ? detail.map((each) => each.msg).join(" ") : String(detail);
  } catch {
    return text || response.statusText;
  }
}

export const read = async (path) => (await send(new URL(`api/${path}`, PAGE))).json();

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
  const link = event.currentTarget;
  const isDownload = link.hasAttribute("download");
  if (isDownload && token()) {
    event.preventDefault();
    save(link);
  } else if (window.parent !== window) {
    event.preventDefault();
    click(link.href, isDownload ? { download: link.download } : { target: link.target || "_top", rel: "noopener" });
  }
}

async function save(link) {
  const content = URL.createObjectURL(await (await send(link.href)).blob());
  click(content, { download: link.download });
  setTimeout(() => URL.revokeObjectURL(content), 60_000);
}

function click(href, attributes) {
  const page = window.parent.document;
  const link = Object.assign(page.createElement("a"), { href, ...attributes });
  page.body.append(link);
  link.click();
  link.remove();
}
