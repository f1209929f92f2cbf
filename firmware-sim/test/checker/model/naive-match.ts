/** Whether a topic name matches a filter, level by level as MQTT 5, 4.7.1 tells it; slow and obvious. */
export function naiveMatch(topicFilter: string, topicName: string): boolean {
  const pattern = topicFilter
    .split('/')
    .map((level) => (level === '+' ? '[^/]*' : level.replaceAll(/[$.*+?^(){}|[\]\\]/gu, String.raw`\$&`)))
    .join('/')
    .replace(/^#$/u, '.*')
    .replace(/\/#$/u, '(/.*)?');
  if (/^[+#]/u.test(topicFilter) && topicName.startsWith('$')) return false;
  return new RegExp(`^${pattern}$`, 'su').test(topicName);
}
