// @ts-check
// Differences of two documents.

import { html } from './dom.js';
import { plain } from './show.js';

/** @typedef {{path: string, before: unknown, after: unknown}} Change */

/** @param {unknown} value */
const isTree = (value) => typeof value === 'object' && value !== null;

/** The leaves that differ, by their path. @param {any} before @param {any} after @param {string} [path] @returns {Change[]} */
export function changes(before, after, path = '') {
  if (Object.is(before, after)) return [];
  if (!isTree(before) || !isTree(after) || Array.isArray(before) !== Array.isArray(after)) return [{ path, before, after }];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) => changes(before[name], after[name], path ? `${path}.${name}` : name));
}

/** @param {unknown} value */
function short(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const found = plain(text);
  return found.length > 400 ? `${found.slice(0, 400)}…` : found;
}

/** @param {{before: any, after: any}} props */
export function Diff({ before, after }) {
  const found = changes(before, after);
  if (found.length === 0) return html`<p class="dim">Nothing differs.</p>`;
  return html`<div class="diff" role="list">${found.slice(0, 300).map((change) => html`<div role="listitem">
    <code class="path">${plain(change.path)}</code>
    ${change.before !== undefined && html`<span class="gone"><span aria-label="before">−</span> ${short(change.before)}</span>`}
    ${change.after !== undefined && html`<span class="came"><span aria-label="after">+</span> ${short(change.after)}</span>`}
  </div>`)}${found.length > 300 && html`<p class="dim">and ${found.length - 300} more</p>`}</div>`;
}
