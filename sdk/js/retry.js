// @ts-check
// When a proposal is tried again, and how long to wait before. Nothing here waits.

import { retries } from './chart.js';

/** Statuses that say "not now", of a node or of a proxy. */
export const passing = Object.freeze([408, 429, 502, 503, 504]);

/**
 * How often and how patiently a proposal is tried again. Times are in milliseconds.
 * @typedef {{attempts: number, firstWaitMs: number, longestWaitMs: number, patienceMs: number}} RetryPolicy
 */
/** @type {Readonly<RetryPolicy>} */
export const defaultPolicy = Object.freeze({ attempts: 10, firstWaitMs: 50, longestWaitMs: 5000, patienceMs: 30000 });

/**
 * Why an attempt did not end the matter.
 * @typedef {object} Cause
 * @property {'again' | 'sign' | 'held' | 'end'} step
 * @property {string} detail
 * @property {number} [askedMs] The wait that the node asks for.
 * @property {import('./api').Problem} [problem]
 * @property {boolean} mayBeAccepted
 * @property {string} [calledAt] The head at which the node called this caller out of its line.
 */

/**
 * The wait after an attempt, counted from 1; undefined to give up. `random` is from 0 to 1.
 * The node's own wait is kept in full; a random part of the back-off, which grows with the tidal pressure, comes on top.
 * @param {RetryPolicy} policy @param {number} attempt @param {number} waitedMs @param {Cause} cause
 * @param {number} pressure @param {number} random
 */
export function waitMs(policy, attempt, waitedMs, cause, pressure, random) {
  if (attempt >= policy.attempts) return undefined;
  if (cause.calledAt !== undefined) return 0;
  const first = (policy.firstWaitMs * (1000 + 4 * Math.min(pressure, 1000))) / 1000;
  const jitter = Math.min(first * 2 ** (attempt - 1), policy.longestWaitMs);
  const wait = (cause.askedMs ?? 0) + Math.round(jitter * random);
  return waitedMs + wait <= policy.patienceMs ? wait : undefined;
}

/** The body as a problem document, if it is one. @param {string} body @returns {import('./api').Problem | undefined} */
export function problemOf(body) {
  try {
    const found = JSON.parse(body);
    return typeof found?.code === 'string' ? found : undefined;
  } catch {
    return undefined;
  }
}

/** @param {string} code @param {number} status @returns {Cause['step']} */
function stepOf(code, status) {
  if (code === 'outcome_held') return 'held';
  if (code === 'follower' || code === 'project_damaged') return 'end'; // until the operator acts
  if (passing.includes(status)) return 'again';
  return ['head', 'clock', 'restamp'].includes(retries[code]) ? 'sign' : 'end';
}

/**
 * The next step after an answer that is no receipt.
 * @param {{status: number, retryAfter?: string | null, body: string}} reply @returns {Cause}
 */
export function causeOf({ status, retryAfter, body }) {
  const problem = problemOf(body);
  const header = /^[0-9]{1,9}$/.test(retryAfter?.trim() ?? '') ? Number(retryAfter) * 1000 : undefined;
  if (problem === undefined) {
    const step = passing.includes(status) ? 'again' : 'end';
    return { step, detail: `the node answers with status ${status}`, askedMs: header, mayBeAccepted: step === 'again' };
  }
  const found = problem.retry_after_ms;
  const asked = Number.isSafeInteger(found) && Number(found) >= 0 ? found : undefined;
  const step = stepOf(problem.code, status);
  const called = problem.code === 'stale_head' && asked === 0 ? problem.head : undefined;
  return {
    step,
    detail: `${problem.code}: ${problem.detail}`,
    askedMs: asked ?? header,
    problem,
    mayBeAccepted: step === 'again' && (problem.code === 'not_durable' || !(problem.code in retries)),
    calledAt: called,
  };
}

/** Waits; an abort ends it early. @param {number} ms @param {AbortSignal} [signal] */
export const sleep = (ms, signal) => new Promise((resolve, reject) => {
  if (signal?.aborted) return reject(signal.reason);
  const stop = () => { clearTimeout(timer); reject(signal?.reason); };
  const timer = setTimeout(() => { signal?.removeEventListener('abort', stop); resolve(undefined); }, ms);
  return signal?.addEventListener('abort', stop, { once: true });
});

/** The most telling text of a failed exchange. @param {any} error */
export function causeText(error) {
  return error?.cause?.code ?? error?.cause?.message ?? error?.message ?? String(error);
}
