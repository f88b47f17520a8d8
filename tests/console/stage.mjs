// A node in a temporary directory, and a browser that looks at it.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const require = createRequire(join(process.env.CONSOLE_MODULES, 'package.json'));
const { chromium } = require('playwright-core');
export const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const program = process.env.SWOOSH;
const run = promisify(execFile);

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until something holds; patience is no measure. */
export async function eventually(what, look, patience = 60000) {
  const until = Date.now() + patience;
  for (let last; ;) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > until) throw new Error(`${what} did not happen${last ? `: ${last}` : ''}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

export class Node {
  static async begun() {
    const node = new Node();
    node.folder = mkdtempSync(join(tmpdir(), 'swoosh-console-'));
    node.home = join(node.folder, 'try');
    node.port = await freePort();
    node.address = `http://127.0.0.1:${node.port}`;
    await run(program, ['init', node.home, '--listen', `127.0.0.1:${node.port}`], { env: { ...process.env, HOME: node.folder } });
    await node.start();
    await node.swoosh('propose', 'ConfigOk', '--inputs', '@project.json');
    return node;
  }

  async start() {
    this.child = spawn(program, ['serve', '--config', 'swoosh.yaml'], { cwd: this.home, stdio: 'ignore', env: { ...process.env, HOME: this.folder } });
    await eventually('the node answers', async () => (await fetch(`${this.address}/health`)).ok);
  }

  async kill() {
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }

  /** A command as the operator. */
  async swoosh(...words) {
    const env = {
      ...process.env, HOME: this.folder, SWOOSH_URL: this.address, SWOOSH_PROJECT: 'default', SWOOSH_CLUSTER: 'swoosh',
      SWOOSH_KEY: join(this.home, 'keys/operator.key'), SWOOSH_KNOWN_NODES: join(this.home, 'known_nodes'),
    };
    return (await run(program, words, { cwd: this.home, env })).stdout;
  }

  async get(path) {
    return (await fetch(this.address + path)).json();
  }

  async end() {
    if (this.child.exitCode === null) await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const browse = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });

/** A page whose faults are collected: errors, reports of the policy, requests to other places. */
export async function opened(context, origin) {
  const page = await context.newPage();
  page.setDefaultTimeout(60000);
  page.faults = [];
  page.on('console', (message) => { if (message.type() === 'error') page.faults.push(`${message.text()} ${message.location().url}`); });
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('request', (request) => { if (!request.url().startsWith(origin) && !request.url().startsWith('blob:')) page.faults.push(`foreign request: ${request.url()}`); });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return page;
}

/** What axe finds. It runs beside the page, whose policy forbids foreign scripts. */
export async function accessibility(page) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
  await session.send('Runtime.evaluate', { expression: axe, contextId });
  const expression = "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => JSON.stringify(violations.map(({id, nodes}) => [id, nodes[0].html.slice(0, 160)])))";
  const { result } = await session.send('Runtime.evaluate', { expression, contextId, awaitPromise: true, returnByValue: true });
  await session.detach();
  return JSON.parse(result.value);
}
