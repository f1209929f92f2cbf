/** `value` as JSON of ASCII characters alone, so that its length in bytes is its length. */
export function asciiJson(value: unknown): string {
  return toAscii(JSON.stringify(value));
}

/** JSON text with everything beyond ASCII as escapes. */
export function toAscii(json: string): string {
  return json.replaceAll(/[^\0-~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
