// @ts-check
// Strict JSON, and its canonical bytes (RFC 8785).

const MAX_DEPTH = 32;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A document is not strict JSON. `reason` is its class in tests/vectors/canonical.json. */
export class DocumentError extends Error {
  /** @param {string} reason @param {string} detail */
  constructor(reason, detail) {
    super(detail);
    this.name = 'DocumentError';
    this.reason = reason;
  }
}

const syntax = (/** @type {string} */ detail) => new DocumentError('syntax', detail);
const tooDeep = () => new DocumentError('too_deep', `the document is nested deeper than ${MAX_DEPTH}`);

/** @param {string} text @param {string} path */
function checkText(text, path) {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.codePointAt(at) ?? 0;
    if (code >= 0xd800 && code <= 0xdfff) throw syntax(`${path}: a text has half of a surrogate pair`);
    if (code > 0xffff) at += 1;
  }
  if (text.normalize('NFC') !== text) {
    throw new DocumentError('not_normalized', `${path}: a text is not in Unicode normalisation form C`);
  }
}

/** @param {number} value @param {string} path */
function checkNumber(value, path) {
  if (!Number.isSafeInteger(value) || value < 0 || Object.is(value, -0)) {
    throw new DocumentError('number', `${path}: ${value} is not a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
}

/**
 * Refuses what a signed document may not hold, before anything is signed.
 * @param {unknown} value @param {string} [path] @param {number} [depth]
 */
export function check(value, path = 'the document', depth = 0) {
  if (value === null || value === undefined) throw new DocumentError('null', `${path} is null; leave the member out`);
  if (typeof value === 'boolean') return;
  if (typeof value === 'string') return void checkText(value, path);
  if (typeof value === 'number') return void checkNumber(value, path);
  if (typeof value !== 'object') throw syntax(`${path}: a ${typeof value} is no JSON`);
  if (depth === MAX_DEPTH) throw tooDeep();
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at += 1) check(value[at], `${path}[${at}]`, depth + 1);
    return;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw syntax(`${path}: a ${value.constructor.name} is no JSON`);
  for (const [key, member] of Object.entries(value)) {
    checkText(key, path);
    check(member, `${path}.${key}`, depth + 1);
  }
}

/** @param {unknown} value @returns {string} */
function write(value) {
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const object = /** @type {{[name: string]: unknown}} */ (value);
    // Without a comparison, keys are sorted by UTF-16 units, as RFC 8785 wants it.
    const members = Object.keys(object).sort().map((key) => `${JSON.stringify(key)}:${write(object[key])}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

/** The RFC 8785 bytes of a strict document; anything else is refused. @param {unknown} document */
export function canonical(document) {
  check(document);
  return encoder.encode(write(document));
}

/** The same of a section of a state, where members may be null. @param {unknown} section */
export function canonicalSection(section) {
  return encoder.encode(write(section));
}

/** Reads strict JSON, one character after the other. */
class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  blank() {
    while (' \t\r\n'.includes(this.text[this.at] || 'x')) this.at += 1;
  }

  /** @param {string} sign */
  takes(sign) {
    this.blank();
    if (this.text[this.at] !== sign) return false;
    this.at += 1;
    return true;
  }

  /** @param {string} sign */
  expect(sign) {
    if (!this.takes(sign)) throw syntax(`expected ${sign} at character ${this.at}`);
  }

  /** @param {number} depth @returns {unknown} */
  value(depth) {
    this.blank();
    const sign = this.text[this.at];
    if (sign === '{') return this.object(depth);
    if (sign === '[') return this.list(depth);
    if (sign === '"') return this.string();
    for (const [word, value] of /** @type {const} */ ([['true', true], ['false', false], ['null', null]])) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  number() {
    const found = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
    found.lastIndex = this.at;
    const text = found.exec(this.text)?.[0];
    if (text === undefined) throw syntax(`no value at character ${this.at}`);
    this.at += text.length;
    const isWhole = /^(?:0|[1-9][0-9]{0,15})$/.test(text) && Number(text) <= Number.MAX_SAFE_INTEGER;
    if (!isWhole) throw new DocumentError('number', `${text.slice(0, 40)} is not a whole number from 0 to 2^53-1`);
    return Number(text);
  }

  string() {
    const found = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
    found.lastIndex = this.at;
    const text = found.exec(this.text)?.[0];
    if (text === undefined) throw syntax(`no text at character ${this.at}`);
    this.at += text.length;
    return /** @type {string} */ (JSON.parse(text));
  }

  /** @param {number} depth */
  list(depth) {
    if (depth === MAX_DEPTH) throw tooDeep();
    this.expect('[');
    /** @type {unknown[]} */
    const list = [];
    if (this.takes(']')) return list;
    do list.push(this.value(depth + 1)); while (this.takes(','));
    this.expect(']');
    return list;
  }

  /** @param {number} depth */
  object(depth) {
    if (depth === MAX_DEPTH) throw tooDeep();
    this.expect('{');
    /** @type {Map<string, unknown>} */
    const members = new Map();
    if (this.takes('}')) return {};
    do {
      this.blank();
      const key = this.string();
      if (members.has(key)) throw new DocumentError('duplicate_key', 'a key occurs twice in one object');
      this.expect(':');
      members.set(key, this.value(depth + 1));
    } while (this.takes(','));
    this.expect('}');
    // `__proto__` becomes a member of its own.
    return Object.fromEntries(members);
  }
}

/** Reads a strict document. @param {Uint8Array} bytes @returns {any} */
export function parse(bytes) {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    throw new DocumentError('byte_order_mark', 'the document begins with a byte-order mark');
  }
  let text;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new DocumentError('not_utf8', 'the document is not UTF-8');
  }
  if (/^[ \t\r\n]*$/.test(text)) throw new DocumentError('empty', 'the document is empty');
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.blank();
  if (reader.at !== text.length) throw syntax(`data after the document at character ${reader.at}`);
  check(value);
  return value;
}

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {string} text */
export function unhex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** @param {...Uint8Array} parts */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {Uint8Array} bytes */
export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', /** @type {BufferSource} */ (bytes)));
}

/** A hash as SWOOSH writes it. @param {Uint8Array} bytes */
export async function digest(bytes) {
  return `sha256-${hex(await sha256(bytes))}`;
}
