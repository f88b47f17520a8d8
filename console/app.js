// @ts-check
// The console of a node: header, pages, keys of the keyboard.

import { Fragment, html, render, useEffect, useRef, useState } from './parts/dom.js';
import { Help, useKeyboard } from './parts/keyboard.js';
import { useSigner } from './parts/keystore.js';
import { follow, hold, useLive } from './parts/live.js';
import { followLinks, go, link, root, usePlace } from './parts/place.js';
import { useRead } from './parts/reads.js';
import { Badge, Link, plain } from './parts/show.js';
import { nextZone, useZone } from './parts/time.js';
import { Act, Actions } from './pages/act.js';
import { Cluster, Facts, License, Migration, Node, Windows } from './pages/node.js';
import { Compare, Record } from './pages/record.js';
import { Keys } from './pages/keys.js';
import { Overview } from './pages/overview.js';
import { Project } from './pages/project.js';
import { Projects } from './pages/projects.js';
import { Rejections } from './pages/rejections.js';

/** @type {{[name: string]: {title: string, page: any}}} */
const pages = {
  '': { title: 'Overview', page: Overview },
  p: { title: 'Projects', page: Projects },
  rejections: { title: 'Rejections', page: Rejections },
  windows: { title: 'Windows', page: Windows },
  facts: { title: 'Facts', page: Facts },
  license: { title: 'License', page: License },
  node: { title: 'Node', page: Node },
  cluster: { title: 'Cluster', page: Cluster },
  migration: { title: 'Migration', page: Migration },
  keys: { title: 'Keys', page: Keys },
};

/** The page of an address, its title, and the project that it follows. @param {string[]} words */
function pageOf(words) {
  const [first = '', second] = words;
  if (first === 'p' && second) return { title: second, project: second, view: html`<${Project} key=${second} name=${second} />` };
  if (first === 'r' && /^[1-9][0-9]{0,15}$/.test(second ?? '')) return { title: `Record ${second}`, view: html`<${Record} index=${Number(second)} />` };
  if (first === 'compare' && second) return { title: 'Compare', view: html`<${Compare} range=${second} />` };
  if (first === 'act' && second) return { title: second, view: html`<${Act} key=${second} transition=${second} />` };
  if (first === 'act') return { title: 'Act', view: html`<${Actions} />` };
  const known = words.length <= 1 ? pages[first] : undefined;
  if (known) return { title: known.title, view: html`<${known.page} />` };
  return { title: 'No such page', view: html`<div class="problem" role="alert"><h1>There is no such page</h1><p><${Link} to="">Overview<//></p></div>` };
}

const theme = {
  /** @param {string} name */
  set(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem('theme', name); } catch { /* the choice lasts for this page */ }
  },
  next() {
    const isDark = document.documentElement.dataset.theme === 'dark'
      || (!document.documentElement.dataset.theme && matchMedia('(prefers-color-scheme: dark)').matches);
    theme.set(isDark ? 'light' : 'dark');
  },
};

/** Where a text of the search leads. @param {string} text */
export function searched(text) {
  const found = text.trim();
  if (/^[1-9][0-9]{0,15}$/.test(found)) return link(`r/${found}`);
  const effect = /^([a-z0-9][a-z0-9._-]{0,62})\/([0-9]+)-[0-9a-f]{16}\/[a-z_]+$/.exec(found);
  if (effect) return link(`p/${effect[1]}`, { tab: 'effects' });
  const decision = /^bubble:\/\/dr\/[a-z0-9][a-z0-9._-]{0,62}\/([0-9]+)-[0-9a-f]{16}$/.exec(found);
  if (decision) return link(`r/${decision[1]}`);
  if (/^hmmm:pubkey:/.test(found)) return link('rejections', { signer: found });
  return link('p', { prefix: found.toLowerCase() });
}

function Search() {
  const search = (/** @type {any} */ event) => {
    event.preventDefault();
    const text = event.target.elements.text.value;
    if (text.trim()) go(searched(text));
  };
  return html`<form class="search" role="search" onSubmit=${search}>
    <input name="text" id="search" type="search" aria-label="Search" placeholder="Project, record, decision or key" autocomplete="off" spellcheck="false" />
    <kbd aria-hidden="true">/</kbd>
  </form>`;
}

const TONES = { accepting: 'good', following: 'info', draining: 'warn', refusing: 'bad', read_only: 'bad' };
const STREAMS = { live: ['good', 'live'], looking: ['good', 'every 5 s'], waiting: ['idle', 'waiting'], held: ['warn', 'held'], closed: ['bad', 'not live'] };

/** Records a second, over the last reads. @param {number | undefined} index */
function useRate(index) {
  const seen = useRef(/** @type {[number, number][]} */ ([]));
  if (index !== undefined && seen.current.at(-1)?.[1] !== index) seen.current = [...seen.current.slice(-9), [Date.now(), index]];
  const [first, last] = [seen.current[0], seen.current.at(-1)];
  return first && last && last[0] - first[0] > 500 ? ((last[1] - first[1]) * 1000) / (Date.now() - first[0]) : 0;
}

function Header() {
  const stream = useLive();
  const zone = useZone();
  const { data, error } = useRead('/health', {}, stream.tick);
  const rate = useRate(data?.last_index);
  const signer = useSigner();
  const [tone, word] = STREAMS[/** @type {keyof STREAMS} */ (stream.state)];
  const mode = error ? 'no answer' : data?.mode ?? '…';
  return html`<header class="top">
    <a class="brand" href=${link('')} aria-label="SWOOSH, overview">SWOOSH</a>
    <span class="cluster">${plain(data?.cluster ?? '')}</span>
    <${Badge} tone=${error ? 'bad' : TONES[/** @type {keyof TONES} */ (mode)] ?? 'idle'}>${mode}<//>
    <span class="number" title="The last record that is durable"><span class="dim">rec</span> ${data ? data.last_index.toLocaleString('en') : '–'}</span>
    <span class="number" title="Records a second"><span class="dim">${rate.toFixed(rate < 10 ? 1 : 0)}/s</span></span>
    <${Search} />
    <div class="tools">
      <button type="button" class=${`stream ${tone}`} onClick=${hold} title="Hold the page, or go on (.)"><span aria-hidden="true">${stream.state === 'held' ? '❚❚' : '●'}</span> ${word}</button>
      <button type="button" onClick=${nextZone} title="Change how times are written (t)">${zone === 'utc' ? 'UTC' : zone}</button>
      <button type="button" onClick=${theme.next} title="Light or dark" aria-label="Light or dark">◐</button>
      <${Link} to="keys" class="button">${signer ? plain(signer.name) : 'read only'}<//>
    </div>
  </header>`;
}

function Menu({ at }) {
  return html`<nav class="menu" aria-label="Pages">${Object.entries(pages).map(([path, { title }]) => html`<${Link} to=${path} current=${path === at}>${title}<//>`)}</nav>`;
}

function App() {
  const { words, path } = usePlace();
  const { title, view, project } = pageOf(words);
  const [help, showHelp] = useState(false);
  const main = useRef(/** @type {any} */ (null));
  useKeyboard(showHelp);
  useEffect(() => { follow(project); }, [project]);
  useEffect(() => { document.title = `${title} · SWOOSH`; }, [title]);
  return html`<${Fragment}>
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
    <${Header} />
    <${Menu} at=${words[0] ?? ''} />
    <main id="main" tabindex="-1" ref=${main} data-path=${path}>${view}</main>
    <footer><span>Everything shown is read from this node. ✔ means checked in this browser.</span> <button type="button" class="plain" onClick=${() => showHelp(true)}>Keyboard (?)</button></footer>
    ${help && html`<${Help} close=${() => showHelp(false)} />`}
  <//>`;
}

try {
  const kept = localStorage.getItem('theme');
  if (kept === 'dark' || kept === 'light') theme.set(kept);
} catch { /* the system's choice holds */ }
// The browser resolves a relative address again after each step of the history.
for (const icon of document.querySelectorAll('link[rel="icon"]')) icon.setAttribute('href', new URL('icon.svg', root).pathname);
followLinks();
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById('app')));
