// @ts-check
// Records of a project, the newest first.

import { html } from '../parts/dom.js';
import { link, usePlace } from '../parts/place.js';
import { either, get, useAnswer } from '../parts/reads.js';
import { Answer, Empty, Key, Link, Panel, Save, Table, plain } from '../parts/show.js';
import { Time } from '../parts/time.js';
import { Choose, Pages } from './projects.js';
import { regions, states } from '../sdk/index.js';

const SIZE = 50;
/** Indexes that one look at the log of an older node covers. */
const REACH = 1000;

/** The newest records below an index, from a log that is read forwards. @param {string} project @param {number} before */
async function backwards(project, before) {
  for (let end = before; end > 1; end -= REACH) {
    const from = Math.max(1, end - REACH);
    const page = await get('/wal', { project, from, limit: REACH });
    const rows = page.records.map((/** @type {any} */ one) => one.record).filter((/** @type {any} */ one) => one.index < before);
    if (rows.length > 0 || from === 1) {
      const shown = rows.reverse().slice(0, SIZE);
      const last = shown.at(-1)?.index;
      return { records: shown, next: from > 1 || rows.length > SIZE ? last : undefined };
    }
  }
  return { records: [] };
}

/** @param {string} project @param {{[name: string]: string}} query @param {number} head */
const read = (project, { region, signer, transition, before }, head) => either(
  () => get('/records', { project, region: region || undefined, signer: signer || undefined, transition: transition || undefined, before: before || undefined, limit: SIZE }),
  async () => {
    const page = await backwards(project, before ? Number(before) : head + 1);
    const kept = page.records.filter((/** @type {any} */ row) => (!region || regions[row.transition] === region) && (!signer || row.signer === signer) && (!transition || row.transition === transition));
    return { ...page, records: kept, isOld: Boolean(region || signer || transition) };
  },
);

/** @param {{project: string, names: Map<string, any>, head: any, short?: boolean}} props */
export function Timeline({ project, names, head, short }) {
  const { query } = usePlace();
  const asked = short ? {} : query;
  const page = useAnswer(`records ${project} ${JSON.stringify(asked)}`, () => read(project, asked, head.index), head.index);
  return html`<${Panel} title="Timeline" side=${page.data && html`${short ? html`<${Link} to=${`p/${project}`} query=${{ tab: 'timeline' }}>all records<//>` : ''}
      <${Save} name=${`${project}-records.jsonl`} text=${page.data.records.map((/** @type {any} */ row) => JSON.stringify(row)).join('\n')}>JSONL<//>`}>
    ${!short && html`<div class="filters" role="group" aria-label="Filters"><${Choose} name="region" value=${query.region} values=${Object.keys(states)} />
      ${query.signer && html`<span>signer <${Key} of=${query.signer} names=${names} /> <a href=${link(`p/${project}`, { ...query, signer: '' })}>all signers</a></span>`}</div>`}
    <${Answer} of=${page}>${(/** @type {any} */ data) => html`
      ${data.isOld && html`<p class="note">This node filters only the page that it shows.</p>`}
      ${data.records.length === 0 ? html`<${Empty} title="No records here.">Another filter may show some.<//>` : html`<${Rows} rows=${short ? data.records.slice(0, 12) : data.records} names=${names} project=${project} />`}
      ${!short && html`<${Pages} next=${data.next} name="before" isFirst=${!query.before} />`}`}<//>
  <//>`;
}

/** @param {{rows: any[], names: Map<string, any>, project: string}} props */
function Rows({ rows, names, project }) {
  const cells = rows.map((row) => [
    html`<${Link} to=${`r/${row.index}`} class="number">${row.index.toLocaleString('en')}<//>`,
    html`<${Time} at=${row.timestamp} />`,
    html`<b>${plain(row.transition)}</b>`,
    html`<${Link} to=${`p/${project}`} query=${{ tab: 'timeline', signer: row.signer }}><${Key} of=${row.signer} names=${names} /><//>`,
    row.region ?? regions[row.transition] ?? '–',
    row.guard_outcomes ? `${row.guard_outcomes.length} ✔` : row.guards !== undefined ? `${row.guards} ✔` : '–',
    row.window_id ? html`<code>${plain(row.window_id).replace('backbeat:', '')}</code>` : html`<span class="dim">–</span>`,
  ]);
  return html`<${Table} label="Records, the newest first" head=${['Record', 'When', 'Transition', 'Signer', 'Region', 'Guards', 'Window']} rows=${cells} hrefs=${rows.map((row) => link(`r/${row.index}`))} />`;
}
