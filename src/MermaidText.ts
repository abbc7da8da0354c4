/**
 * Text in diagrams of Mermaid.
 *
 * @since 0.1.0
 */

/**
 * A text for a label. In labels Mermaid reads entities, HTML, Markdown in backticks and `%%{…}%%`: what a name holds must
 * stay text.
 */
export const label = (text: string): string =>
  text.replace(/[&<>"#|%`{}\r\u2028\u2029]/g, (char) => `#${char.codePointAt(0)};`).replaceAll("\n", "<br/>")

/** How often something was, where that is more than once. */
export const times = (count: number): string => (count > 1 ? ` ×${count}` : "")
