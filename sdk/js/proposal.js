// @ts-check
// The document of a proposal, and signed reads.

import { opClasses } from './chart.js';
import { canonical, check, digest } from './canonical.js';
import { FormError, checkForm, idemKey } from './ids.js';
import { domains } from './keys.js';

/** @typedef {import('./keys.js').Identity} Identity */
/** @typedef {import('./hlc.js').Hlc} Hlc */
/**
 * Something to propose. With goal, beat (or `at`) and uuid, a program that restarts sends the very same key again.
 * @typedef {object} Draft
 * @property {string} transition
 * @property {{[name: string]: unknown}} inputs
 * @property {string} [project]
 * @property {string} [goal] `adhoc` where it is left out.
 * @property {number} [beat] The beat that the key names; else the present one.
 * @property {string} [at] A time whose beat the key names.
 * @property {string} [uuid]
 * @property {string} [head] The head that is named first.
 * @property {boolean} [onlyOnHead] Whether no other head will do.
 * @property {string | null} [windowId] The window; that of now where it is needed and left out; null is none.
 * @property {readonly string[]} [evidence]
 */

/** The op class of a transition; of one of a newer statechart by its prefix. @param {string} transition */
export function opClass(transition) {
  return opClasses[transition] ?? transition.split('_')[0].toLowerCase();
}

/** Refuses a draft that cannot be signed, before anything is read. @param {Draft} draft */
export function checkDraft(draft) {
  check(draft.inputs, 'inputs', 1);
  check(draft.evidence ?? [], 'evidence', 1);
  if ((draft.evidence ?? []).length > 32) throw new FormError('a proposal carries at most 32 evidence addresses');
  checkForm('project', draft.project ?? 'default');
  if (draft.goal !== undefined) checkForm('goal', draft.goal);
  if (draft.uuid !== undefined) checkForm('uuid', draft.uuid);
  if (draft.head !== undefined) checkForm('hash', draft.head);
  if (draft.onlyOnHead && draft.head === undefined) throw new FormError('onlyOnHead needs a head');
}

/** The key of a draft at a beat. @param {Draft} draft @param {number} beat */
export function keyOf(draft, beat) {
  const uuid = draft.uuid ?? crypto.randomUUID();
  return idemKey({ goal: draft.goal ?? 'adhoc', beat, opClass: opClass(draft.transition), uuid });
}

/**
 * The signed proposal in canonical bytes, as it is posted.
 * @param {Identity} identity @param {string} cluster @param {Draft} draft
 * @param {{head: string, idemKey: string, hlc: Hlc, windowId?: string | null}} filled
 */
export async function signProposal(identity, cluster, draft, filled) {
  /** @type {{[name: string]: unknown}} */
  const proposal = {
    current_state_hash: filled.head,
    evidence: draft.evidence ?? [],
    hlc: String(filled.hlc),
    idem_key: filled.idemKey,
    inputs: draft.inputs,
    inputs_hash: await digest(canonical(draft.inputs)),
    signer: identity.public,
    transition: draft.transition,
  };
  if (draft.project !== undefined) proposal.project = draft.project;
  if (filled.windowId != null) proposal.window_id = filled.windowId;
  const signature = await identity.signDocument(domains.transition, cluster, proposal);
  return canonical({ ...proposal, signature });
}

/**
 * The headers of a signed read. `target` is path and query as they are sent.
 * @param {Identity} identity @param {string} cluster @param {Hlc} hlc @param {string} target
 */
export async function readHeaders(identity, cluster, hlc, target) {
  const document = { hlc: String(hlc), signer: identity.public, target };
  return {
    'x-hmmm-signer': identity.public,
    'x-swoosh-hlc': String(hlc),
    'x-hmmm-signature': await identity.signDocument(domains.read, cluster, document),
  };
}
