// @ts-check
// The statechart: a lane for each region, lit by a state.

import { moves, regions as regionOf, states } from '../sdk/index.js';
import { html, useState } from './dom.js';
import { link } from './place.js';

const LANES = ['boot', 'ingestion', 'council', 'environment', 'execution', 'control', 'policy'];
const [WIDTH, HEIGHT, GAP, LEFT, LANE] = [108, 26, 34, 96, 60];

/** The pairs of states of a region that transitions lead between, with their names. @param {string} region */
export function arrows(region) {
  /** @type {Map<string, {from: string, to: string, names: string[]}>} */
  const found = new Map();
  for (const [name, { from, to }] of Object.entries(moves)) {
    if (regionOf[name] !== region) continue;
    for (const one of from) {
      for (const other of to) {
        const key = `${one} ${other}`;
        const known = found.get(key) ?? { from: one, to: other, names: [] };
        known.names.push(name);
        found.set(key, known);
      }
    }
  }
  return [...found.values()];
}

/** @param {number} at */
const x = (at) => LEFT + at * (WIDTH + GAP);

/** @param {{from: number, to: number, y: number, names: string[], enabled: boolean}} props */
function Arrow({ from, to, y, names, enabled }) {
  const title = `${names.join(', ')}`;
  const name = `arrow${enabled ? ' enabled' : ''}`;
  if (to === from + 1) {
    const [start, end] = [x(from) + WIDTH, x(to)];
    return html`<g class=${name}><title>${title}</title><path d=${`M${start} ${y}H${end - 5}`} /><path class="tip" d=${`M${end - 7} ${y - 4}L${end - 1} ${y}L${end - 7} ${y + 4}Z`} /></g>`;
  }
  const [start, end, depth] = [x(from) + WIDTH / 2 - 6, x(to) + WIDTH / 2 + 6, y + HEIGHT / 2 + 6 + Math.min(8, Math.abs(from - to) * 2.5)];
  const foot = y + HEIGHT / 2;
  return html`<g class=${`${name} back`}><title>${title}</title><path d=${`M${start} ${foot}V${depth}H${end}V${foot + 5}`} /><path class="tip" d=${`M${end - 4} ${foot + 7}L${end} ${foot + 1}L${end + 4} ${foot + 7}Z`} /></g>`;
}

/** @param {{region: string, at: number, lit: string | undefined, enabled: Set<string>, choose: (state: string) => void}} props */
function Lane({ region, at, lit, enabled, choose }) {
  const y = at * LANE + LANE / 2 - 6;
  const names = states[region];
  const all = arrows(region);
  const loops = all.filter(({ from, to }) => from === to);
  return html`<g class="lane" role="group" aria-label=${`region ${region}`}>
    <text x="0" y=${y + 4} class="region">${region}</text>
    ${all.filter(({ from, to }) => from !== to).map((arrow) => html`<${Arrow} y=${y} names=${arrow.names} from=${names.indexOf(arrow.from)} to=${names.indexOf(arrow.to)}
      enabled=${arrow.from === lit && arrow.names.some((name) => enabled.has(name))} />`)}
    ${names.map((name, column) => {
      const loop = loops.find(({ from }) => from === name);
      const select = () => choose(`${region} ${name}`);
      const press = (/** @type {KeyboardEvent} */ event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); select(); } };
      return html`<g class=${`box${name === lit ? ' lit' : ''}`} role="button" tabindex=${name === lit ? 0 : -1} onClick=${select} onKeyDown=${press}
        aria-label=${`${region} ${name}${name === lit ? ', the present state' : ''}`}>
        <rect x=${x(column)} y=${y - HEIGHT / 2} width=${WIDTH} height=${HEIGHT} rx="5" />
        <text x=${x(column) + WIDTH / 2} y=${y + 4} text-anchor="middle">${name}</text>
        ${loop && html`<g class="loop"><title>${loop.names.join(', ')}</title><text x=${x(column) + WIDTH - 10} y=${y - 3}>↻</text></g>`}
      </g>`;
    })}
  </g>`;
}

/** Lanes without arrows, for a narrow screen. @param {{phases: {[region: string]: string}}} props */
function Stack({ phases }) {
  return html`<ul class="stack">${LANES.map((region) => html`<li><span>${region}</span><ol>${states[region].map((name) => html`<li class=${name === phases[region] ? 'lit' : ''} aria-current=${name === phases[region] ? 'step' : undefined}>
    <span class="unseen">${name}</span></li>`)}</ol><b>${phases[region] ?? '–'}</b></li>`)}</ul>`;
}

/** @param {{phases: {[region: string]: string}, enabled: Set<string>, project: string}} props */
export function Chart({ phases, enabled, project }) {
  const [chosen, choose] = useState('');
  const [region, state] = chosen.split(' ');
  const leaving = chosen ? Object.entries(moves).filter(([name, { from }]) => regionOf[name] === region && from.includes(state)) : [];
  return html`<div class="chart">
    <svg viewBox=${`0 0 ${x(5) - GAP + 2} ${LANES.length * LANE}`} role="group" aria-label="Statechart">
      ${LANES.map((lane, at) => html`<${Lane} region=${lane} at=${at} lit=${phases[lane]} enabled=${enabled} choose=${(/** @type {string} */ next) => choose(next === chosen ? '' : next)} />`)}
    </svg>
    <${Stack} phases=${phases} />
    ${chosen && html`<div class="leaving"><b>From ${state}</b>
      ${leaving.length === 0 ? html`<span class="dim">no transition leads out of it</span>` : html`<ul>${leaving.map(([name, { to }]) => html`<li>
        <span aria-hidden="true">${enabled.has(name) ? '✔' : '✘'}</span> <a href=${link(`act/${name}`, { project })}>${name}</a> <span class="dim">→ ${to.join(' or ')}</span></li>`)}</ul>`}</div>`}
    <details><summary>as table</summary><table><caption class="unseen">States of all regions</caption><thead><tr><th scope="col">Region</th><th scope="col">State</th></tr></thead>
      <tbody>${LANES.map((lane) => html`<tr><th scope="row">${lane}</th><td>${phases[lane] ?? '–'}</td></tr>`)}</tbody></table></details>
  </div>`;
}
