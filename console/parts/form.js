// @ts-check
// Forms of the inputs of a transition, made from the node's own description.

import { html } from './dom.js';

/** @typedef {{name: string, schema: any, required: boolean, kind: 'text' | 'long' | 'number' | 'flag' | 'choice' | 'json'}} Field */

/** @param {any} api @param {any} schema @returns {any} */
function resolved(api, schema) {
  const name = schema.$ref?.split('/').pop();
  return name ? { ...resolved(api, api.components.schemas[name] ?? {}), ...(schema.description ? { description: schema.description } : {}) } : schema;
}

/** @param {any} schema @returns {Field['kind']} */
function kindOf(schema) {
  if (schema.enum) return 'choice';
  if (schema.type === 'integer') return 'number';
  if (schema.type === 'boolean') return 'flag';
  if (schema.type !== 'string') return 'json';
  return (schema.maxLength ?? 0) > 300 && !/^\^(hmmm|sha256)/.test(schema.pattern ?? '') ? 'long' : 'text';
}

/** The fields of a transition's inputs. @param {any} api @param {string} transition @returns {Field[]} */
export function fieldsOf(api, transition) {
  const inputs = api?.components.schemas[`Inputs_${transition}`];
  const required = new Set(inputs?.required ?? []);
  return Object.entries(inputs?.properties ?? {}).map(([name, found]) => {
    const schema = resolved(api, found);
    return { name, schema, required: required.has(name), kind: kindOf(schema) };
  });
}

/** Inputs out of what was written; throws with the field's name. @param {Field[]} fields @param {{[name: string]: any}} written */
export function inputsOf(fields, written) {
  /** @type {{[name: string]: unknown}} */
  const inputs = {};
  for (const { name, kind, required } of fields) {
    const text = written[name] ?? '';
    if (text === '' && !required) continue;
    if (text === '' && kind !== 'flag') throw new Error(`${name} is missing`);
    if (kind === 'number') {
      if (!/^\d{1,16}$/.test(String(text))) throw new Error(`${name} is no whole number`);
      inputs[name] = Number(text);
    } else if (kind === 'flag') inputs[name] = text === true || text === 'true';
    else if (kind === 'json') {
      try { inputs[name] = JSON.parse(text); } catch (error) { throw new Error(`${name} is no JSON: ${/** @type {Error} */ (error).message}`); }
    } else inputs[name] = String(text).normalize('NFC');
  }
  return inputs;
}

const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text).length;

/** @param {{field: Field, value: any, set: (value: any) => void}} props */
export function Field({ field, value, set }) {
  const { name, schema, required, kind } = field;
  const id = `field-${name}`;
  const write = (/** @type {any} */ event) => set(event.target.value);
  const most = schema['x-swoosh-max-bytes'];
  const shared = { id, name, required, value: value ?? '', onInput: write, spellcheck: kind === 'long', autocomplete: 'off', 'aria-describedby': `${id}-help` };
  const control = {
    text: () => html`<input ...${shared} />`,
    number: () => html`<input ...${shared} inputmode="numeric" />`,
    long: () => html`<textarea ...${shared} rows="3"></textarea>`,
    json: () => html`<textarea ...${shared} rows="8" class="code" placeholder=${JSON.stringify(schema.examples?.[0] ?? {})}></textarea>`,
    flag: () => html`<input type="checkbox" id=${id} checked=${value === true} onChange=${(/** @type {any} */ event) => set(event.target.checked)} />`,
    choice: () => html`<select id=${id} value=${value ?? ''} onChange=${write}><option value="">choose</option>${schema.enum.map((/** @type {string} */ one) => html`<option value=${one}>${one}</option>`)}</select>`,
  }[kind]();
  return html`<div class="field"><label for=${id}>${name}${required ? '' : html` <span class="dim">optional</span>`}</label>${control}
    <p class="help dim" id=${`${id}-help`}>${schema.description ?? ''}${most && typeof value === 'string' ? ` ${bytes(value)} of ${most} bytes.` : ''}</p></div>`;
}
