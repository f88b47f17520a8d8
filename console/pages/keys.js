// @ts-check
// Keys of this browser.

import { html, useEffect, useState } from '../parts/dom.js';
import { bear, bornKeys, cannotSign, forget, ofFile, use, useBorn, useSigner } from '../parts/keystore.js';
import { Badge, Copy, Empty, Panel, Text, plain } from '../parts/show.js';
import { Time } from '../parts/time.js';

/** The command that grants a key. @param {string} key @param {string} name */
const grant = (key, name) => `swoosh identity grant ${key} --name ${/^[A-Za-z0-9._-]+$/.test(name) ? name : 'NAME'} --role operator`;

/** @param {{of: any, isUsed: boolean, changed: () => void}} props */
function Born({ of, isUsed, changed }) {
  const remove = async () => {
    await forget(of.public);
    changed();
  };
  return html`<li><p><b>${plain(of.name)}</b> ${isUsed ? html`<${Badge} tone="good">in use<//>` : ''} <span class="dim">born <${Time} at=${of.created} /></span></p>
    <p><code class="long">${of.public}</code> <${Copy} text=${of.public} what="the public key" /></p>
    <p class="dim">Grant it in a project: <code class="long">${grant(of.public, of.name)}</code> <${Copy} text=${grant(of.public, of.name)} what="the command" /></p>
    <p>${isUsed ? html`<button type="button" onClick=${() => use(undefined)}>Lay aside</button>` : html`<button type="button" class="main" onClick=${() => useBorn(of)}>Use</button>`}
      <button type="button" class="danger" onClick=${remove}>Delete from this browser</button></p></li>`;
}

export function Keys() {
  const signer = useSigner();
  const [kept, set] = useState(/** @type {any[]} */ ([]));
  const [fault, say] = useState('');
  const again = () => bornKeys().then(set, (error) => say(String(error.message ?? error)));
  useEffect(() => { void again(); }, [signer]);
  const attempt = async (/** @type {() => Promise<unknown>} */ does) => {
    say('');
    await does().catch((/** @type {any} */ error) => say(String(error.message ?? error)));
  };
  const born = (/** @type {any} */ event) => {
    event.preventDefault();
    void attempt(() => bear(event.target.elements.name.value.trim()));
  };
  const file = (/** @type {any} */ event) => {
    const [chosen] = event.target.files;
    if (chosen) void attempt(() => ofFile(chosen));
  };
  const why = cannotSign();
  return html`<h1>Keys</h1><p class="lead">The secret of a key never leaves this browser. Without a key the console only reads.</p>
    ${why && html`<p class="note">${why}</p>`}${fault && html`<p class="problem" role="alert"><${Text} text=${fault} /></p>`}
    <div class="columns two"><${Panel} title="Keys born in this browser">
      ${kept.length === 0 ? html`<${Empty} title="No key was born here yet.">The browser makes one whose secret nothing can read.<//>` : html`<ul class="born">${kept.map((one) => html`<${Born} of=${one} isUsed=${signer?.identity.public === one.public} changed=${again} />`)}</ul>`}
      <form class="inline" onSubmit=${born}><label>Name <input name="name" required pattern="[A-Za-z0-9._\\-]{1,63}" placeholder="alice-laptop" /></label> <button class="main" disabled=${Boolean(why)}>Make a key</button></form><//>
    <${Panel} title="A key file, for this tab">
      ${signer && !signer.born && html`<p><${Badge} tone="good">in use<//> <b>${plain(signer.name)}</b></p><p><code class="long">${signer.identity.public}</code></p><p><button type="button" onClick=${() => use(undefined)}>Lay aside</button></p>`}
      <p>The file is read in this tab alone, and its key is dropped after 15 minutes without use.</p>
      <p><label>Key file <input type="file" onChange=${file} disabled=${Boolean(why)} /></label></p><//>
    <${Panel} title="Sign elsewhere"><p>On the page of a proposal, copy the command, sign on another machine with <code>--print</code>, and paste the document there.</p><//>
    <${Panel} title="What this cannot protect against"><p>This page comes from the node. A person who distrusts the node signs with the CLI, which shows what it signs.</p><//></div>`;
}
