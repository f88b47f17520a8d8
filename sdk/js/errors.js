// @ts-check
// Why something did not succeed. No error quotes a secret.

import { retries } from './chart.js';

export { DocumentError } from './canonical.js';
export { FormError } from './ids.js';
export { HlcError } from './hlc.js';
export { KeyFormError } from './keys.js';
export { NotProven } from './receipt.js';

/** @typedef {import('./api').Problem} Problem */

/** There is no answer. Nothing is known about the fate of the request. */
export class Unreachable extends Error {
  /** @param {string} detail */
  constructor(detail) {
    super(detail);
    this.name = 'Unreachable';
  }
}

/** An answer that SWOOSH does not give: another server may listen there. */
export class Unexpected extends Error {
  /** @param {string} address @param {number} status @param {string} found */
  constructor(address, status, found) {
    super(`${address} answers with status ${status} and a body that is no answer of SWOOSH: ${found.slice(0, 300)}`);
    this.name = 'Unexpected';
    this.status = status;
  }
}

/** The node does not accept a proposal, or refuses a read. */
export class Rejected extends Error {
  /** @param {Problem} problem @param {number} status */
  constructor(problem, status) {
    super(`${problem.code}: ${problem.detail}`);
    this.name = 'Rejected';
    this.problem = problem;
    this.status = status;
    this.code = String(problem.code);
    this.reasons = problem.reasons ?? [];
    this.guard = problem.guard;
    this.head = problem.head;
    /** How trying again can help. */
    this.retry = retries[this.code] ?? 'never';
  }
}

/** All attempts were made. With the same key the proposal is accepted at most once. */
export class GaveUp extends Error {
  /** @param {number} attempts @param {string} cause @param {string | undefined} key @param {boolean} mayBeAccepted */
  constructor(attempts, cause, key, mayBeAccepted) {
    const open = mayBeAccepted ? '; it may have been accepted all the same' : '';
    super(`gave up after ${attempts} attempts: ${cause}${open}${key ? `; propose it again under its key ${key}` : ''}`);
    this.name = 'GaveUp';
    this.attempts = attempts;
    this.key = key;
    this.mayBeAccepted = mayBeAccepted;
  }
}

/** No transition leads to the awaited state any more. */
export class CannotReach extends Error {
  /** @param {string} detail */
  constructor(detail) {
    super(detail);
    this.name = 'CannotReach';
  }
}
