/** Whether a topic filter (without `$share`) matches a topic name, by the letter of section 4.7. */
export function topicMatches(topicFilter: string, topicName: string): boolean {
  const filterLevels = topicFilter.split('/');
  const nameLevels = topicName.split('/');
  if (topicName.startsWith('$') && (filterLevels[0] === '+' || filterLevels[0] === '#')) return false;
  for (const [place, level] of filterLevels.entries()) {
    if (level === '#') return true;
    if (place >= nameLevels.length || (level !== '+' && level !== nameLevels[place])) return false;
  }
  return filterLevels.length === nameLevels.length;
}
