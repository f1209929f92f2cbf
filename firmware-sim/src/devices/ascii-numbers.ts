/** Below this, integers are cheap. */
const smallMax = 2 ** 30;
const ten7 = 10_000_000;

/** How many decimal digits an integer from 0 to 2^53 has. */
export function digitsOf(integer: number): number {
  let digits = 1;
  for (let limit = 10; integer >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes an integer from 0 to 2^53 in decimal, and returns the place behind it. */
export function writeInteger(bytes: Buffer, place: number, integer: number): number {
  const end = place + digitsOf(integer);
  if (integer < smallMax) {
    writeSmall(bytes, place, end, integer);
    return end;
  }
  const high = Math.floor(integer / ten7);
  writeSmall(bytes, end - 7, end, integer - high * ten7);
  writeSmall(bytes, place, end - 7, high);
  return end;
}

function writeSmall(bytes: Buffer, place: number, end: number, integer: number): void {
  let rest = integer | 0;
  for (let at = end - 1; at >= place; at--) {
    const next = (rest / 10) | 0;
    bytes[at] = 48 + rest - next * 10;
    rest = next;
  }
}

/** Length of a number of at most three decimals, as {@link writeDecimal} writes it. */
export function decimalLength(value: number): number {
  const thousandths = Math.round(Math.abs(value) * 1000);
  if (!(thousandths < smallMax)) return String(value).length;
  const whole = (thousandths / 1000) | 0;
  return (value < 0 && thousandths > 0 ? 1 : 0) + digitsOf(whole) + decimalsOf(thousandths - whole * 1000);
}

/** Writes a number of at most three decimals as JSON, and returns the place behind it. */
export function writeDecimal(bytes: Buffer, place: number, value: number): number {
  const thousandths = Math.round(Math.abs(value) * 1000);
  if (!(thousandths < smallMax)) return place + bytes.write(String(value), place, 'latin1');
  const whole = (thousandths / 1000) | 0;
  const rest = thousandths - whole * 1000;
  let at = place;
  if (value < 0 && thousandths > 0) bytes[at++] = 45;
  at = writeInteger(bytes, at, whole);
  const decimals = decimalsOf(rest);
  if (decimals === 0) return at;
  bytes[at] = 46;
  const end = at + decimals;
  writeSmall(bytes, at + 1, end, decimals === 4 ? rest : decimals === 3 ? rest / 10 : rest / 100);
  return end;
}

/** Point and decimals that so many thousandths need. */
function decimalsOf(thousandths: number): number {
  if (thousandths === 0) return 0;
  if (thousandths % 10 !== 0) return 4;
  return thousandths % 100 === 0 ? 2 : 3;
}
