// @ts-check
// The contract of the SDKs (docs/sdk.md), against a node of canned answers: no network and no waits of a second.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { concat, digest, unhex } from '../canonical.js';
import { Client } from '../client.js';
import { Identity, domains } from '../keys.js';

const HASH = `sha256-${'1'.repeat(64)}`;
const node = await Identity.ofSeed(new Uint8Array(32).fill(9));
const me = await Identity.ofSeed(new Uint8Array(32).fill(7));
const pause = { transition: 'Control_Pause', inputs: { rationale: 'lunch' }, project: 'alpha', uuid: 'job-00000001', beat: 5 };

/** The receipt that a node gives for what was posted. @param {any} posted */
async function receipt(posted) {
  const leaf = await digest(concat(Uint8Array.of(0), unhex(HASH.slice(7))));
  const batch = { first: 7, last: 7, root: leaf };
  return {
    project: posted.project, index: 7, transition: posted.transition, idem_key: posted.idem_key, state_pre_hash: posted.current_state_hash,
    state_post_hash: HASH, hlc: posted.hlc, timestamp: posted.hlc, chain: HASH, decision: `bubble://dr/alpha/7-${'1'.repeat(16)}`, path: [],
    seal: { batch, node: node.public, signature: await node.signDocument(domains.batch, 'test', batch) },
  };
}

/** @param {string} code @param {number} status @param {object} [more] */
const problem = (code, status, more = {}) => ({ status, body: { type: '', title: code, status, code, detail: code, reasons: [code], ...more } });

/**
 * A client of a node that answers proposals in turn: a function gets what was posted, `undefined` is no answer.
 * @param {readonly any[]} answers @param {object} [options]
 */
function client(answers, options = {}) {
  /** @type {string[]} */
  const bodies = [];
  /** @type {{[path: string]: any}} */
  const reads = {
    '/state': { project: 'alpha', hash: HASH, index: 6, hlc_last: null, phase: 'EXECUTION', sections: {}, projection: {} },
    '/transitions': { project: 'alpha', head: HASH, exists: true, time: '2025-10-19T01:00:00.000+00:00#0', beat: 42, pressure: 0, transitions: [] },
    '/health': { cluster: 'test', node: node.public, time: '2099-10-19T01:00:00.000+00:00#0' },
  };
  const asked = /** @type {string[]} */ ([]);
  const fetch = async (/** @type {string} */ url, /** @type {any} */ init = {}) => {
    const path = new URL(url).pathname;
    asked.push(path);
    if (init.method !== 'POST') return Response.json(reads[path]);
    bodies.push(new TextDecoder().decode(init.body));
    const answer = answers[bodies.length - 1];
    if (answer === undefined) throw new TypeError('connection reset');
    const { status, body, headers } = typeof answer === 'function' ? await answer(JSON.parse(bodies.at(-1) ?? '')) : answer;
    return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers });
  };
  const made = new Client('http://127.0.0.1:1', { cluster: 'test', identity: me, fetch: /** @type {any} */ (fetch), random: () => 0, ...options });
  return { made, bodies, asked };
}

const accept = async (/** @type {any} */ posted) => ({ status: 202, body: await receipt(posted) });

test('no answer and busy nodes get the same bytes again', async () => {
  const busy = ['<html>', problem('overloaded', 503).body];
  const { made, bodies } = client([undefined, { status: 502, body: busy[0] }, { status: 503, body: busy[1] }, accept]);
  const done = await made.propose(pause);
  assert.equal(done.kind, 'accepted');
  assert.equal(bodies.length, 4);
  assert.equal(new Set(bodies).size, 1, 'the bytes are the same');
});

test('a stale head is read again and signed again, under the same key', async () => {
  const { made, bodies } = client([problem('stale_head', 400, { head: HASH, retry_after_ms: 1 }), accept]);
  await made.propose({ ...pause, head: `sha256-${'2'.repeat(64)}` });
  const [first, second] = bodies.map((body) => JSON.parse(body));
  assert.equal(first.idem_key, 'adhoc:5:control:job-00000001');
  assert.equal(second.idem_key, first.idem_key);
  assert.notEqual(second.current_state_hash, first.current_state_hash);
  assert.notEqual(second.signature, first.signature);
});

test('a key is made before the first attempt and kept over all of them', async () => {
  const { made, bodies } = client([undefined, problem('stale_head', 400), problem('hlc_not_after', 400), problem('hlc_behind', 400), problem('overloaded', 503), accept]);
  await made.propose({ transition: 'Control_Pause', inputs: { rationale: 'lunch' }, project: 'alpha' });
  assert.equal(bodies.length, 6);
  assert.equal(new Set(bodies.map((body) => JSON.parse(body).idem_key)).size, 1);
});

test('a draft for one head alone is not signed again', async () => {
  const { made, bodies } = client([problem('stale_head', 400, { head: HASH })]);
  await assert.rejects(made.propose({ ...pause, head: HASH, onlyOnHead: true }), { code: 'stale_head' });
  assert.equal(bodies.length, 1);
});

test('the clock follows the node', async () => {
  const last = '2090-10-19T01:00:00.000+00:00#4';
  const { made, bodies, asked } = client([problem('hlc_not_after', 400, { hlc_last: last }), problem('hlc_behind', 400), accept]);
  await made.propose(pause);
  const readings = bodies.map((body) => JSON.parse(body).hlc);
  assert.equal(readings[1], '2090-10-19T01:00:00.000+00:00#5');
  assert.equal(readings[2], '2099-10-19T01:00:00.000+00:00#1');
  assert.ok(asked.includes('/health'), 'a clock that is behind asks the node');
});

test('all other refusals end it', async () => {
  for (const code of ['guard_coverage', 'not_enabled', 'hlc_ahead', 'follower', 'project_damaged']) {
    const { made, bodies } = client([problem(code, ['follower', 'project_damaged'].includes(code) ? 503 : 400)]);
    await assert.rejects(made.propose(pause), { code });
    assert.equal(bodies.length, 1, code);
  }
});

test('a held outcome is no error, and a repeat says that it is one', async () => {
  const { made } = client([problem('outcome_held', 400)]);
  assert.equal((await made.propose(pause)).kind, 'held');
  const repeat = async (/** @type {any} */ posted) => ({ ...(await accept(posted)), headers: { 'idempotency-replayed': 'true' } });
  const done = /** @type {any} */ (await client([repeat]).made.propose(pause));
  assert.equal(done.replayed, true);
});

test('giving up names the key, and whether it may have been accepted', async () => {
  const retry = { attempts: 2, firstWaitMs: 0, longestWaitMs: 0, patienceMs: 1000 };
  const { made } = client([undefined, problem('overloaded', 503)], { retry });
  await assert.rejects(made.propose(pause), { key: 'adhoc:5:control:job-00000001', mayBeAccepted: true, attempts: 2 });
});

test('a receipt is taken only where it proves this proposal', async () => {
  const changed = (/** @type {object} */ more) => async (/** @type {any} */ posted) => ({ status: 202, body: { ...(await receipt(posted)), ...more } });
  for (const more of [{ project: 'beta' }, { transition: 'Control_Resume' }, { idem_key: 'a:1:control:abcdefgh' }, { path: [HASH] }, { chain: `sha256-${'3'.repeat(64)}` }]) {
    await assert.rejects(client([changed(more)]).made.propose(pause), { name: 'NotProven' }, JSON.stringify(more));
  }
  await assert.rejects(client([accept], { node: me.public }).made.propose(pause), { name: 'NotProven' });
});

test('inputs that cannot be signed are refused before anything is asked', async () => {
  for (const rationale of [1.5, -1, null, 2 ** 53, 'e\u0301', undefined, Number.NaN]) {
    const { made, asked } = client([]);
    await assert.rejects(made.propose({ ...pause, inputs: { rationale } }), { name: 'DocumentError' });
    assert.equal(asked.length, 0);
  }
});

test('an abort ends a wait', async () => {
  const { made } = client([problem('overloaded', 503, { retry_after_ms: 20000 })]);
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error('enough')), 20);
  await assert.rejects(made.propose(pause, { signal: abort.signal }), { message: 'enough' });
});

test('a secret is shown nowhere', async () => {
  const { inspect } = await import('node:util');
  const identity = await Identity.parse('hmmm:secret:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc');
  const shown = inspect(identity, { depth: 9, showHidden: true }) + JSON.stringify(identity) + String(identity);
  assert.ok(!shown.includes('BwcH'), shown);
  await assert.rejects(Identity.parse('hmmm:secret:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw'), (/** @type {Error} */ error) => !error.message.includes('BwcH'));
});

test('events go on where a stream broke off, and none is given twice', async () => {
  /** @type {(string | undefined)[]} */
  const resumed = [];
  const streams = ['id: 1-6\n\nid: 1-7\nevent: transition\ndata: {"index":7}\n\n', 'id: 1-7\nevent: transition\ndata: {"index":7}\n\nid: 1-8\nevent: transition\ndata: {"index":8}\n\n'];
  const fetch = async (/** @type {string} */ _, /** @type {any} */ init) => {
    resumed.push(init.headers['last-event-id']);
    const stream = streams[resumed.length - 1];
    if (stream === undefined) throw new TypeError('gone');
    return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
  };
  const made = new Client('http://127.0.0.1:1', { fetch: /** @type {any} */ (fetch), random: () => 0 });
  const heard = [];
  for await (const event of made.events({ project: 'alpha' })) {
    if (event.kind === 'transition') heard.push(event.data.index);
    if (heard.length === 2) break;
  }
  assert.deepEqual(heard, [7, 8]);
  assert.deepEqual(resumed, [undefined, '1-7']);
});
