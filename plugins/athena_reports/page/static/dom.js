// Elements and texts. What comes from data becomes text or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const h = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
export const svg = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

export const section = (title, ...content) => h("section", { class: "card" }, h("h3", {}, title), content);
export const problem = (text) => h("p", { class: "error", role: "alert" }, text);

// Of a small number six digits are shown at least: 0.0000001 is not 0.
const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 6, maximumSignificantDigits: 6, roundingPriority: "morePrecision" });
const CLOCK = { hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
const times = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", ...CLOCK });
const clocks = new Intl.DateTimeFormat("en-GB", { ...CLOCK, second: "2-digit" });

// A text of digits keeps all of them; what is not a finite number is shown as it is.
export const count = (value) => (Number.isFinite(Number(value)) ? numbers.format(value) : value);
// A decimal keeps each digit that it is written with: 1.50 is not 1.5.
export const decimal = (text) => text.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));
export const time = (text) => (Number.isNaN(Date.parse(text)) ? text : times.format(new Date(text)));
export const clock = (date) => clocks.format(date);
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  let rest = value;
  for (; rest >= 1000 && unit < units.length - 1; unit += 1) rest /= 1000;
  return `${rest.toLocaleString("en", { maximumSignificantDigits: 3 })} ${units[unit]}`;
}

export function dollars(value) {
  if (value === null) return "\u2013";
  return `$${value.toLocaleString("en", value < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 })}`;
}

export const scan = (scanned, usd) => `${bytes(scanned)} scanned${usd === null ? "" : ` for ${dollars(usd)}`}`;
