// @ts-check
// The node, its schedule, facts, license, cluster and migration.

import { html, useState } from '../parts/dom.js';
import { useLive } from '../parts/live.js';
import { useAnswer, useRead, get, isAbsent } from '../parts/reads.js';
import { Answer, Badge, Bar, Copy, Empty, Facts as Rows, Hash, Json, Key, Link, Panel, Table, Text, plain } from '../parts/show.js';
import { Time, millis, span } from '../parts/time.js';
import { LicenseLine } from './overview.js';

const CLASSES = ['plan', 'review', 'reverb'];

/** Windows of each class: open now, or when. @param {{of: any}} props */
export function Classes({ of }) {
  const { outlook } = of;
  if (!outlook) return html`<${Empty} title="No schedule is valid.">Transitions that need a window are refused until one is.<//>`;
  return html`<p class="dim">beat ${outlook.beat.toLocaleString('en')} · ${plain(outlook.window_id)} · pressure ${outlook.pressure} of 1000</p>
    <ul class="windows">${CLASSES.map((name) => {
      const now = outlook.windows[name];
      const next = outlook.next.find((/** @type {any} */ one) => one.class === name);
      return html`<li><b>${name}</b> ${now?.open ? html`<${Badge} tone="good">open<//>` : html`<${Badge}>closed<//>`}
        <span class="dim">${now?.open ? '' : now?.opens_in_ms !== undefined ? `opens in ${span(now.opens_in_ms)}` : 'the schedule has none'}${now?.open && next ? html`next <${Time} at=${next.opens_at} />` : ''}</span></li>`;
    })}</ul>`;
}

/** One cycle of the schedule. @param {{schedule: any, phase: number}} props */
function Cycle({ schedule, phase }) {
  const beats = schedule.cycle_beats;
  const x = (/** @type {number} */ beat) => 60 + (beat / beats) * 530;
  return html`<div class="cycle"><svg viewBox="0 0 600 112" role="img" aria-label=${`Windows of a cycle of ${beats} beats; the present beat is ${phase}`}>
    ${CLASSES.map((name, row) => html`<g><text x="0" y=${row * 30 + 20}>${name}</text><rect class="whole" x="60" y=${row * 30 + 6} width="530" height="20" rx="3" />
      ${(schedule.windows[name] ?? []).map((/** @type {any} */ one) => html`<rect class="part" x=${x(one.phase_beats)} y=${row * 30 + 6} width=${x(one.phase_beats + one.length_beats) - x(one.phase_beats) - 1} height="20" rx="3" />`)}</g>`)}
    <path class="now" d=${`M${x(phase)} 0V96`} /><text x=${Math.min(x(phase), 555)} y="110" class="small">now</text></svg></div>`;
}

export function Windows() {
  const { tick } = useLive();
  const windows = useRead('/windows', { count: 24 }, tick);
  return html`<h1>Windows</h1><${Answer} of=${windows}>${(/** @type {any} */ data) => html`
    <div class="columns two"><${Panel} title="Now"><${Classes} of=${data} /><//>
    <${Panel} title="Schedule" side=${html`<span class="dim">beats of ${span(data.schedule?.beat_ms ?? 0)}</span>`}>${data.schedule && data.outlook ? html`<${Cycle} schedule=${data.schedule} phase=${data.outlook.phase_beats} />
      <${Rows} rows=${[['epoch', html`<${Time} at=${data.schedule.epoch} />`], ['signed by', html`<${Key} of=${data.source} />`], ['fact', html`<${Hash} hash=${data.fact} of="fact" />`], ['live source', data.outlook.led ? 'leads the beat' : 'does not lead']]} />` : html`<${Empty} title="No schedule is valid." />`}<//></div>
    ${data.outlook && html`<${Panel} title="Next windows"><${Table} label="Next windows" head=${['Class', 'Opens', 'Closes', 'Window']}
      rows=${data.outlook.next.map((/** @type {any} */ one) => [one.class, html`<${Time} at=${one.opens_at} />`, html`<${Time} at=${one.closes_at} />`, html`<code>${plain(one.window_id)}</code>`])} /><//>`}`}<//>`;
}

/** @param {{project?: string, tick: number}} props */
export function FactTable({ project, tick }) {
  const facts = useRead('/facts', { project }, tick);
  return html`<${Panel} title="Facts" side=${facts.data && `${facts.data.facts.length}`}><${Answer} of=${facts}>${(/** @type {any} */ data) => html`
    ${data.missing?.length > 0 && html`<p><${Badge} tone="warn">missing<//> ${data.missing.join(', ')} <span class="dim">guards that need them refuse</span></p>`}
    ${data.facts.length === 0 ? html`<${Empty} title="No facts are held." />` : html`<${Table} label="Facts" head=${['Kind', 'Project', 'Valid until', 'Left', 'Observed', 'Source', 'Hash']} rows=${data.facts.slice(0, 500).map((/** @type {any} */ one) => {
      const left = one.left_ms ?? Math.max(0, millis(one.valid_until) - Date.now());
      return [html`<b>${one.kind}</b>`, one.project ? html`<${Link} to=${`p/${one.project}`}>${plain(one.project)}<//>` : html`<span class="dim">all</span>`, html`<${Time} at=${one.valid_until} />`,
        left > 0 ? html`<${Badge} tone=${left < 120000 ? 'warn' : 'good'}>${span(left)}<//>` : html`<${Badge} tone="bad">expired<//>`, html`<${Time} at=${one.observed_at} />`, html`<${Key} of=${one.source} />`, html`<${Hash} hash=${one.hash} of="fact" />`];
    })} />`}`}<//><//>`;
}

export function Facts() {
  const { tick } = useLive();
  return html`<h1>Facts</h1><p class="lead">What guards know of the world: signed, with an end. A guard never asks outside; it reads these.</p><${FactTable} tick=${tick} />`;
}

export function License() {
  const { tick } = useLive();
  const facts = useRead('/facts', { kind: 'license' }, tick);
  const overview = useRead('/overview', {}, tick);
  return html`<h1>License</h1><${Panel} title="License"><${Answer} of=${facts}>${(/** @type {any} */ data) => {
    const one = data.facts.find((/** @type {any} */ found) => found.kind === 'license');
    return html`<p><${LicenseLine} facts=${data} /></p>
      ${overview.data?.license && html`<p><${Text} text=${overview.data.license.reason} /></p>`}
      ${one && html`<${Rows} rows=${[['observed', html`<${Time} at=${one.observed_at} />`], ['valid until', html`<${Time} at=${one.valid_until} />`], ['grace until', html`<${Time} at=${one.grace_until} />`], ['signed by', html`<${Key} of=${one.source} />`], ['fact', html`<${Hash} hash=${one.hash} of="fact" />`]]} />`}
      <p>${data.network?.open ? html`<${Badge} tone="good">network gate open<//>` : html`<${Badge} tone="warn">network gate closed<//>`} <span class="dim">Without a valid license the node connects to the license server alone.</span></p>
      <p class="dim">To fetch a license: <code>swoosh license fetch</code> <${Copy} text="swoosh license fetch" what="the command" /></p>`;
  }}<//><//>`;
}

/** @param {{project?: string, tick: number}} props */
export function Effects({ project, tick }) {
  const effects = useRead('/effects', { project, limit: 200 }, tick);
  const tones = { waiting: 'idle', suspended: 'bad', running: 'info', reporting: 'info', external: 'warn' };
  return html`<${Panel} title="Open effects" side=${effects.data && `${effects.data.effects.length}`}><${Answer} of=${effects}>${(/** @type {any} */ data) => data.effects.length === 0
    ? html`<${Empty} title="No work is open.">Effects open with transitions, such as a fetch of sources, and close with their outcome.<//>`
    : html`<${Table} label="Open effects" head=${['Effect', 'Phase', 'Attempt', 'Step', 'Next try', 'Reason', 'Record']} rows=${data.effects.map((/** @type {any} */ one) => [
      html`<b>${one.effect}</b> <span class="dim">${one.mode}</span> <${Copy} text=${one.id} what="the id of the effect" />`,
      html`<${Badge} tone=${tones[/** @type {keyof tones} */ (one.phase)] ?? 'idle'}>${one.phase}<//>`, one.attempt,
      html`${one.step ? html`<${Text} text=${one.step} most=${80} />` : '–'}${one.total ? html`<${Bar} part=${one.done ?? 0} of=${one.total} label=${`${one.done ?? 0} of ${one.total}`} />` : ''}`,
      one.next_ms ? html`<${Time} at=${one.next_ms} />` : '–', one.reason ? html`<${Text} text=${one.reason} most=${500} />` : '–',
      html`<${Link} to=${`r/${/\/(\d+)/.exec(one.id)?.[1]}`}>${/\/(\d+)/.exec(one.id)?.[1]}<//>`])} />`}<//><//>`;
}

/** @param {{of: any[]}} props */
function Exporters({ of }) {
  if (of.length === 0) return html`<${Empty} title="No exporter is set.">Decision records stay in the node; <code>decisions</code> in the settings sends them on.<//>`;
  return html`<${Table} label="Exporters" head=${['Exporter', 'Position', 'Lag', 'Failures', 'Problem']} rows=${of.map((one) => [html`<b>${one.exporter}</b>`, one.position, one.lag ? html`<${Badge} tone="warn">${one.lag}<//>` : '0', one.failures, one.problem ? html`<${Text} text=${one.problem} />` : '–'])} />`;
}

export function Node() {
  const { tick } = useLive();
  const health = useRead('/health', {}, tick);
  const overview = useRead('/overview', {}, tick);
  return html`<h1>Node</h1><${Answer} of=${health}>${(/** @type {any} */ data) => html`<div class="columns two">
    <${Panel} title="Node"><${Rows} rows=${[['status', html`<${Badge} tone=${data.status === 'ok' ? 'good' : 'bad'}>${data.status}<//>`], ['mode', data.mode], ['reason', data.reason && html`<${Text} text=${data.reason} />`], ['cluster', plain(data.cluster)], ['consensus', data.consensus],
      ['key', html`<span class="hash"><code class="long">${data.node}</code><${Copy} text=${data.node} what="the node's key" /></span>`], ['version', data.version], ['clock', html`<${Time} at=${data.time} />`]]} /><//>
    <${Panel} title="Journal"><${Rows} rows=${[['last record', html`<${Link} to=${`r/${data.last_index}`}>${data.last_index.toLocaleString('en')}<//>`], ['judged, not durable', data.walLag], ['oldest of them', `${data.uncommitted_ms} ms`], ['proposals that wait', data.queue], ['newest snapshot', html`<${Time} at=${data.lastSnapshotHLC} />`],
      ['size', overview.data?.disk && `${(overview.data.disk.journal_bytes / 1048576).toFixed(1)} MiB`], ['damaged projects', data.projects_damaged ? html`<${Badge} tone="bad">${data.projects_damaged}<//>` : '0'], ['damaged tables', data.tables_damaged ? html`<${Badge} tone="bad">${data.tables_damaged}<//>` : '0']]} />
      ${data.damaged.length > 0 && html`<${Json} value=${data.damaged} name="damage" title="damage" open />`}<//></div>
    <${Panel} title="Exporters"><${Exporters} of=${data.decision_export} /><//>
    <${Effects} tick=${tick} />`}<//>`;
}

export function Cluster() {
  const { tick } = useLive();
  const cluster = useRead('/cluster', {}, tick);
  const health = useRead('/health', {}, tick);
  return html`<h1>Cluster</h1><${Answer} of=${health}>${(/** @type {any} */ data) => html`<${Panel} title="This node"><${Rows} rows=${[['cluster', plain(data.cluster)], ['consensus', data.consensus === 'single' ? 'one node without replication' : data.consensus], ['mode', data.mode], ['key', html`<span class="hash"><code class="long">${data.node}</code></span>`], ['last record', data.last_index.toLocaleString('en')]]} /><//>`}<//>
    <${Panel} title="Who reads the log"><${Answer} of=${cluster}>${(/** @type {any} */ data) => data.readers.length === 0
      ? html`<${Empty} title="No follower reads this node.">A follower keeps a checked copy: <code>swoosh follow ${location.origin} --data DIR</code><//>`
      : html`<${Table} label="Readers of the log" head=${['Address', 'Signer', 'Position', 'Lag', 'Seen']} rows=${data.readers.map((/** @type {any} */ one) => [html`<code>${plain(one.address)}</code>`, html`<${Key} of=${one.signer} />`, one.position, one.lag, html`<${Time} at=${one.seen} />`])} />`}<//><//>`;
}

export function Migration() {
  const { tick } = useLive();
  const [isNone, set] = useState(false);
  const view = useAnswer('migration', () => get('/migration').catch((error) => {
    // A node without a WHOOSH has nothing to show, and says so.
    if (error.status === 404 && !isAbsent(error)) {
      set(true);
      return null;
    }
    throw error;
  }), isNone ? 0 : tick);
  const found = useRead(view.data ? '/migration/divergences' : undefined, { limit: 50 }, tick);
  return html`<h1>Migration</h1><${Panel} title="WHOOSH to SWOOSH"><${Answer} of=${view}>${(/** @type {any} */ data) => (data === null
    ? html`<${Empty} title="This node takes no WHOOSH's place."><code>migration</code> in the settings names one.<//>` : html`<${Deciders} of=${data} />`)}<//><//>
    ${view.data && html`<${Panel} title="Divergences"><${Answer} of=${found}>${(/** @type {any} */ data) => (data.divergences?.length ? data.divergences.map((/** @type {any} */ one) => html`<${Json} value=${one} title=${one.kind ?? 'divergence'} />`) : html`<${Empty} title="WHOOSH and SWOOSH decide alike." />`)}<//><//>`}`;
}

/** @param {{of: any}} props */
function Deciders({ of }) {
  const plainOnes = Object.entries(of).filter(([, value]) => typeof value !== 'object');
  return html`<${Rows} rows=${/** @type {any} */ (plainOnes.map(([name, value]) => [name.replaceAll('_', ' '), html`<${Text} text=${value} />`]))} /><${Json} value=${of} name="migration" open=${plainOnes.length === 0} />`;
}

