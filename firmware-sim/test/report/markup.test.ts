import { expect, test } from 'vitest';
import { escapeHtml, html, Markup, scriptJson } from '../../src/report/markup.ts';

test('text is escaped in elements and attributes, markup is not', () => {
  const evil = `</td><img src=x onerror="alert('1')">&`;
  const { text } = html`<td title="${evil}">${evil}</td>${html`<b>${1}</b>`}${[html`<i>a</i>`, html`<i>${'<'}</i>`]}`;
  const escaped = '&#60;/td&#62;&#60;img src=x onerror=&#34;alert(&#39;1&#39;)&#34;&#62;&#38;';
  expect(text).toBe(`<td title="${escaped}">${escaped}</td><b>1</b><i>a</i><i>&#60;</i>`);
});

test('false and undefined are nothing', () => {
  expect(html`a${false}b${undefined}c${''}`.text).toBe('abc');
});

test('control characters and turns of direction are shown', () => {
  expect(escapeHtml('a\u0000\u001b[2J\u202eb')).toBe('a\\x00\\x1b[2J\\u202eb');
});

test('JSON in a script cannot end it and comes back the same', () => {
  const value = { a: '</script><!--<script>\u2028\u2029&amp;', b: [1, '<'] };
  const { text } = scriptJson(value);
  expect(text).not.toMatch(/[<>&\u2028\u2029]/);
  expect(JSON.parse(text)).toEqual(value);
});

test('markup is what it was made of', () => {
  expect(new Markup('<br>').text).toBe('<br>');
});
