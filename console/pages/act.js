// @ts-check
// A proposal, in three steps: what is asked, what is signed, and what the node says.

import { html, useEffect, useMemo, useState } from '../parts/dom.js';
import { Diff } from '../parts/diff.js';
import { Field, fieldsOf, inputsOf } from '../parts/form.js';
import { cannotSign, used, useSigner } from '../parts/keystore.js';
import { refresh } from '../parts/live.js';
import { usePlace } from '../parts/place.js';
import { command, final, ground, judged, pasted, posted, read, signed } from '../parts/proposing.js';
import { client, useAnswer, useNames, useRead } from '../parts/reads.js';
import { Answer, Badge, Copy, Empty, Facts, Hash, Json, Link, Panel, Problem, Save, Table, Text, plain } from '../parts/show.js';
import { signers } from '../sdk/index.js';
import { Guards } from './project.js';

/** What the state already says of the inputs. @param {string} transition @param {any} on */
function filled(transition, on) {
  const { execution, epoch } = on?.state?.projection ?? {};
  if (transition !== 'Execution_Approve' || !execution) return {};
  return { plan_hash: execution.plan_hash ?? '', beat: String(on.beat), rework_round: String(execution.rework_round), council_epoch: String(epoch.council) };
}

/** All transitions of a project, those that can be proposed now first. */
export function Actions() {
  const { query } = usePlace();
  const project = query.project || 'default';
  const view = useAnswer(`act ${project}`, () => client.transitions(project));
  return html`<h1>Act on ${plain(project)}</h1><${Panel} title="Transitions"><${Answer} of=${view}>${(/** @type {any} */ data) => {
    const rows = [...data.transitions].filter((one) => one.signers.some((/** @type {string} */ role) => role !== 'node')).sort((one, other) => Number(other.enabled) - Number(one.enabled));
    return html`<${Table} label="Transitions" head=${['Transition', 'Now', 'Roles', 'Reason']} rows=${rows.map((one) => [
      html`<${Link} to=${`act/${one.transition}`} query=${{ project }}>${one.transition}<//>`, one.enabled ? html`<${Badge} tone="good">enabled<//>` : html`<${Badge}>not now<//>`,
      one.signers.join(', '), one.reasons[0] ? html`<${Text} text=${one.reasons[0]} most=${200} />` : ''])} />`;
  }}<//><//>`;
}

/** @param {{signer: any, names: Map<string, any>, transition: string}} props */
function Who({ signer, names, transition }) {
  const why = cannotSign();
  const allowed = signers[transition] ?? [];
  if (!signer) return html`<p class="note">${why ?? html`No key is loaded. <${Link} to="keys">Make or load one<//>, or sign elsewhere and paste the document below.`}</p>`;
  const known = names.get(signer.identity.public);
  const fits = known?.roles?.some((/** @type {string} */ role) => allowed.includes(role));
  return html`<p>as <b>${plain(signer.name)}</b> <code title=${signer.identity.public}>${signer.identity.public.slice(12, 22)}…</code>
    ${known ? (fits ? html`<${Badge} tone="good">${known.roles.join(', ')}<//>` : html`<${Badge} tone="warn">${known.roles.join(', ')}: this needs ${allowed.join(' or ')}<//>`)
    : html`<${Badge} tone="warn">not granted in this project by its document; the settings may grant it<//>`}</p>`;
}

/** @param {{body: Uint8Array, dry: any}} props */
function Review({ body, dry }) {
  const document = read(body);
  const { signature, ...proposal } = document;
  return html`<${Facts} rows=${[['transition', html`<b>${document.transition}</b>`], ['project', plain(document.project ?? 'default')], ['on head', html`<${Hash} hash=${document.current_state_hash} of="head" />`],
    ['window', document.window_id ? html`<code>${plain(document.window_id)}</code>` : 'none'], ['key', html`<code class="long">${plain(document.idem_key)}</code>`], ['signer', html`<code class="long">${document.signer}</code>`], ['signature', html`<code title=${signature}>${signature.slice(0, 24)}…</code>`]]} />
    <${Json} value=${proposal} name="proposal" title="the document as it is signed" /><p class="dim">${body.length} bytes in canonical form. The same bytes are judged and posted.</p>
    <h3>Dry run</h3>${dry.accepted ? html`<p><${Badge} tone="good">the node would accept it<//>${dry.replayed ? ' It was accepted before under the same key.' : ''}</p>`
    : html`<p><${Badge} tone="bad">the node would refuse it<//> <code>${dry.problem?.code}</code> <${Text} text=${dry.problem?.detail ?? ''} /></p>`}
    ${dry.guard_outcomes?.length > 0 && html`<${Guards} of=${dry.guard_outcomes} />`}`;
}

/** What happened since the person looked. @param {{before: any, after: any, again: () => void}} props */
function Moved({ before, after, again }) {
  return html`<div class="moved" role="alert"><h3>The project has moved on</h3><p>Nothing was changed and nothing is signed again by itself. This differs from the state that you signed for:</p>
    <${Diff} before=${before?.projection ?? {}} after=${after?.projection ?? {}} /><p><button type="button" class="main" onClick=${again}>I have seen it: sign again</button></p></div>`;
}

/** @param {{found: any, project: string}} props */
function Receipt({ found, project }) {
  const { receipt, text, replayed } = found;
  return html`<${Panel} title="Accepted" id="receipt"><p><${Badge} tone="good">record ${receipt.index}<//> ${replayed ? 'It was accepted before; this is the same receipt. ' : ''}✔ the path and the seal of the receipt were checked here.</p>
    <${Facts} rows=${[['head now', html`<${Hash} hash=${receipt.state_post_hash} of="head" />`], ['decision', html`<code class="long">${plain(receipt.decision)}</code>`]]} />
    <p><${Link} to=${`r/${receipt.index}`} class="button">Open the record<//> <${Link} to=${`p/${project}`} class="button">Back to ${plain(project)}<//> <${Save} name=${`receipt-${receipt.index}.json`} text=${text}>Save the receipt<//></p>
    <p class="dim">Check it on another machine: <code>swoosh receipt verify receipt-${receipt.index}.json</code></p><//>`;
}

/** The steps of a proposal. @param {string} transition @param {string} project */
function useSteps(transition, project) {
  const [step, set] = useState(/** @type {any} */ ({ name: 'ask' }));
  const [count, again] = useState(0);
  const on = useAnswer(`ground ${project} ${transition} ${count}`, async () => ({ ...(await ground(project, transition)), uuid: crypto.randomUUID?.() }));
  const fail = async (/** @type {any} */ error) => {
    if (error?.code === 'stale_head' || error?.problem?.code === 'stale_head') {
      set({ name: 'moved', before: on.data.state, after: await client.state(project).catch(() => undefined) });
    } else set((/** @type {any} */ old) => ({ ...old, name: old.body ? 'review' : 'ask', error }));
  };
  const judge = async (/** @type {Uint8Array} */ body, /** @type {any} */ differs) => {
    const dry = await judged(body);
    if (dry.problem?.code === 'stale_head') return fail(dry.problem);
    return set({ name: 'review', body, dry, differs });
  };
  const post = async () => {
    set({ ...step, name: 'posting', error: undefined });
    try {
      set({ name: 'done', found: await posted(step.body, (words) => set({ ...step, name: 'posting', words })) });
      refresh();
    } catch (error) { await fail(error); }
  };
  return { step, set, on, judge, fail, post, again: () => { set({ name: 'ask' }); again(count + 1); } };
}

/** @param {{transition: string}} props */
export function Act({ transition }) {
  const { query } = usePlace();
  const project = query.project || 'default';
  const api = useRead('/openapi.json');
  const signer = useSigner();
  const names = useNames(project);
  const [written, write] = useState(/** @type {any} */ ({}));
  const [typed, type] = useState('');
  const steps = useSteps(transition, project);
  const { step, on } = steps;
  const fields = useMemo(() => fieldsOf(api.data, transition), [api.data, transition]);
  useEffect(() => { if (on.data) write((/** @type {any} */ old) => ({ ...filled(transition, on.data), ...old })); }, [on.data]);
  const draft = () => ({ transition, project, inputs: inputsOf(fields, written) });
  const sign = async () => {
    try {
      used();
      await steps.judge(await signed(/** @type {any} */ (signer).identity, draft(), on.data), undefined);
    } catch (error) { await steps.fail(error); }
  };
  const paste = async (/** @type {string} */ text) => {
    try {
      const found = await pasted(text, draft(), on.data);
      await steps.judge(found.body, found);
    } catch (error) { await steps.fail(error); }
  };
  if (!signers[transition]) return html`<h1>${plain(transition)}</h1><${Empty} title="There is no such transition." />`;
  const must = final.includes(transition);
  const isAsking = step.name === 'ask';
  return html`<h1>${transition} <span class="dim">on ${plain(project)}</span></h1>
    ${step.error && (step.error.problem || step.error.name === 'Unreachable' ? html`<${Problem} error=${step.error} />` : html`<p class="problem" role="alert"><${Text} text=${step.error.message ?? step.error.detail ?? step.error} /></p>`)}
    ${step.name === 'done' && html`<${Receipt} found=${step.found} project=${project} />`}
    ${step.name === 'moved' && html`<${Moved} before=${step.before} after=${step.after} again=${steps.again} />`}
    ${isAsking && html`<${Ask} ...${{ on, api, fields, written, write, signer, names, transition, project, sign, paste, draft, must, typed, type }} />`}
    ${['review', 'posting'].includes(step.name) && html`<${Panel} title="Review"><${Review} body=${step.body} dry=${step.dry} />
      ${step.differs && html`<h3>Asked and signed</h3><${Diff} before=${step.differs.asked} after=${step.differs.found} />`}
      ${step.words && html`<p class="note" role="status">${step.words}</p>`}
      <p class="actions"><button type="button" onClick=${steps.again}>Cancel</button>
        <button type="button" class="main" disabled=${step.name === 'posting' || !step.dry.accepted} onClick=${steps.post}>${step.name === 'posting' ? 'Proposing…' : 'Propose these bytes'}</button></p><//>`}`;
}

/** @param {any} props */
function Ask({ on, api, fields, written, write, signer, names, transition, project, sign, paste, draft, must, typed, type }) {
  const [text, put] = useState('');
  let line = '';
  try { line = command(draft(), on.data); } catch { line = ''; }
  const known = on.data?.known;
  const isReady = on.data && api.data && (!must || typed === project);
  const submit = (/** @type {any} */ event) => { event.preventDefault(); if (signer && isReady) void sign(); };
  const quick = (/** @type {any} */ event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event); };
  return html`<div class="columns two"><${Panel} title="Proposal"><${Answer} of=${on}>${() => html`
      ${known && !known.enabled && html`<p><${Badge} tone="warn">not enabled now<//> <${Text} text=${known.reasons[0] ?? ''} /></p>`}
      <${Who} signer=${signer} names=${names} transition=${transition} />
      <form onSubmit=${submit} onKeyDown=${quick} noValidate><${Answer} of=${api}>${() => html`${fields.length === 0 ? html`<p class="dim">It takes no inputs.</p>` : fields.map((/** @type {any} */ field) => html`<${Field} key=${field.name} field=${field} value=${written[field.name]} set=${(/** @type {any} */ value) => write((/** @type {any} */ old) => ({ ...old, [field.name]: value }))} />`)}`}<//>
      ${must && html`<div class="field"><label for="name-typed">This cannot be taken back. Type the name of the project</label><input id="name-typed" value=${typed} autocomplete="off" onInput=${(/** @type {any} */ event) => type(event.target.value)} /></div>`}
      <p class="actions"><${Link} to=${`p/${project}`} class="button">Cancel<//><button class=${must ? 'danger main' : 'main'} disabled=${!signer || !isReady}>Sign and review</button></p></form>`}<//><//>
    <${Panel} title="Sign elsewhere">${line ? html`<p>This command signs the same:</p><pre class="wrap" tabindex="0" aria-label="The command"><code>${plain(line)}</code></pre><p><${Copy} text=${line} what="the command" /></p>` : html`<p class="dim">Fill in the inputs to see the command.</p>`}
      <div class="field"><label for="pasted">The signed document</label><textarea id="pasted" class="code" rows="5" value=${text} onInput=${(/** @type {any} */ event) => put(event.target.value)}></textarea></div>
      <p class="actions"><button type="button" disabled=${!text.trim() || !isReady} onClick=${() => paste(text)}>Review it</button></p>
      <p class="dim">on head ${on.data && html`<${Hash} hash=${on.data.head} of="head" />`}</p><//></div>`;
}
