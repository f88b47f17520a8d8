// @ts-check
// Elements without a build step.

import htm from '../vendor/htm.js';
import { h } from '../vendor/preact.js';

export { Fragment, h, render } from '../vendor/preact.js';
export { useCallback, useEffect, useMemo, useRef, useState } from '../vendor/hooks.js';

/** @type {any} */
export const html = htm.bind(h);
