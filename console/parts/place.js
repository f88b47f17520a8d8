// @ts-check
// Where the person is: the address is the state of each page.

import { useEffect, useState } from './dom.js';

/** The console's own address, with a slash at the end; behind a proxy it has the proxy's prefix. */
export const root = new URL('../', import.meta.url);
/** The node's address, without a slash at the end. */
export const node = new URL('../', root).href.replace(/\/$/, '');

/** The address of a page. @param {string} path @param {{[name: string]: string | number | undefined | null}} [query] */
export function link(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const words = given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&');
  return root.pathname + path + (words && `?${words}`);
}

/** The parts of the present address. */
export function place() {
  const path = location.pathname.startsWith(root.pathname) ? location.pathname.slice(root.pathname.length) : '';
  const words = path.split('/').filter(Boolean).map((word) => { try { return decodeURIComponent(word); } catch { return word; } });
  return { path, words, query: Object.fromEntries(new URLSearchParams(location.search)) };
}

const changed = () => dispatchEvent(new Event('placed'));

/** Opens a page. @param {string} href @param {{replace?: boolean}} [how] */
export function go(href, { replace = false } = {}) {
  if (href === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState']({}, '', href);
  if (!replace) scrollTo(0, 0);
  changed();
}

/** Changes words of the query; typing replaces, choosing pushes. @param {{[name: string]: string | number | undefined | null}} query @param {{replace?: boolean}} [how] */
export function ask(query, how) {
  const now = place();
  go(link(now.path, { ...now.query, ...query }), how);
}

/** The present place; the caller is drawn again when it changes. */
export function usePlace() {
  const [, draw] = useState(0);
  useEffect(() => {
    const moved = () => draw((count) => count + 1);
    addEventListener('placed', moved);
    addEventListener('popstate', moved);
    return () => {
      removeEventListener('placed', moved);
      removeEventListener('popstate', moved);
    };
  }, []);
  return place();
}

/** Follows links of the console without a new page. */
export function followLinks() {
  document.addEventListener('click', (event) => {
    const found = /** @type {Element} */ (event.target).closest?.('a[href]');
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!plain || event.defaultPrevented || !(found instanceof HTMLAnchorElement) || found.target || found.hasAttribute('download')) return;
    if (found.origin !== location.origin || !found.pathname.startsWith(root.pathname) || found.hash) return;
    event.preventDefault();
    go(found.pathname + found.search);
  });
}
