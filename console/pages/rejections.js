// @ts-check
// Proposals that were refused, and why.

import { html } from '../parts/dom.js';
import { useLive } from '../parts/live.js';
import { node, link, usePlace } from '../parts/place.js';
import { get, isOldQuery, useAnswer } from '../parts/reads.js';
import { Answer, Empty, Hash, Key, Link, Panel, Save, Table, Text, plain } from '../parts/show.js';
import { Time } from '../parts/time.js';
import { retries } from '../sdk/index.js';
import { Guards } from './project.js';
import { Choose, Pages, Write } from './projects.js';

const HELP = { head: 'sign again on the new head', clock: 'sign again with a later clock', restamp: 'sign again', resend: 'send the same bytes again', node: 'wait for the node', never: 'change the proposal' };

/** @param {{[name: string]: any}} query */
async function read({ project, code, signer, group, before }) {
  try {
    return await get('/rejections', { project: project || undefined, code: code || undefined, signer: signer || undefined, group: group || undefined, before: before || undefined, limit: 50 });
  } catch (error) {
    if (!isOldQuery(error)) throw error;
    const page = await get('/rejections', { project: project || undefined, limit: 1000 });
    const kept = page.rejections.filter((/** @type {any} */ row) => (!code || row.code === code) && (!signer || row.signer === signer));
    return group ? { groups: grouped(kept, group.split(',')) } : { rejections: kept.slice(0, 50), isOld: Boolean(signer) };
  }
}

/** @param {any[]} rows @param {string[]} names */
function grouped(rows, names) {
  const found = new Map();
  for (const row of rows) {
    const key = names.map((name) => row[name] ?? '').join('\n');
    const known = found.get(key) ?? { ...Object.fromEntries(names.map((name) => [name, row[name]])), count: 0, last: row.at, reason: row.reasons[0] };
    known.count += row.count ?? 1;
    found.set(key, known);
  }
  return [...found.values()].sort((one, other) => other.count - one.count);
}

/** @param {{code: string}} props */
export function Code({ code }) {
  return html`<a href=${`${node}/docs/rejections#${encodeURIComponent(code)}`} target="_blank" rel="noreferrer"><code>${plain(code)}</code></a>`;
}

/** @param {{row: any}} props */
function Reasons({ row }) {
  const more = row.guard_outcomes?.length || row.reasons.length > 1 || row.head_named;
  if (!more) return html`<${Text} text=${row.reasons[0] ?? ''} most=${600} />`;
  return html`<details><summary><${Text} text=${row.reasons[0] ?? ''} most=${300} /></summary>
    ${row.reasons.slice(1).map((/** @type {string} */ reason) => html`<p><${Text} text=${reason} /></p>`)}
    ${row.head_named && html`<p>named head <${Hash} hash=${row.head_named} of="head that was named" /></p>`}
    ${row.idem_key && html`<p>key <code>${plain(row.idem_key)}</code></p>`}
    ${row.guard_outcomes && html`<${Guards} of=${row.guard_outcomes} />`}</details>`;
}

/** @param {{project?: string, tick: number, names?: Map<string, any>}} props */
export function RejectionTable({ project, tick, names }) {
  const { query } = usePlace();
  const asked = { ...query, project: project ?? query.project };
  const page = useAnswer(`rejections ${JSON.stringify(asked)}`, () => read(asked), tick);
  const rows = page.data?.rejections ?? page.data?.groups ?? [];
  return html`<${Panel} title="Rejections" side=${html`<${Save} name="rejections.jsonl" text=${rows.map((/** @type {any} */ row) => JSON.stringify(row)).join('\n')}>JSONL<//>`}>
    <div class="filters" role="group" aria-label="Filters">
      ${!project && html`<${Write} name="project" value=${query.project} hint="whole name" />`}
      <${Choose} name="code" value=${query.code} values=${Object.keys(retries).sort()} />
      <${Choose} name="group" value=${query.group} values=${['code', 'signer', 'project', 'code,signer']} />
      ${query.signer && html`<span>signer <${Key} of=${query.signer} names=${names} /> <a href=${link(project ? `p/${project}` : 'rejections', { ...query, signer: '' })}>all signers</a></span>`}
    </div>
    <${Answer} of=${page}>${(/** @type {any} */ data) => html`
      ${data.since && html`<p class="dim">Kept in memory since <${Time} at=${data.since} />, when the node started${data.dropped ? `; ${data.dropped} older ones were dropped` : ''}.</p>`}
      ${rows.length === 0 ? html`<${Empty} title="No proposal was refused.">Refused proposals change nothing; they are kept in memory until the node restarts.<//>`
        : data.groups ? html`<${Groups} rows=${rows} names=${names} />` : html`<${List} rows=${rows} names=${names} />`}
      <${Pages} next=${data.next} name="before" isFirst=${!query.before} />`}<//><//>`;
}

/** @param {{rows: any[], names?: Map<string, any>}} props */
function List({ rows, names }) {
  return html`<${Table} label="Rejections" head=${['When', 'Code', 'Project', 'Transition', 'Signer', 'Reason', 'What helps']} rows=${rows.map((row) => [
    html`<${Time} at=${row.at} />`, html`<${Code} code=${row.code} />${row.count > 1 ? html` <b>×${row.count}</b>` : ''}`,
    row.project ? html`<${Link} to=${`p/${row.project}`}>${plain(row.project)}<//>` : '–', row.transition ?? '–', html`<${Key} of=${row.signer} names=${names} />`,
    html`<${Reasons} row=${row} />`, html`<span class="dim">${HELP[/** @type {keyof HELP} */ (retries[row.code])] ?? retries[row.code] ?? '–'}</span>`])} />`;
}

/** @param {{rows: any[], names?: Map<string, any>}} props */
function Groups({ rows, names }) {
  return html`<${Table} label="Rejections by group" head=${['Count', 'Code', 'Signer', 'Project', 'Last', 'Reason of the last']} rows=${rows.map((row) => [
    html`<b>${row.count.toLocaleString('en')}</b>`, row.code ? html`<${Code} code=${row.code} />` : '–', html`<${Key} of=${row.signer} names=${names} />`, row.project ? html`<${Link} to=${`p/${row.project}`}>${plain(row.project)}<//>` : '–',
    html`<${Time} at=${row.last} />`, html`<${Text} text=${row.reason ?? ''} most=${300} />`])} />`;
}

export function Rejections() {
  const { tick } = useLive();
  return html`<h1>Rejections</h1><${RejectionTable} tick=${tick} />`;
}
