// @ts-check
// Keys of the keyboard.

import { html, useEffect, useRef } from './dom.js';
import { hold } from './live.js';
import { go, link, place } from './place.js';
import { nextZone } from './time.js';

const PAGES = { o: '', p: 'p', r: 'rejections', w: 'windows', f: 'facts', l: 'license', n: 'node', c: 'cluster', m: 'migration', k: 'keys' };
const KEYS = [
  ['/', 'Search'], ['g o', 'Overview'], ['g p', 'Projects'], ['g r', 'Rejections'], ['g w', 'Windows'], ['g f', 'Facts'], ['g n', 'Node'],
  ['g k', 'Keys'], ['j, k', 'Next row, row before'], ['Enter', 'Open the row'], ['x', 'Mark a record for a comparison'],
  ['d', 'Compare the marked records'], ['a', 'Act on the project'], ['t', 'How times are written'], ['.', 'Hold the page, or go on'],
  ['Esc', 'Back'], ['?', 'This list'],
];

/** Marked records. @type {string[]} */
export const marked = [];

const rows = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll('main tr.row a:first-of-type')]
  .filter((anchor, at, all) => all.findIndex((other) => other.closest('tr') === anchor.closest('tr')) === at));

/** @param {number} step */
function move(step) {
  const all = rows();
  const at = all.findIndex((anchor) => anchor.closest('tr')?.contains(document.activeElement));
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

function mark() {
  const row = document.activeElement?.closest('tr.row');
  const index = /\/r\/(\d+)/.exec(row?.getAttribute('data-href') ?? '')?.[1];
  if (!row || !index) return;
  const at = marked.indexOf(index);
  if (at >= 0) marked.splice(at, 1);
  else marked.push(index);
  if (marked.length > 2) marked.shift();
  document.querySelectorAll('tr.row').forEach((other) => {
    const found = /\/r\/(\d+)/.exec(other.getAttribute('data-href') ?? '')?.[1];
    other.classList.toggle('marked', marked.includes(String(found)));
  });
}

function compare() {
  if (marked.length === 2) {
    const [one, other] = marked.map(Number).sort((left, right) => left - right);
    go(link(`compare/${one}..${other}`));
  }
}

function act() {
  const [first, project] = place().words;
  go(link('act', { project: first === 'p' ? project : place().query.project }));
}

/** @param {(shown: boolean) => void} showHelp */
export function useKeyboard(showHelp) {
  useEffect(() => {
    let before = '';
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      const writes = target.matches('input, textarea, select');
      if (event.key === 'Escape') {
        if (document.querySelector('dialog[open]')) return showHelp(false);
        return writes ? target.blur() : history.back();
      }
      if (writes || event.ctrlKey || event.metaKey || event.altKey) return undefined;
      const page = before === 'g' ? PAGES[/** @type {keyof PAGES} */ (event.key)] : undefined;
      before = before === 'g' ? '' : event.key;
      if (page !== undefined) return go(link(page));
      /** @type {{[key: string]: () => void}} */
      const does = {
        '/': () => { event.preventDefault(); document.getElementById('search')?.focus(); },
        '?': () => showHelp(true), t: nextZone, '.': hold, j: () => move(1), k: () => move(-1), x: mark, d: compare, a: act,
      };
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        if (!target.closest('tr.row')) return undefined;
        event.preventDefault();
        return move(event.key === 'ArrowDown' ? 1 : -1);
      }
      return does[event.key]?.();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}

/** @param {{close: () => void}} props */
export function Help({ close }) {
  const dialog = useRef(/** @type {any} */ (null));
  useEffect(() => { dialog.current?.showModal(); }, []);
  return html`<dialog ref=${dialog} onClose=${close} aria-label="Keys of the keyboard">
    <h2>Keys of the keyboard</h2>
    <dl class="keys">${KEYS.map(([key, does]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${does}</dd></div>`)}</dl>
    <form method="dialog"><button>Close</button></form>
  </dialog>`;
}
