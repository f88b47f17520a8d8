// @ts-check
// One project: why it is where it is, its chart, transitions, timeline and work.

import { html, useState } from '../parts/dom.js';
import { Chart } from '../parts/chart.js';
import { useLive } from '../parts/live.js';
import { link, usePlace } from '../parts/place.js';
import { client, isAbsent, useAnswer, useNames, useRead } from '../parts/reads.js';
import { Answer, Badge, Copy, Empty, Facts, Hash, Json, Key, Link, Panel, Problem, Text, plain } from '../parts/show.js';
import { Time } from '../parts/time.js';
import { moves, states } from '../sdk/index.js';
import { Effects, FactTable } from './node.js';
import { RejectionTable } from './rejections.js';
import { Timeline } from './timeline.js';

const TABS = ['chart', 'timeline', 'effects', 'council', 'state', 'rejections', 'facts'];
const FIRST = ['Execution_Approve', 'Control_Resume', 'Policy_Release', 'Control_Pause', 'Ingestion_Retry', 'Environment_Recheck'];

/** The phase of each region. @param {any} state */
export const phasesOf = (state) => Object.fromEntries(Object.entries(state?.projection ?? {}).map(([name, section]) => [name, section?.phase]).filter(([, phase]) => phase));

/** @param {any} state */
function flags(state) {
  const { control = {}, policy = {} } = state?.projection ?? {};
  return [
    control.paused && ['warn', 'paused'], control.recovery && ['bad', 'recovery'],
    control.license && control.license !== 'ok' && ['warn', `license ${control.license}`],
    policy.phase === 'QUARANTINED' && ['bad', 'quarantined'],
  ].filter(Boolean);
}

const WORDS = {
  effect: 'work that is open', vote: 'votes', approval: 'approvals', window: 'a window', fact: 'a fact', license: 'the license',
  block: 'a block to be lifted', retries: 'another try', operator: 'a proposal', nothing: 'nothing',
};

/** @param {{of: any, project: string, names: Map<string, any>, isFirst: boolean}} props */
function Waits({ of, project, names, isFirst }) {
  const what = of.do;
  return html`<div class=${`waits${isFirst ? ' first' : ''}`}>
    <p><b>${of.region}</b> <span class="state busy">${of.state}</span> ${of.since && html`<span class="dim">since <${Time} at=${of.since} /></span>`}
      waits for <b>${WORDS[/** @type {keyof WORDS} */ (of.waits_for)] ?? plain(of.waits_for)}</b>${of.until && html` <span>until <${Time} at=${of.until} /></span>`}</p>
    <ul>${(of.reasons ?? []).map((/** @type {string} */ reason) => html`<li><${Text} text=${reason} /></li>`)}</ul>
    ${of.who?.length > 0 && html`<p class="who">${of.who.map((/** @type {any} */ one) => html`<${Key} of=${one.key} names=${names} /> `)}${of.who_more ? html`<span class="dim">and ${of.who_more} more</span>` : ''}</p>`}
    ${what && html`<p class="do"><${Text} text=${what.text} /> ${what.transition && html`<${Link} to=${`act/${what.transition}`} query=${{ project }} class="button">${what.transition}<//>`}
      ${what.effect && html`<${Link} to=${`p/${project}`} query=${{ tab: 'effects' }}>the effect<//>`} ${what.fact && html`<${Link} to=${`p/${project}`} query=${{ tab: 'facts' }}>the fact<//>`}</p>`}
  </div>`;
}

/** Whether a transition leads to the next state of its region. @param {any} one @param {{[region: string]: string}} phases */
function leadsOn(one, phases) {
  if (['control', 'policy'].includes(one.region)) return false;
  const next = states[one.region]?.[states[one.region].indexOf(phases[one.region]) + 1];
  return next !== undefined && next !== 'DEGRADED' && moves[one.transition]?.to.includes(next);
}

/** @param {{project: string, tick: number, view: import('../parts/reads.js').Read, names: Map<string, any>, phases: {[region: string]: string}}} props */
function Why({ project, tick, view, names, phases }) {
  const waiting = useRead('/waiting', { project }, tick);
  if (waiting.data) {
    const all = waiting.data.regions.filter((/** @type {any} */ one) => one.waits_for !== 'nothing');
    const sorted = all.sort((/** @type {any} */ one, /** @type {any} */ other) => Number(other.region === waiting.data.first) - Number(one.region === waiting.data.first));
    return html`<${Panel} title="Why is it here?">${all.length === 0 ? html`<p>No region waits for anything.</p>`
      : sorted.map((/** @type {any} */ one) => html`<${Waits} of=${one} project=${project} names=${names} isFirst=${one.region === waiting.data.first} />`)}<//>`;
  }
  if (waiting.error && !isAbsent(waiting.error)) return html`<${Panel} title="Why is it here?"><${Problem} error=${waiting.error} /><//>`;
  const enabled = (view.data?.transitions ?? []).filter((/** @type {any} */ one) => one.enabled && leadsOn(one, phases));
  return html`<${Panel} title="Why is it here?">${enabled.length ? html`<p>It goes on with: ${enabled.map((/** @type {any} */ one, /** @type {number} */ at) => html`${at ? ', ' : ''}<${Link} to=${`act/${one.transition}`} query=${{ project }}>${one.transition}<//> <span class="dim">by ${one.signers.join(' or ')}</span>`)}.</p>`
    : html`<p>No transition leads on now. The list below has the reasons of each.</p>`}
    ${isAbsent(waiting.error) && html`<p class="note">This node does not serve the reasons of a whole region yet (<code>/waiting</code>).</p>`}<//>`;
}

/** @param {{of: any, project: string, show: boolean}} props */
function Transition({ of, project, show }) {
  const isOpen = of.guards.some((/** @type {any} */ guard) => guard.ok === undefined);
  const sign = !of.enabled ? '✘' : isOpen ? '?' : '✔';
  const words = of.enabled ? (isOpen ? 'enabled; some guards depend on the proposal' : 'enabled') : 'not enabled';
  return html`<details class="transition" open=${show}><summary>
    <span class=${`sign ${of.enabled ? (isOpen ? 'open' : 'yes') : 'no'}`} role="img" aria-label=${words}>${sign}</span>
    <b>${of.transition}</b> <span class="dim">${of.signers.join(', ')}${of.window ? ` · ${of.window} window` : ''}</span>
    ${!of.enabled && of.reasons[0] && html`<span class="reason"><${Text} text=${of.reasons[0]} most=${160} /></span>`}</summary>
    ${of.reasons.length > 1 && html`<ul>${of.reasons.slice(1).map((/** @type {string} */ reason) => html`<li><${Text} text=${reason} /></li>`)}</ul>`}
    <${Guards} of=${of.guards} />
    <p><${Link} to=${`act/${of.transition}`} query=${{ project }} class="button">Propose…<//></p>
  </details>`;
}

/** How guards judge: passed, failed, or open. @param {{of: any[]}} props */
export function Guards({ of }) {
  const signs = new Map([[true, ['✔', 'yes', 'passes']], [false, ['✘', 'no', 'fails']]]);
  return html`<ul class="guards">${of.map((guard) => {
    const [sign, name, words] = signs.get(guard.ok) ?? ['?', 'open', 'depends on the proposal'];
    return html`<li><span class=${`sign ${name}`} role="img" aria-label=${words}>${sign}</span> <b>${guard.guard}</b> <span>${guard.reasons.map((/** @type {string} */ reason) => html`<${Text} text=${reason} /> `)}</span>
      ${(guard.facts ?? []).map((/** @type {string} */ fact) => html`<${Hash} hash=${fact} of="fact" />`)}</li>`;
  })}</ul>`;
}

/** @param {{view: any, project: string}} props */
function Transitions({ view, project }) {
  const [all, show] = useState(false);
  const [region, choose] = useState('');
  const rows = view.transitions.filter((/** @type {any} */ one) => (all || one.enabled) && (!region || one.region === region));
  const regions = [...new Set(view.transitions.map((/** @type {any} */ one) => one.region))];
  return html`<${Panel} title="Transitions" side=${html`<label><input type="checkbox" checked=${all} onChange=${() => show(!all)} /> all</label>
    <label class="narrow"><span class="unseen">region</span><select value=${region} onChange=${(/** @type {any} */ event) => choose(event.target.value)}><option value="">regions</option>${regions.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>`}>
    <div class="transitions">${rows.length === 0 ? html`<${Empty} title="No transition is enabled.">Show all of them for the reasons.<//>` : rows.map((/** @type {any} */ one) => html`<${Transition} key=${one.transition} of=${one} project=${project} show=${false} />`)}</div><//>`;
}

/** @param {{state: any, view: import('../parts/reads.js').Read, project: string}} props */
function ChartTab({ state, view, project }) {
  const enabled = new Set((view.data?.transitions ?? []).filter((/** @type {any} */ one) => one.enabled).map((/** @type {any} */ one) => String(one.transition)));
  return html`<div class="columns two">
    <${Panel} title="Chart" wide><${Chart} phases=${phasesOf(state)} enabled=${enabled} project=${project} /><//>
    <${Answer} of=${view}>${(/** @type {any} */ data) => html`<${Transitions} view=${data} project=${project} />`}<//>
  </div>`;
}

/** @param {{state: any, names: Map<string, any>, electorate: string[]}} props */
function Council({ state, names, electorate }) {
  const { council, execution } = state.projection;
  const votes = new Map((council.certificate?.votes ?? []).map((/** @type {any} */ one) => [one.voter, one]));
  const keys = [...new Set([...Object.keys(council.members ?? {}), ...Object.keys(council.candidates ?? {})])];
  const approvals = execution?.approvals ?? {};
  const threshold = execution?.approval_threshold;
  return html`<${Panel} title="Council" side=${html`<span class="state busy">${council.phase}</span>`}>
    <${Facts} rows=${[['version', council.version], ['rules', `${council.rules?.quorum ?? ''}, at least ${council.rules?.min_members ?? '–'} members`], ['member set', html`<${Hash} hash=${council.member_set_hash} of="member set" />`],
      ['approvals', threshold !== undefined && `${Object.keys(approvals).length} of ${threshold}`]]} />
    ${keys.length === 0 ? html`<${Empty} title="No candidates yet.">They apply with <code>swoosh council elect</code>.<//>` : html`<ul class="members">${keys.map((key) => html`<li>
      <${Key} of=${key} names=${names} /> <span>${council.members?.[key] ? html`<${Badge} tone="good">${council.members[key]}<//>` : html`<${Badge}>candidate<//>`}</span>
      <span class="dim">${(council.candidates?.[key] ?? []).join(', ')}</span>
      <span>${votes.has(key) ? '✔ voted ' : ''}${approvals[key] ? '✔ approved' : ''}${electorate.includes(key) ? '' : html`<span class="dim"> may not be seated now</span>`}</span></li>`)}</ul>`}
  <//>`;
}

/** @param {{state: any}} props */
function StateTab({ state }) {
  return html`<${Panel} title="State" side=${html`<span class="dim">record ${state.index}</span>`}>
    ${Object.entries(state.projection).map(([name, section]) => html`<details class="section"><summary><b>${name}</b> ${section?.phase && html`<span class="state busy">${section.phase}</span>`}</summary>
      <p>hash <${Hash} hash=${state.sections[name]} of="section" /></p><${Json} value=${section} name=${`${state.project}-${name}`} open /></details>`)}<//>`;
}

/** @param {{name: string, state: any, view: any, names: Map<string, any>}} props */
function Head({ name, state, view, names }) {
  const enabled = new Set((view?.transitions ?? []).filter((/** @type {any} */ one) => one.enabled).map((/** @type {any} */ one) => one.transition));
  const offered = FIRST.filter((one) => enabled.has(one)).slice(0, 3);
  const { query } = usePlace();
  return html`<div class="head"><div><h1>${plain(name)}</h1>
    <p><span class="phase">${state.phase.toLowerCase().replace('_', ' ')}</span> ${flags(state).map(([tone, word]) => html`<${Badge} tone=${tone}>${word}<//> `)}
      head <${Hash} hash=${state.hash} of="head" /> · <${Link} to=${`r/${state.index}`}>record ${state.index.toLocaleString('en')}<//>
      ${state.hlc_last && html` · last by <${Key} of=${state.hlc_last.signer} names=${names} /> <${Time} at=${state.hlc_last.hlc} />`}</p>
    ${query.at && html`<p class="note">This is the state after record ${plain(query.at)}. <a href=${link(`p/${name}`, { ...query, at: '' })}>Show the present one</a></p>`}</div>
    <div class="actions">${offered.map((one) => html`<${Link} to=${`act/${one}`} query=${{ project: name }} class="button">${one.split('_')[1]}<//>`)}
      <${Link} to="act" query=${{ project: name }} class="button">Act…<//> <${Copy} text=${`swoosh state --project ${name}`} what="the command that shows this state" /></div></div>`;
}

/** @param {{name: string}} props */
export function Project({ name }) {
  const { query } = usePlace();
  const { tick } = useLive();
  const at = /^[1-9][0-9]{0,15}$/.test(query.at ?? '') ? Number(query.at) : undefined;
  const state = useAnswer(`state ${name} ${at}`, () => client.state(name, [], { at, prove: false }), at ? 0 : tick);
  const view = useAnswer(`transitions ${name}`, () => client.transitions(name), tick);
  const names = useNames(name, state.data?.sections?.boot);
  const tab = TABS.includes(query.tab) ? query.tab : 'chart';
  if (state.data === undefined) {
    const isNew = state.error?.code === 'unknown_project';
    return html`<h1>${plain(name)}</h1>${isNew ? html`<${Empty} title="There is no such project.">It begins with <code>swoosh propose ConfigOk --project ${plain(name)} --inputs @project.json</code><//>` : html`<${Answer} of=${state}>${() => null}<//>`}`;
  }
  const tabs = {
    chart: () => html`<${ChartTab} state=${state.data} view=${view} project=${name} /><${Timeline} project=${name} names=${names} head=${state.data} short />`,
    timeline: () => html`<${Timeline} project=${name} names=${names} head=${state.data} />`,
    effects: () => html`<${Effects} project=${name} tick=${tick} />`,
    council: () => html`<${Council} state=${state.data} names=${names} electorate=${view.data?.electorate ?? []} />`,
    state: () => html`<${StateTab} state=${state.data} />`,
    rejections: () => html`<${RejectionTable} project=${name} tick=${tick} names=${names} />`,
    facts: () => html`<${FactTable} project=${name} tick=${tick} />`,
  };
  return html`<${Head} name=${name} state=${state.data} view=${view.data} names=${names} />
    ${state.error && html`<${Problem} error=${state.error} />`}
    <${Why} project=${name} tick=${tick} view=${view} names=${names} phases=${phasesOf(state.data)} />
    <nav class="tabs" aria-label="Parts of the project">${TABS.map((one) => html`<${Link} to=${`p/${name}`} query=${{ tab: one === 'chart' ? '' : one, at: query.at }} current=${one === tab}>${one}<//>`)}</nav>
    ${tabs[/** @type {keyof tabs} */ (tab)]()}`;
}

