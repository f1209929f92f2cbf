/** Longer JSON is not looked at, bytes. */
const payloadMax = 16_384;

/** The JSON object in a payload that came from anywhere; undefined where there is none. */
export function readJsonObject(payload: Buffer): Readonly<Record<string, unknown>> | undefined {
  if (payload.length > payloadMax) return undefined;
  try {
    const value: unknown = JSON.parse(payload.toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
