import { cleanText } from './text.ts';

/** HTML that is safe to insert as it is. */
export class Markup {
  readonly text: string;

  /** @param text HTML; {@link html} is the way to make it of what others have written. */
  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a template: text and numbers are escaped, markup is not, false and undefined are nothing. */
export type Content = string | number | Markup | readonly Markup[] | false | undefined;

/** A template of HTML that escapes what is put into it, in elements and in quoted attributes. */
export function html(strings: TemplateStringsArray, ...contents: readonly Content[]): Markup {
  let text = strings[0] as string;
  contents.forEach((content, at) => {
    text += insert(content) + (strings[at + 1] as string);
  });
  return new Markup(text);
}

/** Text for HTML; control characters and marks that turn the direction of writing become visible. */
export function escapeHtml(text: string): string {
  return cleanText(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** JSON that may stand inside a script element, whatever its strings say. */
export function scriptJson(value: unknown): Markup {
  const escaped = JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return new Markup(escaped);
}

function insert(content: Content): string {
  if (content === undefined || content === false) return '';
  if (content instanceof Markup) return content.text;
  if (typeof content === 'object') return content.map(({ text }) => text).join('');
  return escapeHtml(String(content));
}
