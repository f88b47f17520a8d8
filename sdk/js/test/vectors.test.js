// @ts-check
// The vectors of tests/vectors against this package. VECTORS names the folder.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { canonical, concat, digest, hex, parse, unhex } from '../canonical.js';
import { opClasses } from '../chart.js';
import { memberSetHash, rank, vote } from '../council.js';
import { EventReader } from '../events.js';
import { Hlc, HlcClock } from '../hlc.js';
import { forms, checkForm, idemKey, parseIdemKey } from '../ids.js';
import { Identity, decodePublic, decodeSignature, domains, message, verify } from '../keys.js';
import { readHeaders, signProposal } from '../proposal.js';
import { checkReceipt, isProven } from '../receipt.js';
import { causeOf } from '../retry.js';

const folder = process.env.VECTORS ?? fileURLToPath(new URL('../../../tests/vectors/', import.meta.url));
const vectors = (/** @type {string} */ name) => JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8'));
const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text);

test('documents have their canonical bytes, and what is no document is refused with its reason', async () => {
  const { accepted, refused } = vectors('canonical');
  for (const known of accepted) {
    const found = canonical(parse(bytes(known.source)));
    assert.equal(hex(found), known.canonical_hex, known.name);
    assert.equal(await digest(found), known.sha256, known.name);
  }
  for (const known of refused) {
    assert.throws(() => parse(unhex(known.bytes_hex)), { reason: known.reason }, known.name);
  }
});

test('texts are signed in their normal form alone', () => {
  for (const known of vectors('nfc').texts) {
    assert.doesNotThrow(() => canonical(known.nfc));
    if (known.is_nfc) assert.doesNotThrow(() => canonical(known.text));
    else assert.throws(() => canonical(known.text), { reason: 'not_normalized' }, known.text);
  }
});

test('readings of the clock are read, written and ordered', () => {
  const { forms: read, refused, successors, rising } = vectors('hlc');
  for (const known of read) {
    const found = Hlc.parse(known.text);
    assert.deepEqual([found.physicalMs, found.logical, String(found)], [known.physical_ms, known.logical, known.written]);
  }
  for (const known of refused) assert.throws(() => Hlc.parse(known.text), { reason: known.reason }, known.text);
  for (const known of successors) assert.equal(String(Hlc.parse(known.after).successor()), known.next);
  const readings = rising.map((/** @type {any} */ known) => Hlc.parse(known.hlc));
  for (let at = 1; at < readings.length; at += 1) assert.ok(readings[at - 1].compare(readings[at]) <= 0);
});

test('names are read and refused', () => {
  /** @type {{[kind: string]: (text: string) => unknown}} */
  const readers = { idem_key: parseIdemKey, signer: decodePublic, signature: decodeSignature };
  for (const { kind, accepted, refused } of vectors('ids').kinds) {
    const read = readers[kind] ?? (kind in forms ? (/** @type {string} */ text) => checkForm(kind, text) : undefined);
    if (!read) continue;
    for (const text of accepted) assert.doesNotThrow(() => read(text), `${kind} ${text}`);
    for (const text of refused) assert.throws(() => read(text), Error, `${kind} ${text}`);
  }
  for (const known of vectors('ids').idem_key_parts) {
    assert.deepEqual(parseIdemKey(known.text), { goal: known.goal, beat: known.beat, opClass: known.op_class, uuid: known.uuid });
  }
});

test('signatures count or not', async () => {
  const { signed, refused } = vectors('signatures');
  for (const known of signed) {
    const data = message(known.domain, known.cluster, canonical(known.document));
    const identity = await Identity.ofSeed(unhex(known.seed_hex));
    assert.equal(hex(data), known.message_hex);
    assert.deepEqual([identity.public, await identity.sign(data)], [known.signer, known.signature]);
    assert.ok(await verify(known.signer, data, known.signature));
  }
  for (const known of refused) {
    assert.equal(await verify(known.signer, unhex(known.message_hex), known.signature), false, known.name);
  }
});

test('key files are read and refused', async () => {
  const { accepted, refused } = vectors('keys');
  for (const known of accepted) assert.equal((await Identity.parse(known.file)).public, known.public);
  for (const text of refused) await assert.rejects(Identity.parse(text), { name: 'KeyFormError' });
});

test('receipts prove themselves or are refused', async () => {
  const { cluster, node, receipts, refused } = vectors('receipts');
  for (const known of receipts) {
    const receipt = parse(bytes(known.receipt));
    assert.equal(hex(canonical(receipt)), hex(bytes(known.receipt)));
    await checkReceipt(receipt, cluster, node);
  }
  for (const known of refused) {
    await assert.rejects(checkReceipt(known.receipt, known.cluster ?? cluster, known.node ?? node), { name: 'NotProven' }, known.name);
  }
});

test('reads are signed over the target as it is sent', async () => {
  const { cluster, signed } = vectors('reads');
  for (const known of signed) {
    const headers = await readHeaders(await Identity.ofSeed(unhex(known.seed_hex)), cluster, Hlc.parse(known.hlc), known.target);
    assert.deepEqual([headers['x-hmmm-signer'], headers['x-hmmm-signature']], [known.signer, known.signature]);
  }
});

test('drafts become their bytes', async () => {
  const { cluster, seed_hex: seed, drafts } = vectors('drafts');
  const identity = await Identity.ofSeed(unhex(seed));
  for (const known of drafts) {
    const clock = new HlcClock(() => known.wall_ms);
    clock.observe(known.last_hlc);
    const key = idemKey({ goal: known.goal, beat: known.beat, opClass: opClasses[known.transition], uuid: known.uuid });
    assert.equal(key, known.idem_key);
    const draft = { transition: known.transition, inputs: known.inputs, evidence: known.evidence, project: known.project };
    const body = await signProposal(identity, cluster, draft, { head: known.head, idemKey: key, hlc: clock.next(), windowId: known.window_id });
    assert.equal(new TextDecoder().decode(body), known.body, known.name);
  }
});

test('an election and its votes follow from the state', async () => {
  const known = vectors('election');
  const members = await rank(known.roles, known.candidates, known.electorate, known.seed);
  assert.deepEqual(members, known.members);
  assert.equal(await memberSetHash(members), known.member_set_hash);
  const data = message(domains.vote, known.cluster, canonical(known.vote));
  assert.equal(hex(data), known.message_hex);
  const identities = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => Identity.ofSeed(new Uint8Array(32).fill(n))));
  for (const found of known.votes) {
    const voter = /** @type {Identity} */ (identities.find((identity) => identity.public === found.voter));
    assert.deepEqual(await vote(voter, known.cluster, known.vote), found);
    assert.ok(await verify(found.voter, data, found.signature));
  }
});

test('states are proven by their head or not', async () => {
  const { proven, refused } = vectors('state');
  for (const known of proven) assert.equal(await isProven(known.answer), true, known.name);
  for (const known of refused) assert.equal(await isProven(known.answer), false, known.name);
});

test('every answer has a next step', () => {
  for (const known of vectors('problems').answers) {
    const cause = causeOf({ status: known.status, retryAfter: known.headers['retry-after'], body: known.body });
    assert.equal(cause.step, known.step, known.name);
    assert.equal(cause.mayBeAccepted, known.may_be_accepted, known.name);
    assert.equal(cause.calledAt, known.called_at, known.name);
    if (cause.step === 'again' || cause.step === 'sign') assert.equal(cause.askedMs ?? 0, known.wait_ms ?? 0, known.name);
  }
});

test('streams give their events wherever they are cut', () => {
  for (const known of vectors('streams').streams) {
    const stream = bytes(known.stream);
    for (let size = 1; size <= stream.length; size += 1) {
      const reader = new EventReader();
      const found = [];
      for (let at = 0; at < stream.length; at += size) found.push(...reader.push(stream.slice(at, at + size)));
      assert.deepEqual(found, known.events, `${known.name} in pieces of ${size}`);
    }
  }
});

test('inputs that are no strict JSON are refused, and others keep their bytes', () => {
  for (const { transition, accepted, refused } of vectors('inputs').transitions) {
    for (const source of accepted) assert.deepEqual(parse(canonical(parse(bytes(source)))), parse(bytes(source)));
    for (const known of refused.filter((/** @type {any} */ found) => found.path === null)) {
      assert.throws(() => parse(bytes(known.source)), { name: 'DocumentError' }, `${transition}: ${known.name}`);
    }
  }
});

test('the records of a project are linked, and its states have their hashes', async () => {
  const chain = vectors('chain');
  let link = new Uint8Array(32);
  for (const known of chain.records) {
    const next = await digest(concat(link, canonical(known.record)));
    assert.equal(next, known.chain);
    assert.equal(await digest(canonical(known.inputs)), known.record.inputs_hash);
    link = unhex(next.slice('sha256-'.length));
  }
  for (const end of [chain.genesis, chain.end]) {
    assert.ok(await isProven({ hash: end.hash, sections: end.sections, projection: end.state }));
  }
});
