// @ts-check
// One record: who, why, what changed, and the proof. And the difference of two records.

import { html } from '../parts/dom.js';
import { Diff } from '../parts/diff.js';
import { link } from '../parts/place.js';
import { checks } from '../parts/proof.js';
import { client, get, useAnswer, useNames } from '../parts/reads.js';
import { Answer, Badge, Copy, Empty, Facts, Hash, Json, Key, Link, Panel, Save, Text, plain } from '../parts/show.js';
import { Time } from '../parts/time.js';
import { regions } from '../sdk/index.js';
import { Guards } from './project.js';

/** The record, its inputs and chain. @param {number} index */
async function entry(index) {
  const page = await get('/wal', { from: index, limit: 1 });
  const found = page.records.find((/** @type {any} */ one) => one.record.index === index);
  return found ? { ...found, last_index: page.last_index } : { missing: true, last_index: page.last_index };
}

/** What belongs to a record besides. @param {any} found */
async function context(found) {
  const { index, project } = found.record;
  const after = await client.state(project, [], { at: index }).catch(() => undefined);
  const before = index > 1 ? await client.state(project, [], { at: index - 1 }).catch(() => undefined) : undefined;
  const more = await get(`/records/${index}`).catch(() => ({}));
  return { after, before, previous: before?.index ?? more.previous, next: more.next };
}

/** @param {{index: number}} props */
export function Record({ index }) {
  const found = useAnswer(`record ${index}`, () => entry(index));
  return html`<${Answer} of=${found}>${(/** @type {any} */ data) => (data.missing
    ? html`<h1>Record ${index}</h1><${Empty} title="There is no such record here.">The last record is <${Link} to=${`r/${data.last_index}`}>${data.last_index}<//>. Older ones may have been pruned.<//>`
    : html`<${Whole} of=${data} />`)}<//>`;
}

/** @param {{of: any}} props */
function Whole({ of }) {
  const { record } = of;
  const { index, project } = record;
  const names = useNames(project, index);
  const around = useAnswer(`context ${index}`, () => context(of));
  const proof = useAnswer(around.data && `proof ${index}`, () => checks(of, around.data));
  const decision = useAnswer(`decision ${index}`, () => get(`/decisions/${project}/${index}`));
  const { previous, next } = around.data ?? {};
  return html`<div class="head"><div><h1>Record ${index.toLocaleString('en')}</h1>
    <p><${Link} to=${`p/${project}`}>${plain(project)}<//> · <b>${record.transition}</b> · ${regions[record.transition]} · by <${Key} of=${record.signer} names=${names} /> · <${Time} at=${record.timestamp} /></p></div>
    <div class="actions">${previous ? html`<${Link} to=${`r/${previous}`} class="button">◀ ${previous}<//>` : ''}${next ? html`<${Link} to=${`r/${next}`} class="button">${next} ▶<//>` : ''}
      ${previous ? html`<${Link} to=${`compare/${previous}..${index}`} class="button">Compare<//>` : ''}<a class="button" href=${link(`p/${project}`, { at: index })}>State then</a>
      <${Save} name=${`record-${index}.json`} text=${JSON.stringify(of.record)}>Save record<//></div></div>
    <${Panel} title="Decision"><${Decision} of=${decision} record=${record} names=${names} /><//>
    <div class="columns two"><${Panel} title="Guards"><${Guards} of=${record.guard_outcomes} /><p class="dim">policy engine ${plain(record.policy_engine)}</p><//>
      <${Panel} title="Proof"><${Proof} of=${proof} record=${record} chain=${of.chain} /><//></div>
    <${Panel} title="Changed"><${Answer} of=${around}>${(/** @type {any} */ data) => (data.after ? html`<${Diff} before=${data.before?.projection ?? {}} after=${data.after.projection} />` : html`<${Empty} title="The states around this record cannot be read." />`)}<//><//>
    <${Panel} title="Inputs"><${Json} value=${of.inputs} name=${`inputs-${index}`} open title="inputs" /><${Json} value=${record} name=${`record-${index}`} title="record as JSON" /><//>`;
}

/** @param {{of: import('../parts/reads.js').Read, record: any, names: Map<string, any>}} props */
function Decision({ of, record, names }) {
  const rows = /** @type {[string, any][]} */ ([
    ['signer', html`<${Key} of=${record.signer} names=${names} /> <code class="long">${record.signer}</code>`], ['key', html`<code class="long">${plain(record.idem_key)}</code>`],
    ['caller’s clock', html`<${Time} at=${record.hlc} /> <code>${record.hlc}</code>`], ['window', record.window_id && html`<code>${plain(record.window_id)}</code>`],
    ['evidence', record.evidence.length > 0 && record.evidence.map((/** @type {any} */ one) => html`<div><code class="long">${plain(typeof one === 'string' ? one : JSON.stringify(one))}</code></div>`)],
  ]);
  return html`${of.data && html`<p class="summary"><${Text} text=${of.data.summary} /></p>${of.data.justification !== of.data.summary && html`<p><${Text} text=${of.data.justification} /></p>`}
    <p class="dim"><code class="long">${plain(of.data.id)}</code><${Copy} text=${of.data.id} what="the address of the decision" /></p>`}
    <${Facts} rows=${rows} />`;
}

/** @param {{of: import('../parts/reads.js').Read, record: any, chain: string}} props */
function Proof({ of, record, chain }) {
  return html`<ul class="guards">${(of.data ?? []).map((/** @type {any} */ one) => html`<li><span class=${`sign ${one.ok ? 'yes' : one.ok === false ? 'no' : 'open'}`} role="img" aria-label=${one.ok ? 'checked here' : one.ok === false ? 'wrong' : 'not checked'}>${one.ok ? '✔' : one.ok === false ? '✘' : '?'}</span>
      <b>${one.name}</b> <span><${Text} text=${one.words} /></span></li>`)}</ul>
    ${of.error ? html`<p class="note"><${Text} text=${of.error.message} /></p>` : ''}
    <${Facts} rows=${[['head before', html`<${Hash} hash=${record.state_pre_hash} of="head before" />`], ['head after', html`<${Hash} hash=${record.state_post_hash} of="head after" />`], ['inputs', html`<${Hash} hash=${record.inputs_hash} of="hash of the inputs" />`], ['chain', html`<${Hash} hash=${chain} of="link of the chain" />`]]} />`;
}

/** @param {string} range */
async function both(range) {
  const found = /^([1-9]\d{0,15})\.\.([1-9]\d{0,15})$/.exec(range);
  if (!found) throw new Error(`${range} is no range of records; write 10..12`);
  const [from, to] = await Promise.all([entry(Number(found[1])), entry(Number(found[2]))]);
  if (from.missing || to.missing) throw new Error('one of the records is not here');
  const states = await Promise.all([from, to].map(({ record }) => client.state(record.project, [], { at: record.index })));
  return { from, to, states };
}

/** @param {{range: string}} props */
export function Compare({ range }) {
  const pair = useAnswer(`compare ${range}`, () => both(range));
  return html`<h1>Compare</h1><${Answer} of=${pair}>${(/** @type {any} */ { from, to, states }) => html`
    <p>The state after <${Link} to=${`r/${from.record.index}`}>record ${from.record.index}<//> (${plain(from.record.project)}, ${from.record.transition}) and after <${Link} to=${`r/${to.record.index}`}>record ${to.record.index}<//> (${plain(to.record.project)}, ${to.record.transition}).</p>
    ${from.record.project !== to.record.project && html`<p class="note"><${Badge} tone="warn">two projects<//></p>`}
    <${Panel} title="Differences"><${Diff} before=${states[0].projection} after=${states[1].projection} /><//>`}<//>`;
}

