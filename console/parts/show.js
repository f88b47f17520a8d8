// @ts-check
// Small parts of pages. All texts are text nodes: nothing that others wrote becomes markup or a link.

import { html, useState } from './dom.js';
import { link } from './place.js';
import { explain } from './reads.js';

/** Signs that change the direction of text, and signs that are not seen. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A text of others: signs that hide or turn text are written out. @param {unknown} text */
export function plain(text) {
  return String(text ?? '').replace(HIDDEN, (sign) => `⟦U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟧`);
}

/** @param {{text: unknown, most?: number}} props */
export function Text({ text, most = 4000 }) {
  const whole = plain(text);
  return html`<bdi class="said">${whole.length > most ? `${whole.slice(0, most)}…` : whole}</bdi>`;
}

/** Copies a text. @param {{text: string, what?: string}} props */
export function Copy({ text, what = 'it' }) {
  const [done, set] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text).catch(() => undefined);
    set(true);
    setTimeout(() => set(false), 1500);
  };
  return html`<button type="button" class="copy" onClick=${copy} title=${`Copy ${what}`} aria-label=${done ? 'Copied' : `Copy ${what}`}>${done ? '✔' : html`<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z" /></svg>`}</button>`;
}

/** A hash, short. @param {{hash: string | undefined | null, of?: string}} props */
export function Hash({ hash, of = 'hash' }) {
  if (!hash) return html`<span class="dim">–</span>`;
  const bare = hash.replace(/^sha256-/, '');
  return html`<span class="hash"><code title=${hash}>${bare.slice(0, 10)}…</code><${Copy} text=${hash} what=${`the ${of}`} /></span>`;
}

/** A key by its name. @param {{of: string | undefined, names?: Map<string, any>}} props */
export function Key({ of, names }) {
  if (!of) return html`<span class="dim">–</span>`;
  const name = names?.get(of)?.name;
  const short = `${of.replace('hmmm:pubkey:', '').slice(0, 8)}…`;
  return html`<span class="key" title=${of}>${name ? html`<b>${plain(name)}</b>` : html`<code>${short}</code>`}</span>`;
}

const SIGNS = { good: '●', warn: '▲', bad: '■', idle: '○', info: '◆' };

/** A word with a sign, so that colour is never alone. @param {{tone?: 'good' | 'warn' | 'bad' | 'idle' | 'info', children?: any}} props */
export function Badge({ tone = 'idle', children }) {
  return html`<span class=${`badge ${tone}`}><span aria-hidden="true">${SIGNS[tone]}</span> ${children}</span>`;
}

/** @param {{title: any, side?: any, id?: string, wide?: boolean, children?: any}} props */
export function Panel({ title, side, id, wide, children }) {
  return html`<section class=${`panel${wide ? ' wide' : ''}`} id=${id} aria-label=${typeof title === 'string' ? title : undefined}>
    <header><h2>${title}</h2>${side && html`<div class="side">${side}</div>`}</header>
    <div class="body">${children}</div>
  </section>`;
}

/** @param {{title: string, children?: any}} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><p><b>${title}</b></p>${children && html`<p>${children}</p>`}</div>`;
}

/** Why there is nothing to show. @param {{error: any}} props */
export function Problem({ error }) {
  const { title, detail, code } = explain(error);
  const tone = code === 'not_found' ? 'absent' : 'problem';
  return html`<div class=${tone} role=${tone === 'problem' ? 'alert' : undefined}>
    <p><b>${plain(title)}</b>${code && code !== 'not_found' && html` <code>${code}</code>`}</p>
    <p><${Text} text=${detail} /></p>
  </div>`;
}

export const Loading = () => html`<div class="loading" role="status">Reading…</div>`;

/** A read's answer, drawn by `children`; else why there is none. @param {{of: import('./reads.js').Read, children: (data: any) => any}} props */
export function Answer({ of, children }) {
  if (of.data === undefined) return of.error ? html`<${Problem} error=${of.error} />` : html`<${Loading} />`;
  return html`${of.error && html`<${Problem} error=${of.error} />`}${children(of.data)}`;
}

/** A table that becomes cards on a phone. @param {{head: string[], rows: any[][], label: string, hrefs?: (string | undefined)[]}} props */
export function Table({ head, rows, label, hrefs }) {
  return html`<div class="scroll" role="region" aria-label=${`Table: ${label}`} tabindex="0"><table>
    <caption class="unseen">${label}</caption>
    <thead><tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${rows.map((cells, row) => html`<tr class=${hrefs?.[row] ? 'row' : ''} data-href=${hrefs?.[row]}>
      ${cells.map((cell, at) => html`<td data-name=${head[at]}>${cell}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

/** Names and values. @param {{rows: [string, any][]}} props */
export function Facts({ rows }) {
  const shown = rows.filter(([, value]) => value !== undefined && value !== false);
  return html`<dl class="facts">${shown.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** A share of a whole. @param {{part: number, of: number, label: string}} props */
export function Bar({ part, of, label }) {
  const width = of > 0 ? Math.max(0, Math.min(100, (part / of) * 100)) : 0;
  return html`<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=${label}>
    <rect class="whole" width="100" height="6" rx="2" /><rect class="part" width=${width} height="6" rx="2" /></svg>`;
}

/** @param {any} value */
export const pretty = (value) => plain(JSON.stringify(value, null, 2)).replaceAll('⟦U+000A⟧', '\n');

/** A document as JSON; a large one is cut, and can be saved. @param {{value: any, name?: string, open?: boolean, title?: string}} props */
export function Json({ value, name = 'document', open = false, title = 'as JSON' }) {
  const text = JSON.stringify(value, null, 2) ?? '';
  const isLarge = text.length > 65536;
  return html`<details class="json" open=${open}><summary>${title} <span class="dim">${text.length.toLocaleString('en')} characters</span></summary>
    ${isLarge && html`<p class="dim">The first 4,096 characters are shown.</p>`}
    <pre tabindex="0" aria-label=${title}><code>${plain(isLarge ? text.slice(0, 4096) : text)}</code></pre>
    <p><${Save} text=${text} name=${`${name}.json`}>Save<//> <${Copy} text=${text} what="the document" /></p>
  </details>`;
}

/** Saves a text as a file. @param {{text: string, name: string, children?: any}} props */
export function Save({ text, name, children }) {
  const save = () => {
    const address = URL.createObjectURL(new Blob([text], { type: 'application/octet-stream' }));
    const anchor = document.createElement('a');
    anchor.href = address;
    anchor.download = name;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };
  return html`<button type="button" onClick=${save}>${children ?? 'Save'}</button>`;
}

/** @param {{to: string, query?: any, children?: any, class?: string, current?: boolean}} props */
export function Link({ to, query, children, class: name, current }) {
  return html`<a href=${link(to, query)} class=${name} aria-current=${current ? 'page' : undefined}>${children}</a>`;
}
