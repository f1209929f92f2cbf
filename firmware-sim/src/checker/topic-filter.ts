/** The levels of a shared subscription's filter, apart from `$share/`. */
export interface SharedFilter {
  readonly shareName: string;
  readonly topicFilter: string;
}

/** Takes `$share/name/filter` apart; undefined for any other filter. */
export function sharedFilter(topicFilter: string): SharedFilter | undefined {
  if (!topicFilter.startsWith('$share/')) return undefined;
  const end = topicFilter.indexOf('/', 7);
  if (end <= 7) return undefined;
  return { shareName: topicFilter.slice(7, end), topicFilter: topicFilter.slice(end + 1) };
}

/** Whether the filter has a wildcard. */
export function hasWildcard(topicFilter: string): boolean {
  return topicFilter.includes('+') || topicFilter.includes('#');
}

/** Whether a topic name matches a topic filter (not a shared one) [MQTT-4.7.1-1 to 4.7.2-1]. */
export function topicMatches(topicFilter: string, topicName: string): boolean {
  if (!hasWildcard(topicFilter)) return topicFilter === topicName;
  if (topicName.startsWith('$') && !topicFilter.startsWith('$')) return false; // [MQTT-4.7.2-1]
  const filterLevels = topicFilter.split('/');
  const levels = topicName.split('/');
  for (const [place, level] of filterLevels.entries()) {
    if (level === '#') return true;
    if (place >= levels.length || (level !== '+' && level !== levels[place])) return false;
  }
  return filterLevels.length === levels.length;
}
