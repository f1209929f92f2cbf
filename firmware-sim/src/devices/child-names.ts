/** What the children of a gateway are called: unique among all gateways. */
export function childNames(gateway: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${gateway}-${at + 1}`);
}
