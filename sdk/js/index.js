// @ts-check
// The JavaScript SDK of SWOOSH, for browsers and node. docs/sdk.md describes it.

export * from './canonical.js';
export * from './chart.js';
export { Client } from './client.js';
export * from './council.js';
export * from './errors.js';
export * from './events.js';
export * from './hlc.js';
export * from './ids.js';
export * from './keys.js';
export { checkDraft, keyOf, opClass, readHeaders, signProposal } from './proposal.js';
export { checkReceipt, isProven } from './receipt.js';
export { causeOf, defaultPolicy, waitMs } from './retry.js';
