// @ts-check
// The client against a real node, which tests/integration/sdk_tests.rs starts (SWOOSH_TEST). It is killed and restarted meanwhile.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { Client } from '../client.js';
import { vote } from '../council.js';
import { Identity } from '../keys.js';

const file = process.env.SWOOSH_TEST;
const skip = file === undefined && 'SWOOSH_TEST names no node; tests/integration/sdk_tests.rs starts one';
const stage = file === undefined ? undefined : JSON.parse(readFileSync(file, 'utf8'));
const identity = (/** @type {string} */ name) => Identity.parse(readFileSync(stage.keys[name], 'utf8'));
const client = async (/** @type {string} */ name, options = {}) => new Client(stage.url, { identity: await identity(name), node: stage.node, ...options });
const pause = (/** @type {string} */ project) => ({ transition: 'Control_Pause', inputs: { rationale: 'd\u00e9jeuner \u2714' }, project });
const resume = (/** @type {string} */ project) => ({ transition: 'Control_Resume', inputs: { rationale: 'on' }, project });
const sleep = (/** @type {number} */ ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Kills the node and waits until it is back. */
async function restart() {
  writeFileSync(stage.restart, '');
  while (existsSync(stage.restart)) await sleep(20);
}

/** @param {AsyncIterable<any>} list */
async function all(list) {
  const found = [];
  for await (const item of list) found.push(item);
  return found;
}

test('a proposal is accepted once however often it is sent', { skip }, async () => {
  const operator = await client('operator');
  const draft = { ...pause('plain'), uuid: 'js-pause-1', beat: (await operator.transitions('plain')).beat };
  const first = /** @type {any} */ (await operator.propose(draft));
  const again = /** @type {any} */ (await operator.propose(draft));
  assert.deepEqual([first.replayed, again.replayed, again.body], [false, true, first.body]);
  const state = /** @type {any} */ (await operator.state('plain', ['control'], { prove: true }));
  assert.equal(state.projection.control.paused, true);
  await assert.rejects(operator.propose(pause('plain')), { name: 'Rejected', code: 'not_enabled' });
  const done = /** @type {any} */ (await operator.propose(resume('plain')));
  assert.equal((await operator.state('plain', [], { at: done.receipt.index })).hash, done.receipt.state_post_hash);
  const dry = await operator.dryRun(await operator.prepare(pause('plain')));
  assert.equal(dry.accepted, true);
  assert.equal(await operator.head('plain'), done.receipt.state_post_hash);
});

test('callers that race are all answered, and nothing is accepted twice', { skip }, async () => {
  const retry = { attempts: 40, firstWaitMs: 50, longestWaitMs: 5000, patienceMs: 60000 };
  const race = async () => {
    const mine = await client('operator', { retry });
    const found = [];
    for (const draft of [pause('plain'), resume('plain'), pause('plain'), resume('plain')]) {
      found.push(await mine.propose(draft).catch((error) => {
        assert.equal(error.code, 'not_enabled', String(error));
        return undefined;
      }));
    }
    return found;
  };
  const done = (await Promise.all([race(), race(), race()])).flat().filter((found) => found !== undefined);
  const accepted = done.map((found) => /** @type {any} */ (found).receipt.index);
  assert.equal(new Set(accepted).size, accepted.length);
  const operator = await client('operator');
  const state = /** @type {any} */ (await operator.state('plain', ['control']));
  if (state.projection.control.paused) await operator.propose(resume('plain'));
});

test('a council is elected by votes that prove their election', { skip }, async () => {
  const agent = await client('agent');
  const { head, members, ballot } = await agent.election('council');
  const cluster = await agent.cluster();
  const votes = await Promise.all(['v1', 'v2', 'v3'].map(async (name) => vote(await identity(name), cluster, ballot)));
  const inputs = { members, member_set_hash: ballot.member_set_hash, votes };
  await agent.propose({ transition: 'Council_QuorumCert', inputs, project: 'council', head, onlyOnHead: true });
  const state = /** @type {any} */ (await agent.state('council', ['council'], { prove: true }));
  assert.deepEqual(state.projection.council.members, members);
});

test('the outcome of an effect counts once and is held while the project is paused', { skip }, async () => {
  const [operator, worker] = [await client('operator'), await client('worker')];
  const effects = await all(worker.effects());
  const key = { goal: 'index', beat: 0, uuid: 'js-worker-1' };
  const outcome = (/** @type {string} */ project) => ({ transition: 'Ingestion_CorpusBuilt', inputs: stage.outcomes[project], project, ...key });
  const first = /** @type {any} */ (await worker.propose(outcome('work')));
  assert.ok(effects.some((effect) => effect.id === stage.outcomes.work.effect && effect.mode === 'external'));
  assert.equal(/** @type {any} */ (await worker.propose(outcome('work'))).body, first.body);
  await operator.propose(pause('held'));
  assert.equal((await worker.propose(outcome('held'))).kind, 'held');
  await operator.propose(resume('held'));
  const isReady = (/** @type {any} */ state) => state.projection.ingestion.phase === 'READY';
  assert.ok(isReady(await operator.waitFor('held', ['ingestion'], isReady, { signal: AbortSignal.timeout(120000) })));
});

test('events go on over a kill of the node, and none is given twice', { skip }, async () => {
  const operator = await client('operator');
  const { index } = await operator.state('plain');
  /** @type {number[]} */
  const heard = [];
  const listening = (async () => {
    for await (const event of operator.events({ project: 'plain', after: `1-${index}` })) {
      if (event.kind === 'transition') heard.push(event.data.index);
      if (heard.length === 4) return;
    }
  })();
  const made = [];
  for (const round of [1, 2]) {
    for (const draft of [pause('plain'), resume('plain')]) {
      made.push(/** @type {any} */ (await operator.propose(draft)).receipt.index);
    }
    if (round === 1) await restart();
  }
  await listening;
  assert.deepEqual(heard, made);
});

test('a wait sees a state that lasts for one record, also over a kill of the node', { skip }, async () => {
  const operator = await client('operator');
  const index = (await operator.health()).last_index;
  const waiting = operator.waitFor('plain', ['control'], (state) => /** @type {any} */ (state).projection.control.paused && state.index > index + 2);
  await operator.propose(pause('plain'));
  await operator.propose(resume('plain'));
  await restart();
  const second = /** @type {any} */ (await operator.propose(pause('plain')));
  await operator.propose(resume('plain'));
  assert.equal((await waiting).index, second.receipt.index);
  await assert.rejects(operator.waitFor('plain', [], () => false, { signal: AbortSignal.timeout(200) }));
});

test('lists are whole', { skip }, async () => {
  const operator = await client('operator');
  const projects = (await all(operator.projects())).map((found) => found.project);
  assert.deepEqual(projects, ['council', 'held', 'plain', 'work']);
  const records = await all(operator.records('plain'));
  assert.ok(records.length > 8 && records.every((entry) => entry.record.project === 'plain'));
});
