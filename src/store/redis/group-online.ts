/** In place of how many members are connected: the part was another node's, which is gone. */
export const ADOPTED = 0xffff_ffff;

/** How many members of a part of a shared subscription are connected, which stands behind its record. */
export function onlineOf(value: Buffer): number {
  return value.readUInt32LE(value.length - 4);
}
