/** First bytes of the acknowledgements; flags included. */
export const puback = 0x40;
export const pubrec = 0x50;
export const pubrel = 0x62;
export const pubcomp = 0x70;

/** `PUBACK`, `PUBREC`, `PUBREL` or `PUBCOMP` by its first byte. */
export function acknowledgementName(firstByte: number): string {
  return firstByte === puback
    ? 'PUBACK'
    : firstByte === pubrec
      ? 'PUBREC'
      : firstByte === pubrel
        ? 'PUBREL'
        : 'PUBCOMP';
}
