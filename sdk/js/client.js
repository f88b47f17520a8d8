// @ts-check
// A client of a node, or of several nodes of one cluster.

import { canonical } from './canonical.js';
import { CannotReach, GaveUp, Rejected, Unexpected, Unreachable } from './errors.js';
import { EventReader, Position } from './events.js';
import { HlcClock } from './hlc.js';
import { FormError, checkForm } from './ids.js';
import { Journey } from './journey.js';
import { readHeaders } from './proposal.js';
import { NotProven, isProven } from './receipt.js';
import { causeText, defaultPolicy, passing, problemOf, sleep, waitMs } from './retry.js';
import { election } from './council.js';

/** @typedef {import('./keys.js').Identity} Identity */
/** @typedef {import('./proposal.js').Draft} Draft */
/** @typedef {import('./retry.js').Cause} Cause */
/** @typedef {{status: number, body: string, retryAfter: string | null, replayed: boolean}} Reply */
/**
 * @typedef {object} Options
 * @property {string} [cluster] The cluster that signatures name; the node is asked where it is left out.
 * @property {Identity} [identity] Signs proposals, and reads.
 * @property {Identity} [reader] Signs reads, where another identity does.
 * @property {string} [node] The one key whose receipts are taken.
 * @property {HlcClock} [clock] Shared with other clients of the cluster.
 * @property {import('./retry.js').RetryPolicy} [retry]
 * @property {number} [exchangeMs] Time for one exchange.
 * @property {string} [traceparent]
 * @property {typeof fetch} [fetch] Such as one with a client certificate.
 * @property {() => number} [random]
 */

const EXCHANGE_MS = 30000;
const SILENCE_MS = 35000;
const FRESH_MS = 1000;
const MOST_BYTES = 64 << 20;

/** @param {string} text */
function checkedAddress(text) {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url && ['http:', 'https:'].includes(url.protocol) && !url.search && !url.hash && !url.username && !url.password;
  if (!isPlain) throw new FormError(`${JSON.stringify(text.slice(0, 200))} is not the address of a node; write http://host:port`);
  return text.replace(/\/+$/, '');
}

export class Client {
  /** @param {string | readonly string[]} address @param {Options} [options] */
  constructor(address = 'http://127.0.0.1:7400', options = {}) {
    this.addresses = (typeof address === 'string' ? [address] : address).map(checkedAddress);
    if (this.addresses.length === 0) throw new FormError('a client has an address at least');
    this.options = options;
    this.clock = options.clock ?? new HlcClock();
    this.policy = options.retry ?? defaultPolicy;
    this.random = options.random ?? Math.random;
    this.clusterName = options.cluster;
    this.at = 0;
    /** @type {Map<string, {readAt: number, view: import('./api').TransitionsAnswer}>} */
    this.views = new Map();
  }

  get address() {
    return this.addresses[this.at];
  }

  nextAddress() {
    this.at = (this.at + 1) % this.addresses.length;
  }

  // Exchanges

  /** @param {string} path @param {{[name: string]: string | number | undefined}} [query] */
  target(path, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const words = given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&');
    return `${new URL(this.address).pathname.replace(/\/$/, '')}${path}${words && `?${words}`}`;
  }

  /** @param {string} target @param {{[name: string]: string}} headers @param {AbortSignal} signal */
  async headers(target, headers, signal) {
    const reader = this.options.reader ?? this.options.identity;
    if (reader && !target.endsWith('/health')) await this.cluster({ signal });
    const signed = reader && this.clusterName ? await readHeaders(reader, this.clusterName, this.clock.now(), target) : {};
    return { accept: 'application/json', ...this.trace(), ...signed, ...headers };
  }

  /** @returns {{[name: string]: string}} */
  trace() {
    return this.options.traceparent ? { traceparent: this.options.traceparent } : {};
  }

  /**
   * One exchange; throws `Unreachable` where there is no answer.
   * @param {string} target @param {RequestInit} init @param {AbortSignal} [signal] @returns {Promise<Reply>}
   */
  async exchange(target, init, signal) {
    const limit = AbortSignal.timeout(this.options.exchangeMs ?? EXCHANGE_MS);
    const both = signal ? AbortSignal.any([signal, limit]) : limit;
    try {
      const answer = await this.fetch(target, { ...init, signal: both });
      const body = await answer.arrayBuffer();
      if (body.byteLength > MOST_BYTES) throw new Error(`the answer has more than ${MOST_BYTES} bytes`);
      const replayed = answer.headers.get('idempotency-replayed')?.toLowerCase() === 'true';
      return { status: answer.status, body: new TextDecoder().decode(body), retryAfter: answer.headers.get('retry-after'), replayed };
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new Unreachable(`${this.address}: ${causeText(error)}`);
    }
  }

  /** @param {string} target @param {RequestInit} init */
  fetch(target, init) {
    const send = this.options.fetch ?? fetch;
    return send(new URL(this.address).origin + target, { redirect: 'manual', ...init });
  }

  /** The document of a successful read, of the first address that answers. @param {string} path @param {{[name: string]: string | number | undefined}} [query] @param {{signal?: AbortSignal}} [how] @returns {Promise<any>} */
  async get(path, query, { signal } = {}) {
    let last;
    for (let tries = 0; tries < this.addresses.length; tries += 1) {
      try {
        const target = this.target(path, query);
        const reply = await this.exchange(target, { headers: await this.headers(target, {}, signal ?? AbortSignal.timeout(EXCHANGE_MS)) }, signal);
        return this.document(reply, path === '/health' ? [200, 503] : [200]);
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        last = error;
        this.nextAddress();
      }
    }
    throw last;
  }

  /** @param {Reply} reply @param {readonly number[]} [good] @returns {any} */
  document(reply, good = [200]) {
    const problem = problemOf(reply.body);
    if (problem !== undefined) {
      this.follow(problem);
      throw new Rejected(problem, reply.status);
    }
    let found;
    try {
      found = JSON.parse(reply.body);
    } catch {
      found = undefined;
    }
    if (!good.includes(reply.status) || found === undefined) throw new Unexpected(this.address, reply.status, reply.body);
    this.follow(found);
    return found;
  }

  /** Feeds the clock with the readings of a document. @param {any} document */
  follow(document) {
    for (const name of ['time', 'hlc_last', 'hlc', 'timestamp']) {
      this.clock.observe(document?.[name]?.hlc ?? document?.[name]);
    }
  }

  // Reading

  /** The cluster that signatures name: as set, else as the node says. @param {{signal?: AbortSignal}} [how] @returns {Promise<string>} */
  async cluster(how) {
    if (this.clusterName === undefined) await this.health(how);
    return /** @type {string} */ (this.clusterName);
  }

  /** `GET /health`. @param {{signal?: AbortSignal}} [how] @returns {Promise<import('./api').HealthAnswer>} */
  async health(how) {
    const answer = await this.get('/health', {}, how);
    const { node } = this.options;
    if (node !== undefined && node !== answer.node) throw new NotProven(`${this.address} is the node ${answer.node}, not ${node}`);
    this.clusterName ??= answer.cluster;
    return answer;
  }

  /**
   * `GET /state`. With `prove`, the sections are checked against the head.
   * @param {string} project @param {readonly string[]} [sections]
   * @param {{at?: number, prove?: boolean, signal?: AbortSignal}} [how] @returns {Promise<import('./api').StateAnswer>}
   */
  async state(project, sections = [], { at, prove = false, signal } = {}) {
    checkForm('project', project);
    const answer = await this.get('/state', { project, projection: sections.join(',') || undefined, at }, { signal });
    if (prove) {
      const shown = Object.keys(answer.projection ?? {}).map((name) => name.toLowerCase());
      const isWhole = answer.project === project && sections.every((name) => shown.includes(name.toLowerCase()));
      if (!isWhole || !(await isProven(answer).catch(() => false))) throw new NotProven(`the state of ${project} does not have the hash that it names`);
    }
    return answer;
  }

  /** The head that the next proposal names. @param {string} project @param {{signal?: AbortSignal}} [how] @returns {Promise<string>} */
  async head(project, how = {}) {
    try {
      return (await this.state(project, [], how)).hash;
    } catch (error) {
      // A project that does not exist yet has the genesis head.
      if (error instanceof Rejected && error.code === 'unknown_project' && error.head) return error.head;
      throw error;
    }
  }

  /** `GET /transitions`. @param {string} project @param {{signal?: AbortSignal}} [how] @returns {Promise<import('./api').TransitionsAnswer>} */
  async transitions(project, how) {
    checkForm('project', project);
    const view = await this.get('/transitions', { project }, how);
    this.views.set(project, { readAt: performance.now(), view });
    return view;
  }

  /** The last answer of `transitions`, while it is fresh. @param {string} project */
  freshView(project) {
    const known = this.views.get(project);
    return known && performance.now() - known.readAt < FRESH_MS ? known.view : undefined;
  }

  /** `GET /windows`. @param {string} project @param {string} [at] @param {number} [count] @param {{signal?: AbortSignal}} [how] @returns {Promise<import('./api').WindowsAnswer>} */
  windows(project, at, count = 0, how) {
    return this.get('/windows', { project, at, count }, how);
  }

  /** The election that follows from the proven state. @param {string} project */
  async election(project) {
    const view = await this.transitions(project);
    return election(await this.state(project, ['council', 'epoch'], { prove: true }), view.electorate ?? []);
  }

  /** All projects. @returns {AsyncGenerator<import('./api').ProjectAnswer>} */
  projects() {
    return this.pages('/projects', 'projects', 'after', { limit: 500 });
  }

  /** Open effects. @param {string} [project] @returns {AsyncGenerator<import('./api').EffectView>} */
  effects(project) {
    return this.pages('/effects', 'effects', 'after', { project, limit: 500 });
  }

  /** Records with their inputs. @param {string} [project] @param {number} [first] @returns {AsyncGenerator<import('./api').WalEntry>} */
  records(project, first = 1) {
    return this.pages('/wal', 'records', 'from', { project, from: first, limit: 500 });
  }

  /** @param {string} path @param {string} member @param {string} begin @param {{[name: string]: string | number | undefined}} query @returns {AsyncGenerator<any>} */
  async* pages(path, member, begin, query) {
    for (let asked = query; ;) {
      const page = await this.get(path, asked);
      yield* page[member];
      if (page.next === undefined || page.next === null || page.next === asked[begin]) return;
      asked = { ...asked, [begin]: page.next };
    }
  }

  // Proposing

  /**
   * Proposes until there is an answer. The key is the same in every attempt, so it is accepted at most once.
   * @param {Draft} draft @param {{signal?: AbortSignal}} [how]
   * @returns {Promise<import('./journey.js').Accepted | import('./journey.js').Held>}
   */
  async propose(draft, { signal } = {}) {
    const journey = new Journey(this, draft);
    for (let [attempt, waited] = [1, 0]; ; attempt += 1) {
      const found = await journey.attempt(attempt, signal);
      if (!('step' in found)) return found;
      const pressure = this.views.get(draft.project ?? 'default')?.view.pressure ?? 0;
      const wait = waitMs(this.policy, attempt, waited, found, pressure, this.random());
      journey.failed(found);
      if (wait === undefined) throw new GaveUp(attempt, found.detail, journey.key, journey.mayBeAccepted);
      waited += wait;
      await sleep(wait, signal);
    }
  }

  /** The signed bytes of a draft; posts nothing. @param {Draft} draft @param {{signal?: AbortSignal}} [how] */
  prepare(draft, { signal } = {}) {
    return new Journey(this, draft).sign(signal);
  }

  /** The decision on signed bytes; changes nothing. @param {Uint8Array} body @returns {Promise<import('./api').DryRunAnswer>} */
  async dryRun(body) {
    const headers = { 'content-type': 'application/json', ...this.trace() };
    const reply = await this.exchange(this.target('/transition', { dry_run: 'true' }), { method: 'POST', headers, body: /** @type {BodyInit} */ (body) });
    return this.document(reply);
  }

  /** Pushes a signed fact. @param {unknown} fact @returns {Promise<import('./api').Pushed>} */
  async pushFact(fact) {
    const headers = { 'content-type': 'application/json', ...this.trace() };
    return this.document(await this.exchange(this.target('/facts'), { method: 'POST', headers, body: /** @type {BodyInit} */ (canonical(fact)) }));
  }

  // Following

  /**
   * Events as they come, also over restarts of the node. `after` is the id of an event heard earlier.
   * @param {{project?: string, kinds?: readonly string[], after?: string, signal?: AbortSignal}} [how]
   * @returns {AsyncGenerator<import('./events.js').NodeEvent>}
   */
  async* events({ project, kinds = ['transition'], after, signal } = {}) {
    const position = new Position(after);
    for (let failures = 0; ;) {
      signal?.throwIfAborted();
      try {
        for await (const event of this.stream(position, { project, kinds: kinds.join(',') }, signal)) {
          failures = 0;
          yield event;
        }
      } catch (error) {
        if (signal?.aborted || !(error instanceof Unreachable)) throw error;
      }
      failures += 1;
      this.nextAddress();
      await sleep(Math.min(200 * 2 ** Math.min(failures - 1, 16), 5000) * (0.5 + this.random() / 2), signal);
    }
  }

  /**
   * Waits until `holds` is true of the proven state, and returns the state. It looks after each record, and waits for a node that does
   * not answer. `signal` bounds the wait: `AbortSignal.timeout(60000)`.
   * @param {string} project @param {readonly string[]} sections @param {(state: import('./api').StateAnswer) => boolean} holds
   * @param {{signal?: AbortSignal}} [how] @returns {Promise<import('./api').StateAnswer>}
   */
  async waitFor(project, sections, holds, { signal } = {}) {
    for await (const event of this.events({ project, signal })) {
      const state = await this.stateAfter(project, sections, event.kind === 'transition' ? event.data.index : undefined, signal);
      if (state === undefined) continue;
      if (holds(state)) return state;
      if (state.phase === 'TERMINATED') throw new CannotReach('the project is TERMINATED, which no transition leaves');
    }
    throw new CannotReach('the events ended');
  }

  /**
   * The proven state after a record, or the present one; none where the project does not exist.
   * @param {string} project @param {readonly string[]} sections @param {number | undefined} index @param {AbortSignal} [signal]
   * @returns {Promise<import('./api').StateAnswer | undefined>}
   */
  async stateAfter(project, sections, index, signal) {
    for (let at = index; ;) {
      try {
        return await this.state(project, sections, { at, prove: true, signal });
      } catch (error) {
        const code = error instanceof Rejected ? error.code : undefined;
        if (code === 'unknown_project') return undefined;
        if (code === 'pruned' && at !== undefined) {
          at = undefined;
        } else if (!(error instanceof Unreachable) && !passing.includes(/** @type {any} */ (error).status)) {
          throw error;
        }
        await sleep(200, signal);
      }
    }
  }

  /** The events of one stream, until it ends. @param {Position} position @param {{[name: string]: string | undefined}} query @param {AbortSignal} [signal] @returns {AsyncGenerator<import('./events.js').NodeEvent>} */
  async* stream(position, query, signal) {
    const silence = new AbortController();
    const end = () => silence.abort(new Unreachable('the stream is silent'));
    let timer = setTimeout(end, SILENCE_MS);
    const both = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
    try {
      const target = this.target('/events', query);
      const headers = await this.headers(target, { accept: 'text/event-stream', ...(position.id ? { 'last-event-id': position.id } : {}) }, both);
      const answer = await this.fetch(target, { headers, signal: both });
      if (answer.status !== 200 || !answer.body) {
        if (passing.includes(answer.status)) return;
        this.document({ status: answer.status, body: await answer.text(), retryAfter: null, replayed: false }, []);
      }
      const reader = new EventReader();
      for await (const bytes of /** @type {AsyncIterable<Uint8Array>} */ (/** @type {unknown} */ (answer.body))) {
        clearTimeout(timer);
        timer = setTimeout(end, SILENCE_MS);
        yield* this.heard(position, reader.push(bytes));
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof Rejected || error instanceof Unexpected || error instanceof NotProven) throw error;
      throw new Unreachable(causeText(error));
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  /** @param {Position} position @param {{event: string, data: string, id?: string}[]} found */
  * heard(position, found) {
    for (const raw of found) {
      const event = position.take(raw);
      if (event?.kind === 'problem') {
        const error = new Rejected(event.data, event.data.status ?? 400);
        throw ['node', 'resend'].includes(error.retry) ? new Unreachable(error.message) : error;
      }
      if (event !== undefined) yield event;
    }
  }
}
