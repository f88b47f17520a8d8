// @ts-check
// What needs attention, and where everything is.

import { html } from '../parts/dom.js';
import { useLive } from '../parts/live.js';
import { either, get, isAbsent, useAnswer, useRead } from '../parts/reads.js';
import { Answer, Badge, Empty, Link, Panel, Text, plain } from '../parts/show.js';
import { Time, millis, span } from '../parts/time.js';
import { ProjectTable } from './projects.js';
import { Classes } from './node.js';

/** @typedef {{tone: 'bad' | 'warn' | 'info', what: any, why: any, to?: string, query?: any}} Matter */

/** @param {any} health @returns {Matter[]} */
function ofHealth(health) {
  const found = /** @type {Matter[]} */ ([]);
  if (health?.reason) found.push({ tone: 'bad', what: 'node', why: health.reason, to: 'node' });
  for (const one of health?.damaged ?? []) found.push({ tone: 'bad', what: one.project ?? one.table ?? 'journal', why: one.reason ?? one.problem ?? 'damaged', to: 'node' });
  for (const one of health?.decision_export ?? []) if (one.problem) found.push({ tone: 'warn', what: `export ${one.exporter}`, why: one.problem, to: 'node' });
  return found;
}

/** @param {any} effects @returns {Matter[]} */
function ofEffects(effects) {
  return (effects?.effects ?? []).filter((/** @type {any} */ one) => one.reason || one.attempt > 1 || one.phase === 'suspended')
    .map((/** @type {any} */ one) => ({
      tone: one.phase === 'suspended' ? 'bad' : 'warn', what: one.project, to: `p/${one.project}`, query: { tab: 'effects' },
      why: html`${one.effect}, ${one.phase}${one.attempt > 1 ? `, attempt ${one.attempt}` : ''}${one.reason ? html`: <${Text} text=${one.reason} most=${300} />` : ''}`,
    }));
}

/** @param {any} facts @returns {Matter[]} */
function ofFacts(facts) {
  const found = /** @type {Matter[]} */ ([]);
  const now = Date.now();
  for (const fact of facts?.facts ?? []) {
    const left = millis(fact.valid_until) - now;
    const scope = fact.project ? ` of ${fact.project}` : '';
    if (left < 0) found.push({ tone: 'bad', what: `fact ${fact.kind}${scope}`, why: `expired ${span(left)} ago`, to: 'facts' });
    else if (left < 120000) found.push({ tone: 'info', what: `fact ${fact.kind}${scope}`, why: `expires in ${span(left)}`, to: 'facts' });
  }
  return found;
}

/** @param {any} projects @returns {Matter[]} */
function ofProjects(projects) {
  return (projects?.projects ?? []).flatMap((/** @type {any} */ one) => {
    const flags = flagsOf(one);
    return flags.length ? [{ tone: 'bad', what: one.project, why: flags.join(', '), to: `p/${one.project}` }] : [];
  });
}

/** The flags of a row, as a list. @param {any} row @returns {string[]} */
export function flagsOf(row) {
  const { flags } = row;
  if (Array.isArray(flags)) return flags.map(String);
  return Object.entries(flags ?? {}).filter(([, set]) => set === true || (typeof set === 'string' && !['ok', 'none'].includes(set))).map(([name, set]) => (set === true ? name : `${name} ${set}`));
}

/** @param {{matters: Matter[]}} props */
function Attention({ matters }) {
  if (matters.length === 0) return html`<${Empty} title="Nothing needs attention.">No project is blocked, no work fails, and no fact is about to expire.<//>`;
  return html`<ul class="matters">${matters.slice(0, 50).map(({ tone, what, why, to, query }) => html`<li>
    <${Badge} tone=${tone}>${to ? html`<${Link} to=${to} query=${query}>${plain(what)}<//>` : plain(what)}<//>
    <span>${typeof why === 'string' ? html`<${Text} text=${why} most=${300} />` : why}</span></li>`)}</ul>`;
}

/** @param {{overview: any}} props */
function Counts({ overview }) {
  const { projects, effects, rejections } = overview;
  const phases = Object.entries(projects.phases ?? {});
  return html`<div class="counts">
    <${Count} of=${projects.total} name="projects" to="p" />
    ${phases.map(([name, count]) => html`<${Count} of=${count} name=${name.toLowerCase().replace('_', ' ')} to="p" query=${{ phase: name }} />`)}
    <${Count} of=${effects.open} name="open effects" to="p" />
    ${Object.entries(rejections?.codes ?? {}).slice(0, 4).map(([code, count]) => html`<${Count} of=${count} name=${code} to="rejections" query=${{ code }} />`)}
  </div>`;
}

/** @param {{of: any, name: string, to: string, query?: any}} props */
function Count({ of, name, to, query }) {
  return html`<${Link} to=${to} query=${query} class="count"><b>${Number(of).toLocaleString('en')}</b><span>${name}</span><//>`;
}

/** @param {{facts: any}} props */
export function LicenseLine({ facts }) {
  const license = facts.facts.find((/** @type {any} */ one) => one.kind === 'license' && !one.project);
  if (!license) return html`<${Badge} tone="bad">no license<//> <span>Nothing outside is asked, and no licensed transition is accepted.</span>`;
  const left = millis(license.valid_until) - Date.now();
  const grace = millis(license.grace_until) - Date.now();
  if (left > 0) return html`<${Badge} tone=${left < 3 * 86400000 ? 'warn' : 'good'}>valid<//> <span>${span(left)} left, until <${Time} at=${license.valid_until} /></span>`;
  return grace > 0 ? html`<${Badge} tone="warn">grace<//> <span>${span(grace)} left</span>` : html`<${Badge} tone="bad">expired<//> <span>${span(left)} ago</span>`;
}

export function Overview() {
  const { tick } = useLive();
  const health = useRead('/health', {}, tick);
  const overview = useRead('/overview', {}, tick);
  const facts = useRead('/facts', {}, tick);
  const windows = useRead('/windows', { count: 6 }, tick);
  const effects = useRead('/effects', { limit: 500 }, tick);
  const projects = useAnswer('projects', () => either(
    () => get('/projects', { order: 'recent', limit: 50 }), () => get('/projects', { limit: 50 })), tick);
  const missing = facts.data?.missing ?? [];
  const matters = [...ofHealth(health.data), ...ofProjects(projects.data), ...ofEffects(effects.data), ...ofFacts(facts.data)];
  return html`<h1>Overview</h1>
    ${overview.data ? html`<${Counts} overview=${overview.data} />` : overview.error && !isAbsent(overview.error) && html`<${Answer} of=${overview}>${() => null}<//>`}
    <div class="columns">
      <${Panel} title="Needs attention" side=${matters.length || ''} wide><${Answer} of=${effects}>${() => html`<${Attention} matters=${matters} />`}<//><//>
      <${Panel} title="Windows" side=${html`<${Link} to="windows">schedule<//>`}><${Answer} of=${windows}>${(/** @type {any} */ data) => html`<${Classes} of=${data} />`}<//><//>
      <${Panel} title="License and facts" side=${html`<${Link} to="facts">facts<//>`}><${Answer} of=${facts}>${(/** @type {any} */ data) => html`
        <p><${LicenseLine} facts=${data} /></p>
        <p>${missing.length ? html`<${Badge} tone="warn">missing<//> <span>${missing.join(', ')}</span>` : html`<${Badge} tone="good">facts<//> <span>all kinds are held</span>`}</p>
        <p>${data.network?.open ? html`<${Badge} tone="good">network gate<//> <span>open</span>` : html`<${Badge} tone="warn">network gate<//> <span>closed: only the license server is asked</span>`}</p>`}<//><//>
    </div>
    <${Panel} title="Projects" side=${html`<${Link} to="p">all projects<//>`}><${Answer} of=${projects}>${(/** @type {any} */ data) => html`<${ProjectTable} rows=${data.projects.slice(0, 50)} />`}<//><//>`;
}
