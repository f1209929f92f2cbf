import { describe, expect, test } from 'vitest';
import { figureRows, prometheusFigures, sysFigures } from '../../src/report/broker-figures.ts';

describe('pages of metrics', () => {
  test('samples are read with their labels, everything else is left out', () => {
    const page = `# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
 spaced { a = "b" }  5
empty{} 2
braces{a="}{"} 9
quote{a="\\"}"} 8
something_weird{problem="division by zero"} +Inf -3982045
nothing NaN
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
http_request_duration_seconds_bucket{le="0.05"} 24054
crlf 4\r
last -7`;
    expect([...prometheusFigures(page)]).toEqual([
      ['http_requests_total{method="post",code="200"}', 1027],
      ['http_requests_total{method="post",code="400"}', 3],
      [
        'msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""}',
        1458255915,
      ],
      ['metric_without_timestamp_and_labels', 12.47],
      ['spaced{ a = "b" }', 5],
      ['empty', 2],
      ['braces{a="}{"}', 9],
      ['quote{a="\\"}"}', 8],
      ['rpc_duration_seconds_sum', 17560473],
      ['rpc_duration_seconds_count', 2693],
      ['crlf', 4],
      ['last', -7],
    ]);
  });

  test.each([
    '',
    '\n\n',
    '<html><body>404</body></html>',
    '{"a": 1}',
    'name',
    'name{',
    'name{a="b} 4',
    'name{a="\\',
    '9lives 3',
    'name x',
    'name 0x',
  ])('%j gives nothing', (page) => {
    expect(prometheusFigures(page).size).toBe(0);
  });

  test('no more than 500 figures are kept, and lines too long are skipped', () => {
    const page = Array.from({ length: 2000 }, (_none, at) => `m${at} ${at}`).join('\n');
    expect(prometheusFigures(page).size).toBe(500);
    expect([...prometheusFigures(`long{a="${'x'.repeat(3000)}"} 1\nshort 2`)]).toEqual([['short', 2]]);
    expect(prometheusFigures(`${'\n'.repeat(200_000)}late 1`).size).toBe(0);
  });
});

describe('$SYS topics', () => {
  test('numbers are figures, with or without a unit; other text is none', () => {
    const payloads = new Map([
      ['$SYS/broker/uptime', '3600 seconds'],
      ['$SYS/broker/load/messages/1min', '12.50'],
      ['$SYS/broker/clients/connected', '7'],
      ['$SYS/broker/heap', ' 1e6 '],
      ['$SYS/broker/negative', '-3'],
      ['$SYS/broker/version', 'mosquitto version 2.0.21'],
      ['$SYS/broker/build', '2.0.21'],
      ['$SYS/broker/empty', ''],
      ['$SYS/broker/date', '2026-03-02'],
      ['$SYS/broker/inf', 'Infinity'],
      ['$SYS/broker/huge', '1e999'],
      ['$SYS/broker/long', `1${'0'.repeat(200)} x y`],
    ]);
    expect([...sysFigures(payloads)]).toEqual([
      ['$SYS/broker/uptime', 3600],
      ['$SYS/broker/load/messages/1min', 12.5],
      ['$SYS/broker/clients/connected', 7],
      ['$SYS/broker/heap', 1e6],
      ['$SYS/broker/negative', -3],
      ['$SYS/broker/long', 1e99],
    ]);
  });
});

test('rows have both ends; what was not there at the start began at 0', () => {
  const rows = figureRows(
    {
      sys: new Map([
        ['$SYS/a', '5'],
        ['$SYS/gone', '1'],
      ]),
      prometheus: 'm 1',
    },
    {
      sys: new Map([
        ['$SYS/a', '9'],
        ['$SYS/new', '3'],
      ]),
      prometheus: 'm 4\nn{q="1"} 2',
    },
  );
  expect(rows).toEqual([
    { name: '$SYS/a', start: 5, end: 9 },
    { name: '$SYS/new', start: 0, end: 3 },
    { name: 'm', start: 1, end: 4 },
    { name: 'n{q="1"}', start: 0, end: 2 },
  ]);
});

test('no more than 500 rows, whoever tells more', () => {
  const sys = new Map(Array.from({ length: 900 }, (_none, at): [string, string] => [`$SYS/${at}`, '1']));
  expect(figureRows({ sys: new Map(), prometheus: '' }, { sys, prometheus: 'm 1' })).toHaveLength(500);
});
