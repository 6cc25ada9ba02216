/** Headers that are numbers. They are compared as they are written: nothing is lost of long ones. */

interface Decimal {
  minus: boolean;
  /** Without zeros in front or behind; empty for zero. */
  digits: string;
  exponent: number;
}

/** The number that a text is, null for what is none: `search.py` takes the same for numbers. */
function decimal(text: string): Decimal | null {
  const [, sign, whole = "", part = "", power = "0"] =
    /^(-?)(\d{1,40})(?:\.(\d{1,40}))?(?:e([+-]?\d{1,3}))?$/i.exec(text) ?? [];
  if (sign === undefined) {
    return null;
  }
  const all = `${whole}${part}`.replace(/^0+/, "");
  const digits = all.replace(/0+$/, "");
  const exponent = digits === "" ? 0 : Number(power) - part.length + all.length - digits.length;
  return { minus: sign === "-" && digits !== "", digits, exponent };
}

/** Whether two texts are the same, or both numbers and equal: "5" and "05.0". */
export function sameValue(a: string, b: string): boolean {
  if (a === b) {
    return true;
  }
  const [x, y] = [decimal(a), decimal(b)];
  return (
    x !== null &&
    y !== null &&
    x.minus === y.minus &&
    x.digits === y.digits &&
    x.exponent === y.exponent
  );
}

/** A Python literal of the number that a text is; null where it is none, or none of 64 bits. */
export function pyNumber(text: string): string | null {
  const found = decimal(text);
  if (found === null) {
    return null;
  }
  const { minus, digits, exponent } = found;
  const places = digits.length + exponent;
  if (exponent >= 0 && places <= 18) {
    return `${minus ? "-" : ""}${digits}${"0".repeat(exponent)}` || "0";
  }
  const near = Number(text);
  return Math.abs(near) < 2 ** 63 ? String(near) : null;
}
