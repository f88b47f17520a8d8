// @ts-check
// Projects, a page of 50 at a time.

import { html } from '../parts/dom.js';
import { useLive } from '../parts/live.js';
import { ask, link, usePlace } from '../parts/place.js';
import { get, isOldQuery, useAnswer } from '../parts/reads.js';
import { Answer, Badge, Copy, Empty, Hash, Key, Link, Panel, Save, Table, plain } from '../parts/show.js';
import { Time } from '../parts/time.js';
import { flagsOf } from './overview.js';

const SIZE = 50;
const REGIONS = ['boot', 'ingestion', 'council', 'environment', 'execution'];
const PHASES = ['BOOT', 'PROJECT_LIFECYCLE', 'EXECUTION', 'TERMINATED'];
const BLOCKS = ['paused', 'recovery', 'quarantined', 'license_grace', 'license_expired'];

/** @param {{state: string | undefined}} props */
export function State({ state }) {
  if (!state) return html`<span class="dim">–</span>`;
  const tone = ['READY', 'LICENSED', 'CLEAR', 'ACTIVE'].includes(state) ? 'rest' : ['DEGRADED', 'QUARANTINED', 'TERMINATED'].includes(state) ? 'hurt' : ['INACTIVE', 'UNINITIALIZED'].includes(state) ? 'none' : 'busy';
  return html`<span class=${`state ${tone}`}>${state}</span>`;
}

/** @param {{rows: any[]}} props */
export function ProjectTable({ rows }) {
  if (rows.length === 0) {
    return html`<${Empty} title="There are no projects here.">A project begins with its first accepted proposal:
      <code>swoosh propose ConfigOk --project NAME --inputs @project.json</code> <${Copy} text="swoosh propose ConfigOk --project NAME --inputs @project.json" what="the command" /><//>`;
  }
  const isBrief = !rows.some((row) => row.regions);
  const head = ['Project', 'Phase', ...(isBrief ? [] : REGIONS), ...(isBrief ? ['Head', 'Record'] : ['Flags', 'Beat', 'Effects', 'Last transition', 'When'])];
  const cells = rows.map((row) => [
    html`<${Link} to=${`p/${row.project}`} class="name">${plain(row.project)}<//>`,
    html`<span class="phase">${row.phase?.toLowerCase().replace('_', ' ')}</span>`,
    ...(isBrief ? [] : REGIONS.map((region) => html`<${State} state=${row.regions?.[region]?.state ?? row.regions?.[region]} />`)),
    ...(isBrief
      ? [html`<${Hash} hash=${row.hash} of="head" />`, html`<${Link} to=${`r/${row.index}`}>${row.index}<//>`]
      : [flagsOf(row).map((flag) => html`<${Badge} tone="bad">${flag}<//>`), row.beat ?? '–', row.open_effects ?? 0,
        row.last ? html`<${Link} to=${`r/${row.index}`}>${row.last.transition}<//> <${Key} of=${row.last.signer} />` : '–', html`<${Time} at=${row.last?.timestamp} />`]),
  ]);
  return html`<${Table} label="Projects" head=${head} rows=${cells} hrefs=${rows.map((row) => link(`p/${row.project}`))} />`;
}

/** @param {{[name: string]: string}} query */
async function read({ prefix, phase, blocked, order, after }) {
  try {
    return await get('/projects', { prefix, phase, blocked, order, after, limit: SIZE });
  } catch (error) {
    if (!isOldQuery(error)) throw error;
    const page = await get('/projects', { after: after ?? undefined, limit: prefix || phase ? 1000 : SIZE });
    const kept = page.projects.filter((/** @type {any} */ row) => (!prefix || row.project.startsWith(prefix)) && (!phase || row.phase === phase));
    return { ...page, projects: kept.slice(0, SIZE), isOld: Boolean(prefix || phase || blocked || order) };
  }
}

/** @param {{name: string, value: string | undefined, values: string[]}} props */
export function Choose({ name, value, values }) {
  return html`<label>${name} <select value=${value ?? ''} onChange=${(/** @type {any} */ event) => ask({ [name]: event.target.value, after: '', before: '' })}>
    <option value="">all</option>${values.map((one) => html`<option value=${one}>${one.toLowerCase().replaceAll('_', ' ')}</option>`)}</select></label>`;
}

/** @param {{name: string, value: string | undefined, hint?: string}} props */
export function Write({ name, value, hint }) {
  return html`<label>${name} <input name=${name} value=${value ?? ''} placeholder=${hint} spellcheck="false" autocomplete="off"
    onInput=${(/** @type {any} */ event) => ask({ [name]: event.target.value, after: '', before: '' }, { replace: true })} /></label>`;
}

export function Projects() {
  const { tick } = useLive();
  const { query } = usePlace();
  const page = useAnswer(`projects ${JSON.stringify(query)}`, () => read(query), tick);
  return html`<h1>Projects</h1>
    <div class="filters" role="group" aria-label="Filters">
      <${Write} name="prefix" value=${query.prefix} hint="name begins with" />
      <${Choose} name="phase" value=${query.phase} values=${PHASES} />
      <${Choose} name="blocked" value=${query.blocked} values=${BLOCKS} />
      <${Choose} name="order" value=${query.order} values=${['name', 'recent']} />
    </div>
    <${Panel} title="Projects" side=${page.data && html`<${Save} name="projects.jsonl" text=${page.data.projects.map((/** @type {any} */ row) => JSON.stringify(row)).join('\n')}>JSONL<//>`}>
      <${Answer} of=${page}>${(/** @type {any} */ data) => html`
        ${data.isOld && html`<p class="note">This node cannot filter. The filter is applied to the first 1,000 projects from here.</p>`}
        ${data.incomplete && html`<p class="note">${plain(data.incomplete)}</p>`}
        <${ProjectTable} rows=${data.projects} />
        <${Pages} next=${data.next} name="after" isFirst=${!query.after} />`}<//>
    <//>`;
}

/** @param {{next: any, name: string, isFirst: boolean}} props */
export function Pages({ next, name, isFirst }) {
  if (isFirst && !next) return null;
  return html`<p class="pages">
    <button type="button" disabled=${isFirst} onClick=${() => ask({ [name]: '' })}>First page</button>
    <button type="button" disabled=${!next} onClick=${() => ask({ [name]: String(next) })}>Next page</button></p>`;
}
