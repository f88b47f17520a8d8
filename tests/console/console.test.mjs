// The console in a browser, over a real node.

import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Node, accessibility, browse, eventually, opened } from './stage.mjs';

const PAGES = ['', 'p', 'p/default', 'p/default?tab=timeline', 'p/default?tab=effects', 'p/default?tab=council', 'p/default?tab=state',
  'p/default?tab=rejections', 'p/default?tab=facts', 'p/nothing', 'r/1', 'r/999999', 'compare/1..2', 'rejections', 'windows', 'facts', 'license',
  'node', 'cluster', 'keys', 'act?project=default', 'act/Control_Pause?project=default', 'no/such/page'];
const HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script> \u202Ereversed';
/** @type {Node} */
let node;
let browser;

before(async () => {
  [node, browser] = await Promise.all([Node.begun(), browse()]);
  await node.swoosh('propose', 'Control_Pause', '--inputs', JSON.stringify({ rationale: HOSTILE }));
  await node.swoosh('propose', 'Control_Resume', '--inputs', JSON.stringify({ rationale: 'seen' }));
});
after(async () => {
  await browser?.close();
  await node?.end();
});

async function at(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await opened(context, node.address);
  await page.goto(`${node.address}/console/${path}`);
  return page;
}

const settled = (page) => eventually('the page is read', async () => (await page.locator('h1').count()) > 0 && (await page.locator('.loading').count()) === 0);

/** The pages of another project, so that tests do not move each other's heads. */
async function project(name) {
  await node.swoosh('propose', 'ConfigOk', '--project', name, '--inputs', '@project.json');
}

/** Faults that the test itself asked for: the browser writes each answer that is no success to its console. */
const real = (page) => page.faults.filter((text) => !text.startsWith('Failed to load resource'));

for (const [width, colorScheme] of [[1280, 'light'], [1280, 'dark'], [360, 'light'], [360, 'dark']]) {
  test(`every page is accessible and clean at ${width} pixels, ${colorScheme}`, async () => {
    const page = await at('', { viewport: { width, height: 800 }, colorScheme });
    for (const path of PAGES) {
      await page.goto(`${node.address}/console/${path}`);
      await settled(page);
      assert.deepEqual(await accessibility(page), [], path);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path} is wider than the screen`);
      const mayFail = path === 'p/nothing' || path.startsWith('r/');
      assert.deepEqual(mayFail ? real(page) : page.faults, [], path);
      page.faults.length = 0;
    }
    await page.context().close();
  });
}

test('texts of others stay texts, and signs that turn text are written out', async () => {
  const page = await at('r/2');
  await page.getByText('⟦U+202E⟧reversed').first().waitFor();
  assert.equal(await page.locator('main img, main script').count(), 0);
  assert.equal(await page.title(), 'Record 2 · SWOOSH');
  const thrown = await page.evaluate(() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } });
  assert.ok(thrown, 'Trusted Types refuse markup out of text');
});

test('a record is checked in the browser', async () => {
  const page = await at('r/2');
  for (const name of ['signature', 'inputs', 'chain', 'state']) {
    await page.getByRole('region', { name: 'Proof' }).locator('li', { hasText: name }).getByRole('img', { name: 'checked here' }).waitFor();
  }
});

test('a key born in the browser cannot be exported, survives a reload, and pauses a project', async () => {
  await project('born');
  const page = await at('keys');
  await page.getByLabel('Name', { exact: true }).fill('laptop');
  await page.getByRole('button', { name: 'Make a key' }).click();
  const key = await eventually('a key is shown', async () => /hmmm:pubkey:[\w-]{43}/.exec(await page.locator('.born').innerText())?.[0]);
  const exported = await page.evaluate(async () => {
    const open = indexedDB.open('swoosh-keys');
    await new Promise((resolve) => { open.onsuccess = resolve; });
    const all = open.result.transaction('keys').objectStore('keys').getAll();
    await new Promise((resolve) => { all.onsuccess = resolve; });
    return crypto.subtle.exportKey('pkcs8', all.result[0].key).then(() => 'exported', (error) => error.name);
  });
  assert.equal(exported, 'InvalidAccessError');
  await node.swoosh('identity', 'grant', key, '--name', 'laptop', '--role', 'operator', '--project', 'born');
  await page.goto(`${node.address}/console/keys`);
  await page.getByRole('button', { name: 'Use' }).click();
  await page.getByRole('link', { name: 'laptop' }).waitFor();
  await page.evaluate(() => { history.pushState({}, '', 'act/Control_Pause?project=born'); dispatchEvent(new Event('placed')); });
  await page.getByLabel('rationale').fill('The disk is being replaced. é ✔ 😀');
  await page.getByRole('button', { name: 'Sign and review' }).click();
  await page.getByText('the node would accept it').waitFor();
  await page.getByRole('button', { name: 'Propose these bytes' }).click();
  await page.getByRole('region', { name: 'Accepted' }).waitFor();
  assert.equal((await node.get('/state?project=born')).projection.control.paused, true);
  assert.deepEqual(page.faults, []);
});

test('a key file signs in one tab, and a stale head is shown and never signed again by itself', async () => {
  await project('stale');
  const page = await at('keys');
  await page.locator('input[type=file]').setInputFiles(join(node.home, 'keys/operator.key'));
  await page.getByRole('link', { name: 'operator' }).waitFor();
  await page.evaluate(() => { history.pushState({}, '', 'act/Control_Pause?project=stale'); dispatchEvent(new Event('placed')); });
  await page.getByLabel('rationale').fill('first');
  await page.getByRole('button', { name: 'Sign and review' }).click();
  await page.getByText('the node would accept it').waitFor();
  await node.swoosh('propose', 'Control_Pause', '--project', 'stale', '--inputs', '{"rationale":"by another"}');
  await page.getByRole('button', { name: 'Propose these bytes' }).click();
  await page.getByText('The project has moved on').waitFor();
  await page.getByText('control.paused').waitFor();
  assert.equal((await node.get('/state?project=stale')).projection.control.rationale, 'by another');
  await page.getByRole('button', { name: 'sign again' }).click();
  await page.getByText('not enabled now').waitFor();
  await page.goto(`${node.address}/console/keys`);
  await page.getByRole('link', { name: 'read only' }).waitFor();
});

test('a pasted document is posted as it was signed, and a forged one is refused', async () => {
  await project('pasted');
  const page = await at('act/Control_Pause?project=pasted');
  await page.getByLabel('rationale').fill('signed elsewhere');
  const { hash } = await node.get('/state?project=pasted');
  const printed = (await node.swoosh('propose', 'Control_Pause', '--project', 'pasted', '--inputs', '{"rationale":"signed elsewhere"}', '--head', hash, '--print')).trim();
  await page.getByLabel('The signed document').fill(printed.replace('signed elsewhere', 'forged elsewhere'));
  await page.getByRole('button', { name: 'Review it' }).click();
  await page.getByText('the signature is not the signer’s').waitFor();
  await page.getByLabel('The signed document').fill(printed);
  await page.getByRole('button', { name: 'Review it' }).click();
  await page.getByText('the node would accept it').waitFor();
  await page.getByText('Nothing differs.').waitFor();
  await page.getByRole('button', { name: 'Propose these bytes' }).click();
  await page.getByRole('region', { name: 'Accepted' }).waitFor();
});

test('the name of the project is typed before it ends', async () => {
  const page = await at('keys');
  await page.locator('input[type=file]').setInputFiles(join(node.home, 'keys/operator.key'));
  await page.getByRole('link', { name: 'operator' }).waitFor();
  await page.evaluate(() => { history.pushState({}, '', 'act/Control_Terminate?project=default'); dispatchEvent(new Event('placed')); });
  const sign = page.getByRole('button', { name: 'Sign and review' });
  await sign.waitFor();
  assert.ok(await sign.isDisabled());
  await page.getByLabel('Type the name of the project').fill('default');
  await eventually('it can be signed', () => sign.isEnabled());
});

test('a node that is killed and started again under an open page misses no record and shows none twice', async () => {
  await project('killed');
  const page = await at('p/killed?tab=timeline');
  await page.getByText('Boot_ConfigOk').first().waitFor();
  await node.kill();
  await node.start();
  for (const rationale of ['one', 'two']) {
    await node.swoosh('propose', 'Control_Pause', '--project', 'killed', '--inputs', JSON.stringify({ rationale }));
    await node.swoosh('propose', 'Control_Resume', '--project', 'killed', '--inputs', JSON.stringify({ rationale }));
  }
  await eventually('all records are shown', async () => (await page.locator('tbody tr.row').count()) === 5);
  const rows = await page.locator('tbody tr.row td:first-child').allInnerTexts();
  assert.equal(new Set(rows).size, 5);
});

test('the keyboard alone leads from the overview to a record', async () => {
  const page = await at('');
  await settled(page);
  await page.keyboard.press('g');
  await page.keyboard.press('p');
  await page.waitForURL('**/console/p');
  await page.getByRole('link', { name: 'default' }).first().waitFor();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/console/p/*');
  await page.keyboard.press('/');
  await page.keyboard.type('2');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/console/r/2');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await page.waitForURL('**/console/p/*');
});

test('one switch changes how all times are written, and the zone is always there', async () => {
  const page = await at('r/1', { timezoneId: 'Asia/Kolkata' });
  const time = page.locator('main time').first();
  await eventually('local time', async () => (await time.innerText()).endsWith('UTC+5:30'));
  await page.keyboard.press('t');
  await eventually('UTC', async () => (await time.innerText()).endsWith(' UTC'));
  await page.keyboard.press('t');
  await eventually('a span', async () => (await time.innerText()).endsWith(' ago'));
});

test('filters are in the address and come back with one step back', async () => {
  const page = await at('p');
  await page.getByLabel('prefix').fill('def');
  await page.waitForURL('**/console/p?prefix=def');
  await page.getByRole('link', { name: 'default' }).first().click();
  await page.waitForURL('**/console/p/default');
  await page.goBack();
  await page.waitForURL('**/console/p?prefix=def');
  assert.equal(await page.getByLabel('prefix').inputValue(), 'def');
});

test('seven tabs of one browser all answer', async () => {
  const context = await browser.newContext();
  const pages = [];
  for (let count = 0; count < 7; count += 1) {
    const page = await opened(context, node.address);
    await page.goto(`${node.address}/console/p/default`);
    await page.getByRole('heading', { name: 'default' }).waitFor();
    pages.push(page);
  }
  await pages[6].locator('tbody').getByText('Boot_ConfigOk').first().waitFor();
});

test('the console works under a prefix of a proxy', async () => {
  const proxy = createServer((asked, answer) => {
    const headers = { ...asked.headers, host: `127.0.0.1:${node.port}` };
    const on = request({ host: '127.0.0.1', port: node.port, path: asked.url.replace(/^\/swoosh/, ''), method: asked.method, headers }, (found) => {
      answer.writeHead(found.statusCode, found.headers);
      found.pipe(answer);
    });
    on.on('error', () => answer.destroy());
    answer.on('close', () => on.destroy());
    asked.pipe(on);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const origin = `http://127.0.0.1:${proxy.address().port}/swoosh/`;
  const context = await browser.newContext();
  const page = await opened(context, origin);
  await page.goto(`${origin}console/p/default`);
  await page.getByRole('heading', { name: 'default' }).waitFor();
  await page.getByRole('link', { name: 'Facts', exact: true }).click();
  await page.waitForURL('**/swoosh/console/facts');
  await settled(page);
  assert.deepEqual(page.faults, []);
  await context.close();
  proxy.closeAllConnections();
  proxy.close();
});
