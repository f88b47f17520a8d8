// @ts-check
// Times in the one zone that the person chose; the zone is always written.

import { html, useEffect, useState } from './dom.js';

const ZONES = ['local', 'utc', 'relative'];
const kept = (() => { try { return localStorage.getItem('zone'); } catch { return null; } })();
export const zone = { name: ZONES.includes(kept ?? '') ? String(kept) : 'local' };

/** The next way to write times. */
export function nextZone() {
  zone.name = ZONES[(ZONES.indexOf(zone.name) + 1) % ZONES.length];
  try { localStorage.setItem('zone', zone.name); } catch { /* the choice lasts for this page */ }
  dispatchEvent(new Event('zoned'));
}

/** Milliseconds since 1970 of a reading or a number. @param {string | number | undefined | null} at */
export function millis(at) {
  if (typeof at === 'number') return at;
  return typeof at === 'string' ? Date.parse(at.split('#')[0]) : NaN;
}

const units = /** @type {const} */ ([[86400000, 'd'], [3600000, 'h'], [60000, 'min'], [1000, 's']]);

/** A span of time in its two largest units. @param {number} ms */
export function span(ms) {
  const left = Math.abs(ms);
  const at = units.findIndex(([size]) => left >= size);
  if (at < 0) return '0 s';
  const [size, name] = units[at];
  const whole = Math.floor(left / size);
  const next = units[at + 1];
  const rest = next && whole < 10 ? Math.floor((left % size) / next[0]) : 0;
  return rest ? `${whole} ${name} ${rest} ${next[1]}` : `${whole} ${name}`;
}

/** @param {number} ms */
function written(ms) {
  const date = new Date(ms);
  if (zone.name === 'relative') return ms > Date.now() + 999 ? `in ${span(ms - Date.now())}` : `${span(Date.now() - ms)} ago`;
  const isToday = date.toDateString() === new Date().toDateString();
  if (zone.name === 'utc') {
    const text = date.toISOString();
    return `${text.slice(0, 10) === new Date().toISOString().slice(0, 10) ? '' : `${text.slice(0, 10)} `}${text.slice(11, 19)} UTC`;
  }
  const day = isToday ? '' : `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')} `;
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
  return `${day}${clock} ${offset(date)}`;
}

/** @param {Date} date */
function offset(date) {
  const minutes = -date.getTimezoneOffset();
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? '−' : '+'}${hours}${rest ? `:${String(rest).padStart(2, '0')}` : ''}`;
}

/** Draws the caller again when the zone changes, and each second while times are relative. */
export function useZone() {
  const [, draw] = useState(0);
  useEffect(() => {
    const again = () => draw((count) => count + 1);
    addEventListener('zoned', again);
    const timer = setInterval(() => { if (zone.name === 'relative') again(); }, 5000);
    return () => { removeEventListener('zoned', again); clearInterval(timer); };
  }, []);
  return zone.name;
}

/** A time. @param {{at: string | number | undefined | null}} props */
export function Time({ at }) {
  useZone();
  const ms = millis(at);
  if (!Number.isFinite(ms)) return html`<span class="dim">–</span>`;
  const iso = new Date(ms).toISOString();
  return html`<time datetime=${iso} title=${iso}>${written(ms)}</time>`;
}
