// @ts-check
// ed25519 keys and signatures as HMMM writes them, by WebCrypto. Verification is strict.

import { canonical, concat, hex, unhex } from './canonical.js';

export const domains = Object.freeze({
  transition: 'swoosh/transition/v1\n',
  vote: 'swoosh/vote/v1\n',
  rotation: 'swoosh/rotation/v1\n',
  fact: 'swoosh/fact/v1\n',
  batch: 'swoosh/batch/v1\n',
  read: 'swoosh/read/v1\n',
});

const PUBLIC = 'hmmm:pubkey:';
const SIGNATURE = 'ed25519:';
const SECRET = 'hmmm:secret:';
/** Before the 32 bytes of a seed in PKCS#8 (RFC 8410). */
const PKCS8 = unhex('302e020100300506032b657004220420');
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
/** Encodings of points of small order without their sign bit, canonical or not. WebCrypto accepts them. */
const SMALL = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);
const encoder = new TextEncoder();

/** A text is no key, no signature or no secret. A secret is never quoted. */
export class KeyFormError extends Error {
  /** @param {string} detail */
  constructor(detail) {
    super(detail);
    this.name = 'KeyFormError';
  }
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** @param {string} text @param {string} prefix @param {number} length @param {string} kind */
function decode(text, prefix, length, kind) {
  const encoded = text.startsWith(prefix) ? text.slice(prefix.length) : '';
  if (/^[A-Za-z0-9_-]+$/.test(encoded) && encoded.length === Math.ceil((length * 4) / 3)) {
    const plain = atob(encoded.replaceAll('-', '+').replaceAll('_', '/') + '='.repeat((4 - (encoded.length % 4)) % 4));
    const bytes = Uint8Array.from(plain, (sign) => sign.charCodeAt(0));
    // A text with bits beyond the last byte is another spelling of the same bytes.
    if (bytes.length === length && base64url(bytes) === encoded) return bytes;
  }
  throw new KeyFormError(`it is no ${kind}; write "${prefix}" and ${Math.ceil((length * 4) / 3)} characters of unpadded base64url`);
}

/** The 32 bytes of `hmmm:pubkey:…`. @param {string} text */
export const decodePublic = (text) => decode(text, PUBLIC, 32, 'public key');
/** `hmmm:pubkey:…` of 32 bytes. @param {Uint8Array} bytes */
export const encodePublic = (bytes) => PUBLIC + base64url(bytes);
/** The 64 bytes of `ed25519:…`. @param {string} text */
export const decodeSignature = (text) => decode(text, SIGNATURE, 64, 'signature');

/** The bytes that are signed. @param {string} domain @param {string} cluster @param {Uint8Array} document */
export function message(domain, cluster, document) {
  return concat(encoder.encode(`${domain}${cluster}\n`), document);
}

/** @param {Uint8Array} point */
function isSmall(point) {
  const bare = point.slice();
  bare[31] &= 0x7f;
  return SMALL.has(hex(bare));
}

/**
 * Whether a signature is the signer's: S below the order, no point of small order (RFC 8032, strictly).
 * @param {string} signer @param {Uint8Array} data @param {string} signature
 */
export async function verify(signer, data, signature) {
  const [key, signed] = [decodePublic(signer), decodeSignature(signature)];
  const s = BigInt(`0x${hex(signed.slice(32).reverse())}`);
  if (isSmall(key) || isSmall(signed.slice(0, 32)) || s >= ORDER) return false;
  try {
    const imported = await crypto.subtle.importKey('raw', key, 'Ed25519', false, ['verify']);
    return await crypto.subtle.verify('Ed25519', imported, signed, /** @type {BufferSource} */ (data));
  } catch {
    return false;
  }
}

/** A key that signs. Its secret cannot be read back. */
export class Identity {
  /** @type {CryptoKey} */ #key;

  /** @param {CryptoKey} key @param {string} publicKey */
  constructor(key, publicKey) {
    this.#key = key;
    this.public = publicKey;
    Object.freeze(this);
  }

  /** A new key; its secret cannot be exported. */
  static async generate() {
    const pair = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']));
    return new Identity(pair.privateKey, encodePublic(new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))));
  }

  /** An identity of a seed of 32 bytes. @param {Uint8Array} seed */
  static async ofSeed(seed) {
    const pkcs8 = concat(PKCS8, seed);
    const open = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']);
    const { x } = await crypto.subtle.exportKey('jwk', open);
    return new Identity(await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', false, ['sign']), `${PUBLIC}${x}`);
  }

  /** Reads the content of a key file: `hmmm:secret:…`. @param {string} text */
  static async parse(text) {
    return Identity.ofSeed(decode(text.trim(), SECRET, 32, 'secret key'));
  }

  /** The signature over some bytes. @param {Uint8Array} data */
  async sign(data) {
    return SIGNATURE + base64url(new Uint8Array(await crypto.subtle.sign('Ed25519', this.#key, /** @type {BufferSource} */ (data))));
  }

  /** The signature over a document in its canonical form. @param {string} domain @param {string} cluster @param {unknown} document */
  signDocument(domain, cluster, document) {
    return this.sign(message(domain, cluster, canonical(document)));
  }
}
