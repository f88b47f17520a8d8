// @ts-check
// Checks of a record in this browser. The SDK does the cryptography.

import { canonical, concat, digest, domains, hex, isProven, message, sha256, unhex, verify } from '../sdk/index.js';
import { client, get } from './reads.js';

/** @typedef {{name: string, ok: boolean | undefined, words: string}} Check */

/** The document that the caller signed. @param {any} record @param {any} inputs */
function proposal(record, inputs) {
  /** @type {{[name: string]: unknown}} */
  const found = {
    current_state_hash: record.state_pre_hash, evidence: record.evidence, hlc: record.hlc, idem_key: record.idem_key, inputs,
    inputs_hash: record.inputs_hash, signer: record.signer, transition: record.transition,
  };
  if (!record.project_implied) found.project = record.project;
  if (record.window_id !== undefined && record.window_id !== null) found.window_id = record.window_id;
  return found;
}

/** @param {any} entry @returns {Promise<Check>} */
async function chained({ record, chain }) {
  const { index } = record;
  const name = 'chain';
  let previous = new Uint8Array(32);
  if (index > 1) {
    const page = await get('/wal', { from: index - 1, limit: 1 });
    const [before] = page.records;
    if (before?.record.index !== index - 1) return { name, ok: undefined, words: 'the record before is not here' };
    previous = unhex(before.chain.slice('sha256-'.length));
  }
  const link = `sha256-${hex(await sha256(concat(previous, canonical(record))))}`;
  return { name, ok: link === chain, words: link === chain ? `link ${index} follows from link ${index - 1} and the record` : 'the link does not follow from the record' };
}

/** @param {any} state @param {string} hash @param {string} name @returns {Promise<Check>} */
async function stated(state, hash, name) {
  if (!state) return { name, ok: undefined, words: 'the state cannot be read' };
  const ok = state.hash === hash && await isProven(state);
  return { name, ok, words: ok ? 'all ten sections have the hash that the record names' : 'the sections do not have the hash that the record names' };
}

/** All checks of a record. @param {any} entry @param {any} around @returns {Promise<Check[]>} */
export async function checks(entry, around) {
  if (!globalThis.crypto?.subtle) return [{ name: 'proof', ok: undefined, words: 'this browser has no cryptography on plain HTTP; use swoosh wal verify' }];
  const { record, inputs } = entry;
  const cluster = await client.cluster();
  const inputHash = await digest(canonical(inputs));
  const signed = record.guard_outcomes.some((/** @type {any} */ one) => one.grant) ? undefined
    : await verify(record.signer, message(domains.transition, cluster, canonical(proposal(record, inputs))), record.signature);
  return [
    { name: 'signature', ok: signed, words: signed ? 'the signer signed this very proposal' : signed === undefined ? 'the caller was granted without a signature' : 'the signature is not the signer’s' },
    { name: 'inputs', ok: inputHash === record.inputs_hash, words: inputHash === record.inputs_hash ? 'they have the hash that was signed' : 'they have another hash' },
    await chained(entry),
    await stated(around?.after, record.state_post_hash, 'state'),
  ];
}
