/** How numbers and times are put for people. */

const english = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** "1,234" */
export function count(n: number): string {
  return english.format(n);
}

/** "1 frame", "1,234 frames" */
export function counted(n: number, thing: string): string {
  return `${count(n)} ${thing}${n === 1 ? "" : "s"}`;
}

/** "5.6", "1,234": how many a second. */
export function perSecond(n: number): string {
  return n < 10 ? n.toFixed(1) : count(Math.round(n));
}

/** "12 B", "3.4 KB", "1.2 MB" */
export function octets(n: number): string {
  let [value, unit] = [n, "B"];
  for (const larger of ["KB", "MB", "GB"]) {
    if (value < 1000) {
      break;
    }
    [value, unit] = [value / 1024, larger];
  }
  return `${short.format(value)} ${unit}`;
}

/** "3 ms", "1.5 s", "2 min": a span given in milliseconds. */
export function span(ms: number): string {
  if (Math.abs(ms) < 1000) {
    return `${Math.round(ms)} ms`;
  }
  return Math.abs(ms) < 120_000
    ? `${short.format(ms / 1000)} s`
    : `${count(Math.round(ms / 60_000))} min`;
}

/** The time of day, UTC, with milliseconds: "22:13:20.123". */
export function clock(ms: number): string {
  return isTime(ms) ? new Date(ms).toISOString().slice(11, 23) : "";
}

/** Day and time, UTC: "2026-11-24 22:13:20.123". */
export function moment(ms: number): string {
  return isTime(ms) ? new Date(ms).toISOString().slice(0, 23).replace("T", " ") : "";
}

function isTime(ms: number): boolean {
  return Math.abs(ms) <= 8.64e15;
}
