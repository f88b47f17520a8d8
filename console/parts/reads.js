// @ts-check
// Reads of the node.

import { Client, Rejected, Unreachable } from '../sdk/index.js';
import { useEffect, useState } from './dom.js';
import { node } from './place.js';

/** The way to the node. Its options get a reader where reads are closed and a key is loaded. */
export const client = new Client(node, {});

/** @type {{identity: import('../sdk/keys.js').Identity | undefined}} */
export const reader = { identity: undefined };

/** The route is not part of this node. @param {unknown} error */
export const isAbsent = (error) => error instanceof Rejected && error.status === 404 && error.code === 'not_found';
/** The node knows the route, and not this parameter of it. @param {unknown} error */
export const isOldQuery = (error) => error instanceof Rejected && error.code === 'bad_query';

/** @type {Promise<any> | undefined} */
let described;
/** The node's own description, which says what it serves; empty where it cannot be read. */
export function description() {
  described ??= signedGet('/openapi.json').catch(() => ({}));
  return described;
}

/**
 * What the node cannot answer is not asked: an older node has fewer routes and parameters.
 * @param {string} path @param {{[name: string]: unknown}} query
 */
async function lacks(path, query) {
  const { paths } = await description();
  if (!paths) return undefined;
  const name = Object.keys(paths).find((one) => one === path || (one.includes('{') && path.startsWith(one.split('{')[0])));
  const route = name && paths[name].get;
  if (!route) return { code: 'not_found', status: 404 };
  const known = new Set((route.parameters ?? []).map((/** @type {any} */ one) => one.name));
  return Object.entries(query).every(([word, value]) => value === undefined || known.has(word)) ? undefined : { code: 'bad_query', status: 400 };
}

/** Whether the node has a kind of event. @param {string} kind */
export async function hasEvents(kind) {
  const { components } = await description();
  return Boolean(components?.schemas.EventKinds?.pattern?.includes(kind));
}

/** @param {string} path @param {{[name: string]: string | number | undefined}} [query] @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(path, query = {}, signal) {
  if (path !== '/openapi.json' && path !== '/health') {
    const lack = await lacks(path, query);
    if (lack) throw new Rejected(/** @type {any} */ ({ ...lack, detail: `this node does not serve ${path} like this`, reasons: [] }), lack.status);
  }
  return path === '/openapi.json' ? description() : signedGet(path, query, signal);
}

/**
 * One read; signed where the node asks for that and a key is loaded.
 * @param {string} path @param {{[name: string]: string | number | undefined}} [query] @param {AbortSignal} [signal] @returns {Promise<any>}
 */
async function signedGet(path, query = {}, signal) {
  try {
    return await client.get(path, query, { signal });
  } catch (error) {
    const closed = error instanceof Rejected && error.code === 'reads_closed';
    if (!closed || !reader.identity || client.options.reader) throw error;
    client.options.reader = reader.identity;
    return client.get(path, query, { signal });
  }
}

/** The first of some reads whose route and parameters the node knows. @param {(() => Promise<any>)[]} ways */
export async function either(...ways) {
  let last;
  for (const way of ways) {
    try {
      return await way();
    } catch (error) {
      if (!isAbsent(error) && !isOldQuery(error)) throw error;
      last = error;
    }
  }
  throw last;
}

/** @typedef {{data: any, error: any, loading: boolean}} Read */

/**
 * The answer of a read, kept while it is read again. An undefined `key` reads nothing.
 * @param {string | undefined} key What is read; another key drops the old answer.
 * @param {(signal: AbortSignal) => Promise<any>} read @param {unknown} [tick] Reads again when it changes. @returns {Read}
 */
export function useAnswer(key, read, tick) {
  const [found, set] = useState(/** @type {Read & {key?: string}} */ ({ data: undefined, error: undefined, loading: true }));
  useEffect(() => {
    if (key === undefined) return undefined;
    const stop = new AbortController();
    read(stop.signal).then(
      (data) => { if (!stop.signal.aborted) set({ key, data, error: undefined, loading: false }); },
      (error) => { if (!stop.signal.aborted) set((old) => ({ key, data: old.key === key ? old.data : undefined, error, loading: false })); },
    );
    return () => stop.abort();
  }, [key, tick]);
  return found.key === key ? found : { data: undefined, error: undefined, loading: true };
}

/** The answer of a route. @param {string | undefined} path @param {{[name: string]: string | number | undefined}} [query] @param {unknown} [tick] */
export function useRead(path, query = {}, tick) {
  const key = path === undefined ? undefined : path + JSON.stringify(query);
  return useAnswer(key, (signal) => get(/** @type {string} */ (path), query, signal), tick);
}

/** Why a read did not succeed, for a person. @param {any} error */
export function explain(error) {
  if (isAbsent(error)) return { title: 'This node does not have this yet', detail: 'The route is not part of its version. Update the node to see it.', code: 'not_found' };
  if (error instanceof Rejected) {
    const closed = error.code === 'reads_closed';
    const hint = closed ? ' Load the key of a reader on the page Keys, or open the console with a client certificate.' : '';
    return { title: error.problem.title ?? error.code, detail: error.problem.detail + hint, code: error.code };
  }
  if (error instanceof Unreachable) return { title: 'The node does not answer', detail: 'The page keeps the last answer and asks again.', code: undefined };
  return { title: 'The answer cannot be shown', detail: String(error?.message ?? error), code: undefined };
}

/** Names of a project's identities by key. @param {string | undefined} project @param {unknown} [tick] */
export function useNames(project, tick) {
  const read = useAnswer(project && `names ${project}`, () => either(
    async () => (await get('/identities', { project })).identities,
    async () => {
      const state = await client.state(/** @type {string} */ (project), ['boot']);
      const boot = /** @type {any} */ (state.projection.boot ?? {});
      return Object.entries(boot.identities ?? {}).map(([key, grant]) => ({ key, .../** @type {any} */ (grant) }));
    },
  ), tick);
  return new Map((read.data ?? []).map((/** @type {any} */ one) => [one.key, one]));
}
