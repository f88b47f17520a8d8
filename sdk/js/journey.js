// @ts-check
// One proposal on its way: signed once, posted until there is an answer.

import { parse } from './canonical.js';
import { Rejected, Unexpected, Unreachable } from './errors.js';
import { checkDraft, keyOf, signProposal } from './proposal.js';
import { NotProven, checkReceipt } from './receipt.js';
import { causeOf, passing } from './retry.js';

/** @typedef {import('./retry.js').Cause} Cause */
/** @typedef {{kind: 'accepted', receipt: import('./api').Receipt, body: string, replayed: boolean, attempts: number}} Accepted */
/** @typedef {{kind: 'held', key: string, problem: import('./api').Problem | undefined, attempts: number}} Held */

/** @param {import('./api').TransitionsAnswer} view @param {string} transition */
const needsWindow = (view, transition) => view.transitions.some((known) => known.transition === transition && known.window);

/** Whether the same read may succeed later. @param {unknown} error */
function isPassing(error) {
  if (error instanceof Unreachable) return true;
  if (error instanceof Rejected && error.code === 'project_damaged') return false;
  return (error instanceof Rejected || error instanceof Unexpected) && passing.includes(error.status);
}

export class Journey {
  /** @param {import('./client.js').Client} client @param {import('./proposal.js').Draft} draft */
  constructor(client, draft) {
    checkDraft(draft);
    if (!client.options.identity) throw new TypeError('this client only reads; give it an identity to propose');
    this.client = client;
    this.draft = draft;
    this.identity = client.options.identity;
    this.project = draft.project ?? 'default';
    /** @type {string | undefined} */
    this.key = undefined;
    /** @type {Uint8Array | undefined} */
    this.body = undefined;
    /** @type {Cause | undefined} */
    this.cause = undefined;
    this.headMoved = false;
    this.mayBeAccepted = false;
    this.followers = 0;
  }

  /** Takes note of why an attempt did not end the matter. @param {Cause} cause */
  failed(cause) {
    this.cause = cause;
    this.mayBeAccepted ||= cause.mayBeAccepted;
    if (cause.step === 'sign') {
      this.body = undefined;
      this.headMoved ||= cause.problem?.code === 'stale_head';
    }
  }

  /** Fills in what the draft leaves open, and signs. @param {AbortSignal} [signal] */
  async sign(signal) {
    const { client, draft } = this;
    const cluster = await client.cluster({ signal });
    // The wall here is slow. The clock follows the node's own time from now on.
    if (this.cause?.problem?.code === 'hlc_behind') await client.health({ signal });
    const view = await this.view(signal);
    const windowId = draft.windowId !== undefined || !view ? draft.windowId : needsWindow(view, draft.transition) ? view.window_id : undefined;
    this.key ??= keyOf(draft, draft.beat ?? (await this.beat(view, signal)));
    const head = await this.head(signal);
    return signProposal(this.identity, cluster, draft, { head, idemKey: this.key, hlc: client.clock.next(), windowId });
  }

  /** The place in the schedule, where key or window need it. A window is that of now, so it is read each time. @param {AbortSignal} [signal] */
  async view(signal) {
    const { client, draft } = this;
    const knowsBeat = draft.beat !== undefined || draft.at !== undefined || this.key !== undefined;
    if (knowsBeat && draft.windowId !== undefined) return undefined;
    const fresh = client.freshView(this.project);
    if (fresh && (draft.windowId !== undefined || !needsWindow(fresh, draft.transition))) return fresh;
    return client.transitions(this.project, { signal });
  }

  /** @param {import('./api').TransitionsAnswer | undefined} view @param {AbortSignal} [signal] */
  async beat(view, signal) {
    if (this.draft.at === undefined) return /** @type {import('./api').TransitionsAnswer} */ (view).beat;
    const answer = await this.client.windows(this.project, this.draft.at, 0, { signal });
    const { beat } = /** @type {{beat?: unknown}} */ (answer.outlook ?? {});
    if (typeof beat !== 'number') throw new NotProven(`the node knows no schedule that is valid at ${this.draft.at}`);
    return beat;
  }

  /** @param {AbortSignal} [signal] */
  async head(signal) {
    const { head, onlyOnHead } = this.draft;
    if (head !== undefined && (onlyOnHead || !this.headMoved)) return head;
    return this.cause?.calledAt ?? this.client.head(this.project, { signal });
  }

  /** @param {number} number @param {AbortSignal} [signal] @returns {Promise<Accepted | Held | Cause>} */
  async attempt(number, signal) {
    const { client, draft } = this;
    try {
      this.body ??= await this.sign(signal);
    } catch (error) {
      if (!isPassing(error)) throw error;
      const askedMs = error instanceof Rejected ? error.problem.retry_after_ms : undefined;
      return { step: 'sign', detail: String(error), askedMs, mayBeAccepted: false };
    }
    /** @type {{[name: string]: string}} */
    const headers = { 'content-type': 'application/json', ...client.trace() };
    // One that can be signed again may wait for its turn at the project.
    const inLine = Math.min(10, Math.floor((client.options.exchangeMs ?? 30000) / 1000) - 1);
    if (!draft.onlyOnHead && inLine > 0) headers.prefer = `wait=${inLine}`;
    try {
      const body = /** @type {BodyInit} */ (this.body);
      return await this.judge(await client.exchange(client.target('/transition'), { method: 'POST', headers, body }, signal), number);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      client.nextAddress();
      return { step: 'again', detail: error.message, mayBeAccepted: true };
    }
  }

  /** @param {import('./client.js').Reply} reply @param {number} attempts @returns {Promise<Accepted | Held | Cause>} */
  async judge(reply, attempts) {
    const { client } = this;
    if (reply.status === 200 || reply.status === 202) {
      return { kind: 'accepted', receipt: await this.receipt(reply), body: reply.body, replayed: reply.replayed, attempts };
    }
    const cause = causeOf(reply);
    client.follow(cause.problem);
    if (cause.step === 'held') return { kind: 'held', key: String(this.key), problem: cause.problem, attempts };
    if (cause.problem?.code === 'follower' && this.followers + 1 < client.addresses.length) {
      // Another address of the cluster takes proposals.
      this.followers += 1;
      client.nextAddress();
      return { ...cause, step: 'again', askedMs: 0 };
    }
    if (cause.step === 'end' || (cause.problem?.code === 'stale_head' && this.draft.onlyOnHead)) {
      if (cause.problem) throw new Rejected(cause.problem, reply.status);
      throw new Unexpected(client.address, reply.status, reply.body);
    }
    if (cause.step === 'again' && reply.status >= 500) client.nextAddress();
    return cause;
  }

  /** The receipt of an answer, which proves itself and is this proposal's. @param {import('./client.js').Reply} reply */
  async receipt(reply) {
    let receipt;
    try {
      receipt = parse(new TextEncoder().encode(reply.body));
    } catch (error) {
      throw new NotProven(`the receipt is no strict document: ${error}`);
    }
    await checkReceipt(receipt, await this.client.cluster(), this.client.options.node);
    const mine = { idem_key: this.key, project: this.project, transition: this.draft.transition };
    for (const [name, expected] of Object.entries(mine)) {
      if (receipt[name] !== expected) throw new NotProven(`the receipt's ${name} is ${receipt[name]}, the proposal's is ${expected}`);
    }
    this.client.follow(receipt);
    return receipt;
  }
}
