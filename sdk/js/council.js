// @ts-check
// The ranking of an election, and votes for it (docs/protocol.md).

import { canonical, canonicalSection, concat, digest, hex, sha256, unhex } from './canonical.js';
import { decodePublic, domains } from './keys.js';

/** @param {string} left @param {string} right */
const byBytes = (left, right) => (left < right ? -1 : left > right ? 1 : 0);

/**
 * The member set that every candidate computes: role by member.
 * @param {{[role: string]: {capabilities: readonly string[], seats: number}}} roles
 * @param {{[key: string]: readonly string[]}} candidates @param {Iterable<string>} electorate @param {string} seed
 */
export async function rank(roles, candidates, electorate, seed) {
  const eligible = new Set(electorate);
  /** @type {{[key: string]: string}} */
  const members = {};
  for (const role of Object.keys(roles).sort(byBytes)) {
    const free = Object.keys(candidates).filter((key) => eligible.has(key) && !(key in members));
    const ranked = await Promise.all(free.map(async (key) => {
      const lacks = roles[role].capabilities.filter((capability) => !candidates[key].includes(capability)).length;
      const bytes = decodePublic(key);
      const order = hex(await sha256(concat(unhex(seed.slice('sha256-'.length)), bytes))) + hex(bytes);
      return { key, lacks, order };
    }));
    ranked.sort((left, right) => left.lacks - right.lacks || byBytes(left.order, right.order));
    for (const { key } of ranked.slice(0, roles[role].seats)) members[key] = role;
  }
  return members;
}

/** The hash that a vote names. @param {{[key: string]: string}} members */
export const memberSetHash = (members) => digest(canonical(members));

/**
 * The election of a proven state with the sections council and epoch.
 * @param {import('./api').StateAnswer} state @param {Iterable<string>} electorate
 */
export async function election(state, electorate) {
  const shown = Object.fromEntries(Object.entries(state.projection).map(([name, section]) => [name.toLowerCase(), section]));
  const council = /** @type {any} */ (shown.council);
  const seed = council.election_seed ?? (await digest(canonicalSection(council)));
  const members = await rank(council.roles, council.candidates, electorate, seed);
  const epoch = /** @type {any} */ (shown.epoch).council;
  return { head: state.hash, members, ballot: { project: state.project, council_epoch: epoch, member_set_hash: await memberSetHash(members) } };
}

/**
 * A vote for a ballot, as `Council_QuorumCert` carries it. It posts nothing.
 * @param {import('./keys.js').Identity} identity @param {string} cluster @param {unknown} ballot
 */
export async function vote(identity, cluster, ballot) {
  return { voter: identity.public, signature: await identity.signDocument(domains.vote, cluster, ballot) };
}
