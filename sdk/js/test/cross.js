// @ts-check
// A step of the cross test: node cross.js STEP_FILE. It verifies the receipts that other SDKs left, proves the state of the
// project, proposes one transition, and leaves its receipt.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

import { parse } from '../canonical.js';
import { Client } from '../client.js';
import { Identity } from '../keys.js';
import { checkReceipt } from '../receipt.js';

const step = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const name of readdirSync(step.receipts)) {
  await checkReceipt(parse(readFileSync(`${step.receipts}/${name}`)), step.cluster, step.node);
}
const identity = await Identity.parse(readFileSync(step.key, 'utf8'));
const node = new Client(step.url, { identity, node: step.node, cluster: step.cluster });
if (step.is_known) await node.state(step.project, ['council', 'execution', 'ingestion', 'environment'], { prove: true });
const done = await node.propose({ transition: step.transition, inputs: step.inputs, project: step.project, goal: 'cross' });
if (done.kind !== 'accepted') throw new Error(`${step.transition} is held`);
writeFileSync(`${step.receipts}/${String(done.receipt.index).padStart(4, '0')}-javascript.json`, done.body);
