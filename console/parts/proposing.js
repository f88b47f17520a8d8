// @ts-check
// One proposal: signed once, judged without effect, posted in the same bytes until there is an answer.

import { DocumentError, Rejected, Unreachable, canonical, checkReceipt, keyOf, parse, signProposal, verify, domains, message } from '../sdk/index.js';
import { client } from './reads.js';

/** The transitions that cannot be taken back. */
export const final = ['Control_Terminate', 'Policy_ConfirmedBlock', 'Environment_Deprovision'];
const decoder = new TextDecoder();

/** What the proposal names of the state that the person sees. @param {string} project @param {string} transition */
export async function ground(project, transition) {
  const view = await client.transitions(project);
  const known = view.transitions.find((one) => one.transition === transition);
  const state = view.exists ? await client.state(project) : undefined;
  return { view, known, state, head: view.head, windowId: known?.window ? view.window_id : undefined, beat: view.beat };
}

/** @param {import('../sdk/keys.js').Identity} identity @param {{project: string, transition: string, inputs: any}} draft @param {any} on */
export async function signed(identity, draft, on) {
  const cluster = await client.cluster();
  await client.health();
  const idemKey = keyOf({ ...draft, uuid: on.uuid }, on.beat);
  return signProposal(identity, cluster, draft, { head: on.head, idemKey, hlc: client.clock.next(), windowId: on.windowId });
}

/** The documents's words, without the signature. @param {Uint8Array} body */
export const read = (body) => JSON.parse(decoder.decode(body));

/** A pasted document: strict, signed by its signer, for what was asked. @param {string} text @param {{project: string, transition: string, inputs: any}} draft @param {any} on */
export async function pasted(text, draft, on) {
  const bytes = new TextEncoder().encode(text.trim());
  let document;
  try {
    document = parse(bytes);
  } catch (error) {
    throw error instanceof DocumentError ? new Error(`it is no strict document: ${error.message}`) : error;
  }
  const { signature, ...proposal } = document;
  if (typeof signature !== 'string' || typeof document.signer !== 'string') throw new Error('the document has no signature; print it with `swoosh propose … --print`');
  if (globalThis.crypto?.subtle) {
    const isSigned = await verify(document.signer, message(domains.transition, await client.cluster(), canonical(proposal)), signature).catch(() => false);
    if (!isSigned) throw new Error('the signature is not the signer’s over this document for this cluster');
  }
  const asked = { project: draft.project, transition: draft.transition, inputs: draft.inputs, current_state_hash: on.head };
  const found = { project: document.project ?? 'default', transition: document.transition, inputs: document.inputs, current_state_hash: document.current_state_hash };
  return { body: canonical(document), asked, found };
}

/** The decision on the signed bytes. @param {Uint8Array} body */
export const judged = (body) => client.dryRun(body);

/**
 * Posts the bytes; where an answer is lost, the same bytes again.
 * @param {Uint8Array} body @param {(words: string) => void} say @returns {Promise<any>}
 */
export async function posted(body, say) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const reply = await client.exchange(client.target('/transition'), { method: 'POST', headers: { 'content-type': 'application/json' }, body: /** @type {BodyInit} */ (body) });
      const receipt = client.document(reply, [200, 202]);
      await checkReceipt(receipt, await client.cluster()).catch((error) => { if (globalThis.crypto?.subtle) throw error; });
      return { receipt, text: reply.body, replayed: reply.replayed };
    } catch (error) {
      const isOpen = error instanceof Unreachable || (error instanceof Rejected && [502, 503, 504].includes(error.status));
      if (!isOpen || attempt === 20) throw error;
      say('The answer was lost. The same bytes are sent again; the proposal is accepted at most once.');
      await new Promise((resolve) => { setTimeout(resolve, Math.min(300 * attempt, 3000)); });
    }
  }
}

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The command that does the same. @param {{project: string, transition: string, inputs: any}} draft @param {any} on */
export function command(draft, on) {
  return `swoosh propose ${draft.transition} --project ${draft.project} --inputs ${quoted(JSON.stringify(draft.inputs))}${on ? ` --head ${on.head}` : ''} --print`;
}

