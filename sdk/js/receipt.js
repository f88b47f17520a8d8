// @ts-check
// Proofs: receipts and states.

import { canonical, canonicalSection, concat, digest, hex, sha256, unhex } from './canonical.js';
import { checkForm } from './ids.js';
import { domains, message, verify } from './keys.js';

/** @typedef {import('./api').Receipt} Receipt */

/** A receipt or a state does not prove what it says. */
export class NotProven extends Error {
  /** @param {string} detail */
  constructor(detail) {
    super(detail);
    this.name = 'NotProven';
  }
}

/** @param {string} text */
function raw(text) {
  checkForm('hash', text);
  return unhex(text.slice('sha256-'.length));
}

/**
 * The root that a path leads to (RFC 9162, section 2.1.1); undefined where the path has the wrong length.
 * @param {Receipt} receipt
 */
async function root(receipt) {
  const { first, last } = receipt.seal.batch;
  let [position, size] = [receipt.index - first, last - first + 1];
  let node = await sha256(concat(Uint8Array.of(0), raw(receipt.chain)));
  const path = [...receipt.path];
  for (; size > 1; position = Math.floor(position / 2), size = Math.ceil(size / 2)) {
    if (position === size - 1 && position % 2 === 0) continue;
    const text = path.shift();
    if (text === undefined) return undefined;
    const sibling = raw(text);
    node = await sha256(concat(Uint8Array.of(1), ...(position % 2 ? [sibling, node] : [node, sibling])));
  }
  return path.length === 0 ? `sha256-${hex(node)}` : undefined;
}

/**
 * Checks that a node committed to the record of a receipt; with `node`, that it is this one.
 * @param {Receipt} receipt @param {string} cluster @param {string} [node]
 */
export async function checkReceipt(receipt, cluster, node) {
  const fault = await faultOf(receipt, cluster, node).catch((error) => String(error));
  if (fault !== undefined) throw new NotProven(fault);
}

/** @param {Receipt} receipt @param {string} cluster @param {string} [node] */
async function faultOf(receipt, cluster, node) {
  const { batch, node: signer, signature } = receipt.seal;
  const signed = canonical(batch);
  if (!Number.isSafeInteger(receipt.index) || receipt.index < batch.first || receipt.index > batch.last) {
    return "the receipt's index lies outside of its batch";
  }
  if ((await root(receipt)) !== batch.root) return "the path does not lead from the record to the batch's root";
  if (!(await verify(signer, message(domains.batch, cluster, signed), signature))) {
    return "the signature over the batch's root is not the node's";
  }
  if (node !== undefined && node !== signer) return `the receipt is sealed by ${signer}, not by ${node}`;
  return undefined;
}

/**
 * Whether every section that an answer of `GET /state` shows belongs to the head that it names.
 * @param {{hash: string, sections: {readonly [name: string]: string}, projection: {readonly [name: string]: unknown}}} answer
 */
export async function isProven(answer) {
  const head = concat(new TextEncoder().encode('swoosh/state/v1\n'), canonicalSection(answer.sections));
  if ((await digest(head)) !== answer.hash) return false;
  for (const [name, section] of Object.entries(answer.projection)) {
    if (answer.sections[name.toLowerCase()] !== (await digest(canonicalSection(section)))) return false;
  }
  return true;
}
