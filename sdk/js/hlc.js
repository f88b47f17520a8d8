// @ts-check
// Readings of the hybrid logical clock, and a clock that follows the node's.

const MAX_MS = 253402300799999;
const MAX_LOGICAL = 65535;
const FORM = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,3}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))#(0|[1-9]\d{0,19})$/;

/** A text is no reading, or there is no later one. `reason` is `form`, `logical_overflow` or `exhausted`. */
export class HlcError extends Error {
  /** @param {string} reason @param {string} detail */
  constructor(reason, detail) {
    super(detail);
    this.name = 'HlcError';
    this.reason = reason;
  }
}

/** @param {RegExpExecArray} found */
function physical(found) {
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number);
  const wall = Date.UTC(year, month - 1, day);
  const back = new Date(wall);
  const isDay = back.getUTCMonth() === month - 1 && back.getUTCDate() === day && year >= 1970;
  const [hours, minutes] = [Number(found[9] ?? 0), Number(found[10] ?? 0)];
  if (!isDay || hour > 23 || minute > 59 || second > 59 || hours > 23 || minutes > 59) return -1;
  const offset = (hours * 60 + minutes) * 60000 * (found[8] === '-' ? -1 : 1);
  return wall + ((hour * 60 + minute) * 60 + second) * 1000 + Number((found[7] ?? '0').padEnd(3, '0')) - offset;
}

/** A reading: milliseconds since 1970, and a logical part that breaks ties. */
export class Hlc {
  /** @param {number} [physicalMs] @param {number} [logical] */
  constructor(physicalMs = 0, logical = 0) {
    this.physicalMs = physicalMs;
    this.logical = logical;
    Object.freeze(this);
  }

  /** Reads a text with any offset. @param {string} text */
  static parse(text) {
    const found = FORM.exec(text);
    const ms = found ? physical(found) : -1;
    if (!found || ms < 0 || ms > MAX_MS) {
      throw new HlcError('form', `${JSON.stringify(text.slice(0, 80))} is not a clock reading; write 2025-10-19T01:23:45.678+00:00#0`);
    }
    if (Number(found[11]) > MAX_LOGICAL) throw new HlcError('logical_overflow', `the logical part is over ${MAX_LOGICAL}`);
    return new Hlc(ms, Number(found[11]));
  }

  toString() {
    return `${new Date(this.physicalMs).toISOString().slice(0, 23)}+00:00#${this.logical}`;
  }

  /** Negative, zero or positive, as this reading is before, at or after another. @param {Hlc} other */
  compare(other) {
    return this.physicalMs - other.physicalMs || this.logical - other.logical;
  }

  /** The least reading after this one. */
  successor() {
    if (this.logical < MAX_LOGICAL) return new Hlc(this.physicalMs, this.logical + 1);
    if (this.physicalMs === MAX_MS) throw new HlcError('exhausted', `the clock has no reading after ${this}`);
    return new Hlc(this.physicalMs + 1, 0);
  }

  /** The next reading of a clock that last showed this one. @param {number} wallMs */
  tick(wallMs) {
    return wallMs > this.physicalMs && wallMs <= MAX_MS ? new Hlc(wallMs, 0) : this.successor();
  }
}

/** A monotone clock. One clock follows one cluster; clients of it in one program may share it. */
export class HlcClock {
  /** @param {() => number} [wallMs] */
  constructor(wallMs = Date.now) {
    this.wallMs = wallMs;
    this.last = new Hlc();
  }

  /** The next reading, for a signature. */
  next() {
    this.last = this.last.tick(this.wallMs());
    return this.last;
  }

  /** The time without a tick; not for order. */
  now() {
    const wall = new Hlc(Math.min(this.wallMs(), MAX_MS), 0);
    return wall.compare(this.last) > 0 ? wall : this.last;
  }

  /** Takes note of a reading that a node showed; others change nothing. @param {unknown} seen */
  observe(seen) {
    if (typeof seen !== 'string') return;
    try {
      const found = Hlc.parse(seen);
      if (found.compare(this.last) > 0) this.last = found;
    } catch (error) {
      if (!(error instanceof HlcError)) throw error;
    }
  }
}
