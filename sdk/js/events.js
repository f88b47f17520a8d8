// @ts-check
// Server-sent events out of a stream of bytes, and the place to resume from.

import { parseEventId } from './ids.js';

const MOST_CHARACTERS = 1 << 20;

/** Takes bytes as they come and gives events as they end. An id without data is given too. */
export class EventReader {
  constructor() {
    this.decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    this.rest = '';
    this.isBegun = false;
    this.afterReturn = false;
    this.event = '';
    /** @type {string | undefined} */
    this.id = undefined;
    /** @type {string[]} */
    this.data = [];
    this.size = 0;
  }

  /** The events that ended with these bytes. @param {Uint8Array} bytes */
  push(bytes) {
    let text = this.decoder.decode(bytes, { stream: true });
    if (this.afterReturn && text.startsWith('\n')) text = text.slice(1);
    if (text !== '') this.afterReturn = text.endsWith('\r');
    const lines = (this.rest + text).split(/\r\n|\r|\n/);
    this.rest = lines.pop() ?? '';
    const ended = lines.map((line) => this.#line(line)).filter((event) => event !== undefined);
    if (this.rest.length + this.size > MOST_CHARACTERS) throw new Error('a server-sent event is too large');
    return ended;
  }

  /** @param {string} found */
  #line(found) {
    const line = this.isBegun ? found : found.replace(/^\ufeff/, '');
    this.isBegun = true;
    if (line === '') return this.#end();
    const [, name, value] = /** @type {RegExpExecArray} */ (/^([^:]*)(?::[ ]?)?(.*)$/s.exec(line));
    if (name === 'event') this.event = value;
    if (name === 'id') this.id = value;
    if (name === 'data') {
      this.data.push(value);
      this.size += value.length;
    }
    return undefined;
  }

  #end() {
    const event = { event: this.event, data: this.data.join('\n'), ...(this.id === undefined ? {} : { id: this.id }) };
    const isGiven = this.data.length > 0 || this.id !== undefined;
    this.event = '';
    this.id = undefined;
    this.data = [];
    this.size = 0;
    return isGiven ? event : undefined;
  }
}

/**
 * Something that happened on the node. After a `gap` the state is read again, because events are missing; `listening` begins
 * each stream.
 * @typedef {{kind: string, data: any, id?: string}} NodeEvent
 */

/** The place to resume from. No transition is given twice. */
export class Position {
  /** @param {string} [after] */
  constructor(after) {
    this.last = after === undefined ? undefined : parseEventId(after);
  }

  /** The id to send as `Last-Event-ID`. */
  get id() {
    return this.last && `${this.last.incarnation}-${this.last.index}`;
  }

  /** The event to give, if any. @param {{event: string, data: string, id?: string}} raw @returns {NodeEvent | undefined} */
  take(raw) {
    const found = raw.id === undefined ? undefined : parseEventId(raw.id);
    if (raw.data === '') {
      this.last ??= found;
      return { kind: 'listening', data: {}, id: raw.id };
    }
    let data;
    try {
      data = JSON.parse(raw.data);
    } catch {
      return undefined;
    }
    if (raw.event === 'gap') {
      this.last = found;
    } else if (found !== undefined) {
      if (this.#isKnown(found)) return undefined;
      this.last = found;
    }
    return { kind: raw.event, data, ...(raw.id === undefined ? {} : { id: raw.id }) };
  }

  /** A restored log gives indexes again, in a later incarnation. @param {{incarnation: number, index: number}} found */
  #isKnown(found) {
    if (this.last === undefined) return false;
    const { incarnation, index } = this.last;
    return found.incarnation < incarnation || (found.incarnation === incarnation && found.index <= index);
  }
}
