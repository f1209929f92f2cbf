/** Statements of 5.0 that bind only the client, or that nothing seen from outside a server can show: id and why. */
export const notObservableV5: ReadonlyMap<string, string> = new Map<string, string>([]);
