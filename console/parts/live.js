// @ts-check
// One stream of events a tab. It is closed while the tab is hidden, and resumes behind the last event heard.

import { useEffect, useState } from './dom.js';
import { client, hasEvents } from './reads.js';

const LEAST_MS = 700;
const PLACES = 3;
/** @type {Set<() => void>} */
const listeners = new Set();

/** `state` is `live`, `looking` (without a stream), `waiting`, `held` or `closed`; `tick` grows when there is something new to read. */
export const live = { state: 'waiting', tick: 0, heard: 0, project: /** @type {string | undefined} */ (undefined), rate: 0 };
let stop = new AbortController();
let isBegun = false;
let lastTick = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let due;
/** @type {Map<string, string>} */
const after = new Map();

const tell = () => listeners.forEach((listener) => listener());

/** @param {string} state */
function become(state) {
  if (live.state === state) return;
  live.state = state;
  tell();
}

/** Reads again soon, at most once in a while, however much happens. */
export function refresh() {
  if (due || live.state === 'held') return;
  due = setTimeout(() => {
    due = undefined;
    lastTick = Date.now();
    live.tick += 1;
    tell();
  }, Math.max(0, LEAST_MS - (Date.now() - lastTick)));
}

/** @param {string | undefined} project */
const kindsOf = async (project) => (project === undefined && await hasEvents('pulse') ? ['pulse', 'health', 'effect'] : ['transition', 'effect', 'health']);

/** @param {AbortSignal} signal @param {string | undefined} project @param {readonly string[]} kinds */
async function listen(signal, project, kinds) {
  const place = project ?? '';
  for await (const event of client.events({ project, kinds, after: after.get(place), signal })) {
    if (event.id !== undefined && event.kind !== 'listening') after.set(place, event.id);
    if (event.kind === 'listening') become('live');
    live.heard += event.kind === 'transition' ? 1 : Number(event.data?.accepted ?? 0);
    refresh();
  }
}

/**
 * Streams while one of a few places is free: over HTTP/1.1 a browser has six connections for all tabs. Other tabs look for themselves.
 * @param {AbortSignal} signal @param {() => Promise<void>} stream
 */
async function inPlace(signal, stream) {
  if (!navigator.locks) return stream();
  while (!signal.aborted) {
    for (let place = 0; place < PLACES; place += 1) {
      const isTaken = await navigator.locks.request(`stream ${place}`, { ifAvailable: true }, async (lock) => {
        if (lock) await stream();
        return lock !== null;
      });
      if (isTaken) return undefined;
    }
    become('looking');
    refresh();
    await new Promise((resolve) => { setTimeout(resolve, 5000); });
  }
  return undefined;
}

async function run() {
  stop.abort();
  stop = new AbortController();
  const { signal } = stop;
  const { project } = live;
  become('waiting');
  try {
    const kinds = await kindsOf(project);
    await inPlace(signal, () => listen(signal, project, kinds));
  } catch {
    if (!signal.aborted) become('closed');
  }
}

/** Follows a project, or the whole node. @param {string | undefined} project */
export function follow(project) {
  if (isBegun && live.project === project) return;
  live.project = project;
  isBegun = true;
  if (!document.hidden && live.state !== 'held') void run();
}

/** Holds the page as it is, or goes on. */
export function hold() {
  if (live.state === 'held') {
    live.state = 'waiting';
    void run();
    refresh();
  } else {
    stop.abort();
    become('held');
  }
}

document.addEventListener('visibilitychange', () => {
  if (!isBegun || live.state === 'held') return;
  if (document.hidden) {
    stop.abort();
    become('waiting');
  } else {
    void run();
  }
});

// A stream that ended says nothing: the page looks for itself from time to time.
setInterval(() => {
  if (!document.hidden && live.state !== 'held' && Date.now() - lastTick > 15000) refresh();
}, 5000);

/** The state of the stream; the caller is drawn again when there is something new. */
export function useLive() {
  const [, draw] = useState(0);
  useEffect(() => {
    const listener = () => draw((count) => count + 1);
    listeners.add(listener);
    return () => { listeners.delete(listener); };
  }, []);
  return live;
}
