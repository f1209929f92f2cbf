/**
 * A text for an error or a report without what may be secret in it where it is a URL, or was to be one: user name and
 * password, which is all before the last `@`, and the query.
 */
export function maskUrl(text: string): string {
  const begin = /^[a-z][a-z0-9+.-]*:(\/\/)?/i.exec(text)?.[0];
  if (begin === undefined) return text;
  const rest = text.slice(begin.length);
  const host = rest.slice(rest.lastIndexOf('@') + 1).replace(/\?.*$/s, '?***');
  return rest.includes('@') ? `${begin}***@${host}` : `${begin}${host}`;
}
