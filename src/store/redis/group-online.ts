/** How many members of a part of a shared subscription are connected, which stands behind its record. */
export function onlineOf(value: Buffer): number {
  return value.readUInt32LE(value.length - 4);
}
