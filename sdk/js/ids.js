// @ts-check
// Names of things: idempotency keys, effects, decisions, events.

import { states, successes } from './chart.js';

const NUMBER = '0|[1-9][0-9]{0,15}';
const GOAL = '[A-Za-z0-9._-]{1,100}';
const UUID = '[A-Za-z0-9_-]{8,64}';
const PROJECT = '[a-z0-9][a-z0-9._-]{0,62}';
const CLASSES = Object.keys(states).join('|');
const EFFECTS = Object.keys(successes).join('|');

/** A text does not have the form of its kind. */
export class FormError extends Error {
  /** @param {string} detail */
  constructor(detail) {
    super(detail);
    this.name = 'FormError';
  }
}

/** @type {Readonly<Record<string, RegExp>>} */
export const forms = Object.freeze({
  goal: new RegExp(`^${GOAL}$`),
  uuid: new RegExp(`^${UUID}$`),
  project: new RegExp(`^${PROJECT}$`),
  hash: /^sha256-[0-9a-f]{64}$/,
  idem_key: new RegExp(`^(${GOAL}):(${NUMBER}):(${CLASSES}):(${UUID})$`),
  effect_id: new RegExp(`^(${PROJECT})/(${NUMBER})(?:-([0-9a-f]{16}))?/(${EFFECTS})$`),
  decision_id: new RegExp(`^bubble://dr/(${PROJECT})/(${NUMBER})-([0-9a-f]{16})$`),
});

/** The parts of a text of a kind; refused where it has another form. @param {string} kind @param {string} text */
export function checkForm(kind, text) {
  const found = forms[kind].exec(text);
  if (!found) throw new FormError(`${JSON.stringify(String(text).slice(0, 120))} is no ${kind.replace('_', ' ')}`);
  return found;
}

/** `goal:beat:opClass:uuid` out of its parts. @param {{goal: string, beat: number, opClass: string, uuid: string}} parts */
export function idemKey({ goal, beat, opClass, uuid }) {
  const text = `${goal}:${beat}:${opClass}:${uuid}`;
  parseIdemKey(text);
  return text;
}

/** Takes a key apart. @param {string} text */
export function parseIdemKey(text) {
  const [, goal, beat, opClass, uuid] = checkForm('idem_key', text);
  if (!Number.isSafeInteger(Number(beat))) throw new FormError(`the beat ${beat} is over 2^53-1`);
  return { goal, beat: Number(beat), opClass, uuid };
}

/** `incarnation-index` of a transition's event; undefined where it is none. @param {string} text */
export function parseEventId(text) {
  const found = /^([0-9]{1,16})-([0-9]{1,16})$/.exec(text);
  return found ? { incarnation: Number(found[1]), index: Number(found[2]) } : undefined;
}
