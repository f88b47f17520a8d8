// @ts-check
// Keys that sign in this browser. Their secrets cannot be read back, and leave it in no request.

import { Identity, encodePublic } from '../sdk/index.js';
import { useEffect, useState } from './dom.js';
import { client, reader } from './reads.js';

const IDLE_MS = 15 * 60 * 1000;
/** @typedef {{name: string, identity: Identity, born: boolean}} Signer */
/** @type {{now: Signer | undefined, timer: ReturnType<typeof setTimeout> | undefined}} */
const held = { now: undefined, timer: undefined };

/** Why keys cannot sign here; undefined where they can. */
export const cannotSign = () => (globalThis.crypto?.subtle ? undefined
  : 'This page came by plain HTTP from another machine, so that the browser has no cryptography. Sign with the CLI and paste the document.');

/** @param {Signer | undefined} signer */
export function use(signer) {
  held.now = signer;
  reader.identity = signer?.identity;
  client.options.reader = undefined;
  clearTimeout(held.timer);
  if (signer && !signer.born) held.timer = setTimeout(() => use(undefined), IDLE_MS);
  dispatchEvent(new Event('signer'));
}

/** A key from a file is dropped after a while without use. */
export function used() {
  if (held.now && !held.now.born) use(held.now);
}

export const signer = () => held.now;

export function useSigner() {
  const [, draw] = useState(0);
  useEffect(() => {
    const again = () => draw((count) => count + 1);
    addEventListener('signer', again);
    return () => removeEventListener('signer', again);
  }, []);
  return held.now;
}

/** @returns {Promise<IDBDatabase>} */
const open = () => new Promise((resolve, reject) => {
  const request = indexedDB.open('swoosh-keys', 1);
  request.onupgradeneeded = () => request.result.createObjectStore('keys', { keyPath: 'public' });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/** @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest} act @returns {Promise<any>} */
async function inStore(mode, act) {
  const base = await open();
  try {
    return await new Promise((resolve, reject) => {
      const request = act(base.transaction('keys', mode).objectStore('keys'));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } finally {
    base.close();
  }
}

/** The keys that were born in this browser. @returns {Promise<{name: string, public: string, key: CryptoKey, created: number}[]>} */
export const bornKeys = () => inStore('readonly', (store) => store.getAll());

/** A new key, whose secret the browser never shows. @param {string} name */
export async function bear(name) {
  const pair = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']));
  const publicKey = encodePublic(new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)));
  await inStore('readwrite', (store) => store.put({ name, public: publicKey, key: pair.privateKey, created: Date.now() }));
  use({ name, identity: new Identity(pair.privateKey, publicKey), born: true });
  return publicKey;
}

/** @param {{name: string, public: string, key: CryptoKey}} kept */
export const useBorn = (kept) => use({ name: kept.name, identity: new Identity(kept.key, kept.public), born: true });

/** @param {string} publicKey */
export async function forget(publicKey) {
  await inStore('readwrite', (store) => store.delete(publicKey));
  if (held.now?.identity.public === publicKey) use(undefined);
}

/** A key file, for this tab alone. @param {File} file */
export async function ofFile(file) {
  if (file.size > 1024) throw new Error('a key file has one line of text; this file is larger');
  use({ name: file.name.replace(/\.key$/, ''), identity: await Identity.parse(await file.text()), born: false });
}
