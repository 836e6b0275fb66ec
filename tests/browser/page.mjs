// What the tests of main.rs do in a browser. `node page.mjs NAME SERVICE…`, with CHROMIUM, MODULES and
// PICTURES in the environment.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

const { chromium } = createRequire(`${process.env.MODULES}/`)('playwright-core');
const [name, ...services] = process.argv.slice(2);

/** A proxy in front of a service: the one address that the browser knows. It may change answers. */
class Front {
  constructor(service) {
    this.service = service;
    this.lies = new Map();
    this.server = http.createServer((request, response) => this.forward(request, response));
  }

  async listen() {
    await new Promise((ready) => this.server.listen(0, '127.0.0.1', ready));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  /** From here on the bodies of this path are what `lie` makes of them. */
  lie(pattern, lie) {
    this.lies = new Map([[pattern, lie]]);
  }

  forward(request, response) {
    const { hostname, port } = new URL(this.service);
    const headers = { ...request.headers };
    delete headers['if-none-match'];
    delete headers['accept-encoding'];
    const upstream = http.request({ hostname, port, path: request.url, method: request.method, headers }, (answer) => {
      const lie = [...this.lies].find(([pattern]) => pattern.test(request.url))?.[1];
      if (!lie) {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
        return;
      }
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => {
        const changed = Buffer.from(lie(Buffer.concat(parts)));
        const kept = { ...answer.headers, 'content-length': changed.length };
        delete kept['transfer-encoding'];
        response.writeHead(answer.statusCode, kept);
        response.end(changed);
      });
    });
    upstream.on('error', () => response.destroy());
    request.pipe(upstream);
  }
}

/** A lie about the answer in a stream of events. */
function answers(change) {
  return (body) => {
    const [before, data] = body.toString().split('event: answer\ndata: ');
    const answer = JSON.parse(data.trimEnd());
    const changed = change(answer) ?? answer;
    return `${before}event: answer\ndata: ${JSON.stringify(changed)}\n\n`;
  };
}

/** A browser with one window, in which every fault of the page is noticed. */
class Browser {
  async open(front, options = {}) {
    this.front = front;
    this.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
    });
    await this.window(options);
    return this;
  }

  /** Another window that remembers nothing. */
  async window(options) {
    await this.context?.close();
    this.context = await this.browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    this.faults ??= [];
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(20_000);
    await this.page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    this.page.on('pageerror', (error) => this.faults.push(`error: ${error.message}`));
    this.page.on('console', (message) => {
      // A file that is not there is an answer, not a fault.
      if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) this.faults.push(message.text());
    });
    this.page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol !== 'blob:' && origin !== this.front.url) this.faults.push(`leaves the origin: ${request.url()}`);
    });
  }

  async go(where) {
    await this.page.goto(this.front.url + where);
    await this.page.waitForSelector('h1');
  }

  /** The verdict that is shown, once there is one. */
  async verdict() {
    const verdict = this.page.locator('[data-verdict]:not([data-verdict="none"])').first();
    await verdict.waitFor();
    return { state: await verdict.getAttribute('data-verdict'), code: await verdict.getAttribute('data-code') };
  }

  /** Marks that are shown, anywhere. */
  marks() {
    return this.page.locator('.seal.accepted, .verdict.accepted, .punch.struck').count();
  }

  async ask() {
    await this.page.getByRole('button', { name: 'Ask, and have it proven' }).click();
    return this.verdict();
  }

  async choose(title) {
    await this.page.getByRole('radio', { name: title }).check();
    await this.page.locator('.entry .field').first().waitFor();
  }

  async sample(text) {
    await this.page.getByRole('button', { name: text, exact: true }).click();
  }

  /** Drops files on the page. */
  async drop(files) {
    const list = files.map(({ name: called, text }) => ({ called, text: Buffer.from(text).toString('base64') }));
    await this.page.evaluate((given) => {
      const transfer = new DataTransfer();
      for (const { called, text } of given) {
        transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], called));
      }
      const at = { bubbles: true, cancelable: true, dataTransfer: transfer };
      dispatchEvent(new DragEvent('dragover', at));
      dispatchEvent(new DragEvent('drop', at));
    }, list);
    await this.page.waitForFunction(() => document.querySelector('#drop').hidden && !document.querySelector('[data-verdict="none"]'));
    return this.verdict();
  }

  picture(called) {
    return this.page.screenshot({ path: path.join(process.env.PICTURES, `${called}.png`), fullPage: true });
  }

  async close() {
    await this.browser.close();
    assert.deepEqual(this.faults, []);
  }
}

/** Asks a service directly, as a client without a browser. */
async function infer(service, model) {
  const detail = await (await fetch(`${service}/v1/models/${model}`)).json();
  const [sample] = detail.card.samples;
  const inputs = detail.manifest.inputs.map((spec) => ({
    name: spec.name, shape: spec.shape, datatype: 'FP32', data: sample.inputs[spec.name],
  }));
  const reply = await fetch(`${service}/v2/models/${model}/infer`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ inputs }),
  });
  return reply.json();
}

const DIGITS = /Handwritten digits, 8×8/;
const RISK = /Benign or malignant/;

/** Draws with the mouse: a stroke from top to bottom. */
async function draw(page) {
  const pad = page.getByRole('application');
  await pad.scrollIntoViewIfNeeded();
  const box = await pad.boundingBox();
  const at = (x, y) => [box.x + box.width * x, box.y + box.height * y];
  await page.mouse.move(...at(0.3, 0.25));
  await page.mouse.down();
  await page.mouse.move(...at(0.7, 0.25), { steps: 6 });
  await page.mouse.move(...at(0.45, 0.85), { steps: 8 });
  await page.mouse.up();
}

const tests = {
  async drawn(browser) {
    const { page } = browser;
    await browser.go('/');
    await browser.choose(DIGITS);
    assert.equal(await browser.marks(), 0);
    await page.getByRole('button', { name: 'Ask, and have it proven' }).click();
    await page.getByText('draw something first').waitFor();
    await draw(page);
    assert.deepEqual(await browser.ask(), { state: 'accepted', code: 'verified' });
    const answer = await page.locator('[data-answer]').getAttribute('data-answer');
    assert.match(answer, /^[0-9]$/);
    // Every step was taken, and each has its time.
    assert.equal(await page.locator('.progress li.done').count(), 7);
    for (const time of await page.locator('.progress .time').allTextContents()) assert.match(time, /[0-9] m?s$/);
    const struck = await page.locator('.punch.struck').allTextContents();
    assert.deepEqual(struck.map((text) => text.split(':')[0]),
      ['Proof', 'Model', 'Your question', 'Signature', 'Log', 'Revocations']);
    await page.getByText('the setup was single-party').waitFor();
    await browser.picture('drawn');
    // The receipt's page says the same, in another window and from its address alone.
    await page.getByRole('link', { name: 'Open the receipt' }).click();
    await page.waitForURL(/\/receipt\/[0-9a-f]{64}$/);
    const address = new URL(page.url()).pathname;
    await browser.window({});
    await browser.go(address);
    assert.deepEqual(await browser.verdict(), { state: 'accepted', code: 'verified' });
    assert.equal(await browser.page.locator('[data-answer]').getAttribute('data-answer'), answer);
    await browser.picture('receipt');
    await browser.go(`/#receipt=${address.split('/').at(-1)}`);
    assert.equal((await browser.verdict()).state, 'accepted');
    await browser.go(`/receipt/${'0'.repeat(64)}`);
    assert.deepEqual(await browser.verdict(), { state: 'unavailable', code: 'receipt-unknown' });
    assert.equal(await browser.marks(), 0);
  },

  async form(browser) {
    const { page } = browser;
    await browser.go('/');
    await browser.choose(RISK);
    const radius = page.getByLabel('mean radius', { exact: true });
    await radius.fill('many');
    await page.getByRole('button', { name: 'Ask, and have it proven' }).click();
    await page.getByText('“mean radius” is no number').waitFor();
    await page.getByRole('button', { name: /^patient 1/ }).click();
    assert.notEqual(await radius.inputValue(), 'many');
    assert.deepEqual(await browser.ask(), { state: 'accepted', code: 'verified' });
    assert.match(await page.locator('[data-answer]').getAttribute('data-answer'), /^(benign|malignant)$/);
    // Another question takes the mark away.
    await radius.fill('12');
    assert.equal(await browser.marks(), 0);
    // From a file: a list of numbers.
    const values = JSON.stringify(Array.from({ length: 30 }, (_, index) => index / 10));
    await page.locator('.entry input[type="file"]').setInputFiles({ name: 'row.json', mimeType: 'application/json', buffer: Buffer.from(values) });
    await page.waitForFunction(() => document.querySelector('.table-form input').value === '0');
    assert.equal((await browser.ask()).state, 'accepted');
    // A picture for the digits.
    await browser.choose(DIGITS);
    const pixel = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64');
    await page.locator('.entry input[type="file"]').setInputFiles({ name: 'x.png', mimeType: 'image/png', buffer: pixel });
    await page.locator('.entry input[type="file"]').setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('[1,2]') });
    await page.getByText('does not hold 64 numbers').waitFor();
  },

  async keyboard(browser) {
    const { page } = browser;
    const focused = () => page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element.closest('.model, .button') ?? element);
      return {
        tag: element.tagName, type: element.type, text: element.textContent.trim(), role: element.getAttribute('role'),
        ring: style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2,
      };
    });
    /** Tab until something is focused; everything on the way must show that it is. */
    const tab = async (wanted) => {
      for (let presses = 0; presses < 60; presses += 1) {
        await page.keyboard.press('Tab');
        const now = await focused();
        assert.ok(now.ring, `no focus is seen on ${JSON.stringify(now)}`);
        if (wanted(now)) return now;
      }
      throw new Error('never focused');
    };
    await browser.go('/');
    await page.locator('.entry .field').first().waitFor();
    await tab((now) => now.text === 'Skip to the content');
    await tab((now) => now.type === 'radio');
    await page.getByRole('radio', { name: DIGITS }).focus();
    await page.keyboard.press('Space');
    await page.getByRole('application').waitFor();
    await tab((now) => now.role === 'application');
    // A stroke downwards: the pen is put down, moved and lifted.
    for (let step = 0; step < 5; step += 1) await page.keyboard.press('ArrowUp');
    await page.keyboard.press(' ');
    for (let step = 0; step < 11; step += 1) await page.keyboard.press('ArrowDown');
    await page.keyboard.press(' ');
    await page.getByText('The pen is up.').waitFor({ state: 'attached' });
    await tab((now) => now.text === 'Ask, and have it proven');
    await page.keyboard.press('Enter');
    assert.deepEqual(await browser.verdict(), { state: 'accepted', code: 'verified' });
    const live = page.locator('.progress [aria-live]');
    assert.equal(await live.textContent(), 'Verified in this browser.');
    await tab((now) => now.text === 'Open the receipt');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/receipt\//);
    assert.equal((await browser.verdict()).state, 'accepted');
  },

  async dropped(browser, [service]) {
    const { page } = browser;
    const answer = await infer(service, 'digits-mlp');
    const good = JSON.stringify(answer.receipt);
    const payload = JSON.parse(Buffer.from(answer.receipt.payload, 'base64'));
    const other = await infer(service, 'digits-mlp');
    /** The receipt with its payload changed and everything else left. */
    const changed = (change) => {
      const copy = structuredClone(payload);
      change(copy.predicate);
      return JSON.stringify({ ...answer.receipt, payload: Buffer.from(JSON.stringify(copy)).toString('base64') });
    };
    await browser.go('/log');
    assert.deepEqual(await browser.drop([{ name: 'r.json', text: good }]), { state: 'accepted', code: 'verified' });
    assert.equal(new URL(page.url()).pathname, '/receipt');
    // Without its proof nothing is said of the log.
    assert.equal(await page.locator('.punch.struck', { hasText: 'Log' }).count(), 0);
    const whole = [{ name: 'r.json', text: good }, { name: 'r.tlog-proof', text: answer.tlog_proof }];
    assert.equal((await browser.drop(whole)).state, 'accepted');
    assert.equal(await page.locator('.punch.struck', { hasText: 'Log' }).count(), 1);
    assert.equal((await browser.drop([{ name: 'answer.json', text: JSON.stringify(answer) }])).state, 'accepted');

    const [signature] = answer.receipt.signatures;
    const flipped = Buffer.from(signature.sig, 'base64');
    flipped[5] ^= 1;
    const cases = [
      ['receipt-malformed', good.slice(0, -40)],
      ['receipt-malformed', 'no receipt at all'],
      ['receipt-not-canonical', `${good}\n`],
      ['signature-invalid', changed((predicate) => { predicate.timing.provedAt += 1; })],
      ['signature-invalid', changed((predicate) => { predicate.proof = JSON.parse(Buffer.from(other.receipt.payload, 'base64')).predicate.proof; })],
      ['package-not-pinned', changed((predicate) => { predicate.package = `sha256:${'1'.repeat(64)}`; })],
      ['circuit-mismatch', changed((predicate) => { predicate.circuit = `sha256:${'1'.repeat(64)}`; })],
      ['setup-mismatch', changed((predicate) => { predicate.setup.kind = 'ceremony'; })],
      ['key-id-mismatch', JSON.stringify({ ...answer.receipt, signatures: [{ ...signature, keyid: '0'.repeat(64) }] })],
      ['signature-invalid', JSON.stringify({ ...answer.receipt, signatures: [{ ...signature, sig: flipped.toString('base64') }] })],
    ];
    for (const [code, text] of cases) {
      assert.deepEqual(await browser.drop([{ name: 'r.json', text }]), { state: 'rejected', code });
      assert.equal(await browser.marks(), 0, code);
    }
    await browser.picture('rejected');
    // Files that are not taken together are said, never left out.
    const files = (...texts) => texts.map((text, index) => ({ name: `<b>${index}.json`, text }));
    const manifestText = await (await fetch(`${service}/v1/models/digits-mlp/manifest`)).text();
    for (const [code, list] of [
      ['parameter-invalid', files(good, JSON.stringify(other.receipt))],
      ['parameter-invalid', files(good, JSON.stringify(answer))],
      ['parameter-invalid', files(good, 'half a proof of the log')],
      ['parameter-invalid', files(good, manifestText)],
      ['parameter-invalid', files(...Array(9).fill(good))],
      ['receipt-missing', files(answer.tlog_proof)],
    ]) {
      assert.deepEqual(await browser.drop(list), { state: 'unavailable', code });
      assert.equal(await browser.marks(), 0, code);
    }
    // The log's proof of another receipt.
    const crossed = await browser.drop([{ name: 'r.json', text: good }, { name: 'p.tlog-proof', text: other.tlog_proof }]);
    assert.deepEqual(crossed, { state: 'rejected', code: 'tlog-inclusion-invalid' });
    assert.equal(await browser.marks(), 0);
    // A package that is not served is nothing against a receipt.
    const unknown = changed((predicate) => { predicate.model.name = 'another'; });
    assert.deepEqual(await browser.drop([{ name: 'r.json', text: unknown }]), { state: 'unavailable', code: 'package-unknown' });
    assert.equal(await browser.marks(), 0);
    // With the package's files the person says which one is trusted.
    const base = `${service}/v1/models/digits-mlp`;
    const manifest = Buffer.from(await (await fetch(`${base}/manifest`)).arrayBuffer());
    const key = Buffer.from(await (await fetch(`${base}/verifying-key`)).arrayBuffer());
    const pins = [[`sha256:${'2'.repeat(64)}`, 'rejected'], [answer.parameters.package_digest, 'accepted']];
    for (const [pin, state] of pins) {
      await page.evaluate((files) => {
        const transfer = new DataTransfer();
        for (const text of files) transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], 'f'));
        dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer }));
      }, [Buffer.from(good), manifest, key].map((bytes) => bytes.toString('base64')));
      await page.getByLabel('Package digest').fill(pin);
      await page.getByRole('button', { name: 'Verify' }).click();
      assert.equal((await browser.verdict()).state, state);
    }
  },

  async liar(browser, [service]) {
    const { front } = browser;
    const INFER = /\/infer$/;
    const older = await infer(service, 'digits-mlp');
    const output = (answer, suffix) => answer.outputs.find((tensor) => tensor.name.endsWith(suffix));
    const lies = [
      ['statement-mismatch', answers((answer) => { output(answer, ':label').data[0] = output(answer, ':label').data[0] === '9' ? '8' : '9'; })],
      ['statement-mismatch', answers((answer) => { output(answer, 'logits').data[3] += 1; })],
      ['context-mismatch', answers(() => older)],
      ['signature-invalid', answers((answer) => {
        const payload = JSON.parse(Buffer.from(answer.receipt.payload, 'base64'));
        payload.predicate.timing.provedAt += 1;
        answer.receipt.payload = Buffer.from(JSON.stringify(payload)).toString('base64');
      })],
      ['tlog-inclusion-invalid', answers((answer) => { answer.tlog_proof = older.tlog_proof; })],
      ['answer-malformed', answers((answer) => { delete answer.receipt; })],
      ['answer-malformed', answers((answer) => { answer.parameters.receipt_id = `sha256:${'0'.repeat(64)}`; })],
    ];
    const sevenAgain = async () => {
      await browser.go('/');
      await browser.choose(DIGITS);
      await browser.sample('a seven');
    };
    await sevenAgain();
    for (const [code, lie] of lies) {
      front.lie(INFER, lie);
      const found = await browser.ask();
      assert.equal(found.code, code);
      assert.notEqual(found.state, 'accepted');
      assert.equal(await browser.marks(), 0, code);
    }
    // Another input than the one that was asked about, proven rightly.
    front.lies.clear();
    await browser.page.route(INFER, async (route) => {
      const request = JSON.parse(route.request().postData());
      request.inputs[0].data[0] = 16 - request.inputs[0].data[0];
      await route.continue({ postData: JSON.stringify(request) });
    });
    assert.deepEqual(await browser.ask(), { state: 'rejected', code: 'opening-mismatch' });
    assert.equal(await browser.marks(), 0);
    // The answer of another model, proven rightly, and for this very nonce.
    const risk = await (await fetch(`${service}/v1/models/risk-classifier`)).json();
    await browser.page.unroute(INFER);
    await browser.page.route(INFER, async (route) => {
      const request = JSON.parse(route.request().postData());
      request.inputs = [{ name: 'features', shape: [1, 30], datatype: 'FP32', data: risk.card.samples[0].inputs.features }];
      const url = route.request().url().replace('digits-mlp', 'risk-classifier');
      await route.continue({ url, postData: JSON.stringify(request) });
    });
    assert.deepEqual(await browser.ask(), { state: 'rejected', code: 'model-mismatch' });
    assert.equal(await browser.marks(), 0);
    await browser.page.unroute(INFER);
    // A key or a manifest that is not the package's.
    for (const [file, code] of [[/verifying-key/, 'verifying-key-mismatch'], [/manifest/, 'package-not-pinned']]) {
      front.lie(file, (body) => {
        const changed = Buffer.from(body);
        changed[changed.length - 10] ^= 1;
        return changed;
      });
      await sevenAgain();
      assert.deepEqual(await browser.ask(), { state: 'rejected', code });
      assert.equal(await browser.marks(), 0);
    }
    // Without its verifier a browser knows nothing, and says so.
    front.lie(/proofmark_bg/, () => 'no module');
    await sevenAgain();
    assert.deepEqual(await browser.ask(), { state: 'unavailable', code: 'verifier-unavailable' });
    assert.equal(await browser.marks(), 0);
    browser.faults = browser.faults.filter((fault) => !/wasm|WebAssembly/i.test(fault));
    // Nothing was wrong with the page itself.
    front.lies.clear();
    await sevenAgain();
    assert.equal((await browser.ask()).state, 'accepted');
  },

  async hurried(browser, [service]) {
    const { page } = browser;
    const answer = await infer(service, 'digits-mlp');
    const ask = page.getByRole('button', { name: 'Ask, and have it proven' });
    /** Holds back what is asked at this address until the gate is opened. */
    const hold = async (pattern) => {
      let opened;
      const gate = new Promise((resolve) => { opened = resolve; });
      const waiting = page.waitForRequest(pattern);
      waiting.catch(() => {}); // awaited later
      await page.route(pattern, async (route) => {
        await gate;
        await route.continue().catch(() => {}); // whoever asked may have left
      }, { times: 1 });
      return { open: opened, waiting };
    };
    // The slower of two models comes last: it is the chosen one that is asked.
    await browser.go('/');
    await browser.choose(RISK);
    const slow = await hold(/\/v1\/models\/digits-mlp\?/);
    await page.getByRole('radio', { name: DIGITS }).click();
    await slow.waiting;
    // Nothing can be asked of a model that is not there yet.
    await ask.click();
    assert.equal(await page.locator('.progress').count(), 0);
    await browser.choose(RISK);
    const late = page.waitForResponse(/\/v1\/models\/digits-mlp\?/);
    slow.open();
    await (await late).finished();
    assert.equal(await page.locator('.table-form').count(), 1);
    assert.equal((await browser.ask()).state, 'accepted');
    assert.match(await page.locator('[data-answer]').getAttribute('data-answer'), /^(benign|malignant)$/);
    // Another model takes the mark away at once.
    const again = await hold(/\/v1\/models\/digits-mlp\?/);
    await page.getByRole('radio', { name: DIGITS }).click();
    await again.waiting;
    assert.equal(await browser.marks(), 0);
    again.open();
    await page.getByRole('application').waitFor();
    // A question that is changed while it is proven gets no answer beside it.
    await browser.sample('a seven');
    const proving = await hold(/\/infer$/);
    await ask.click();
    await proving.waiting;
    await browser.sample('a two');
    await page.getByText('The question changed. Ask again.').waitFor();
    proving.open();
    assert.equal((await browser.ask()).state, 'accepted');
    assert.equal(await page.locator('[data-answer]').getAttribute('data-answer'), '2');
    assert.equal(await page.locator('.verdict.accepted').count(), 1);
    // Of two files one after the other the later one is shown, whichever is checked first.
    await browser.go('/receipt');
    const models = await hold(/\/v1\/models$/);
    const chosen = page.locator('.card input[type="file"]');
    await chosen.setInputFiles({ name: 'a.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(answer.receipt)) });
    await models.waiting;
    await chosen.setInputFiles({ name: 'b.json', mimeType: 'application/json', buffer: Buffer.from('no receipt') });
    assert.deepEqual(await browser.verdict(), { state: 'rejected', code: 'receipt-malformed' });
    models.open();
    // The first is checked to its end, and its card fetched, which is the last that it asks for.
    await page.waitForResponse(/\/v1\/models\/digits-mlp\?/);
    await page.waitForLoadState('networkidle');
    assert.equal(await browser.marks(), 0);
    assert.equal(await page.locator('#live').textContent(), 'No mark: rejected, receipt-malformed.');
  },

  async markup(browser) {
    const { page, front } = browser;
    const evil = '<img src=x onerror="globalThis.struck=1"><b>';
    const quoted = JSON.stringify(evil).slice(1, -1);
    // Whatever words the service chooses, they are words.
    front.lie(/\/v1\/(models|log)/, (body) => body.toString()
      .replace(/"(title|name|description|notes?|unit|licence|origin)":"(?![\w-]+")[^"]*"/g, (_, member) => `"${member}":"${quoted}"`)
      .replace(/"(about|limits|labels)":\["[^"]*"/g, (_, member) => `"${member}":["${quoted}"`));
    for (const where of ['/', '/models', '/models/risk-classifier']) {
      await browser.go(where);
      await page.getByText(evil).first().waitFor();
      assert.equal(await page.locator('main img, main b, main script').count(), 0, where);
    }
    front.lies.clear();
    front.lie(/\/infer$/, () => `event: problem\ndata: ${JSON.stringify({ status: 500, code: evil, detail: evil })}\n\n`);
    await browser.go('/');
    await browser.choose(DIGITS);
    await browser.sample('a seven');
    assert.deepEqual(await browser.ask(), { state: 'unavailable', code: 'service-refused' });
    assert.equal(await page.locator('main img').count(), 0);
    // Half a stream is no answer.
    front.lie(/\/infer$/, (body) => body.subarray(0, body.length - 5));
    assert.deepEqual(await browser.ask(), { state: 'unavailable', code: 'service-unreachable' });
    assert.equal(await page.evaluate(() => globalThis.struck), undefined);
    assert.equal(await browser.marks(), 0);
  },

  async replaced(browser, [, other]) {
    const { page, front } = browser;
    await browser.go('/');
    await browser.choose(DIGITS);
    await browser.sample('a seven');
    assert.equal((await browser.ask()).state, 'accepted');
    const entries = Number(await page.evaluate(() => JSON.parse(localStorage.getItem('proofmark/v1/log')).size));
    assert.ok(entries >= 1);
    front.service = other;
    await page.evaluate(() => localStorage.removeItem('proofmark/v1/log'));
    await browser.go('/');
    await browser.choose(DIGITS);
    await browser.sample('a seven');
    assert.deepEqual(await browser.ask(), { state: 'rejected', code: 'package-not-pinned' });
    assert.equal(await browser.marks(), 0);
    await page.getByText('A package never changes').waitFor();
    await page.getByRole('button', { name: 'I checked: accept the new package' }).click();
    assert.equal((await browser.ask()).state, 'accepted');
  },

  async cards(browser, [service]) {
    const { page } = browser;
    await infer(service, 'digits-mlp');
    const says = (text) => page.getByText(text).first().waitFor();
    await browser.go('/models');
    await page.getByRole('link', { name: 'Handwritten digits, 8×8' }).click();
    await says('One machine made this key. Whoever kept its secret could forge');
    await says('It is its maker’s word and no more');
    await says('The one proof that was made since the start took that long');
    // Accuracy of both models, from the manifest.
    const { manifest } = await (await fetch(`${service}/v1/models/digits-mlp`)).json();
    assert.equal(manifest.validation.integer_accuracy, 0.985);
    assert.equal(await page.getByText('98.5 %', { exact: true }).count(), 2);
    // A digest is copied with a button.
    await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy the digest of the circuit' }).click();
    await says('copied');
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), manifest.sealed.circuit.digest);
    await browser.go('/models/risk-classifier');
    await says('A ceremony made this key: 2 contributors');
    await says('The transcript has the digest that the manifest names');
    assert.deepEqual(await page.locator('ol li').allTextContents(), ['Ada', 'Grace']);
    await says('not a medical device');
    await browser.picture('ceremony');
    // A transcript that is another one is said to be that.
    browser.front.lie(/\/transcript/, (body) => body.toString().replace('"Grace"', '"Mallory"'));
    await browser.go('/models/risk-classifier');
    await says('is not the one that the manifest names: do not rely on it');
    browser.front.lies.clear();
    // A digest from elsewhere that is not served gets no mark.
    await page.getByText('Pin a digest from a source of your own').click();
    await page.getByRole('textbox', { name: 'Package digest' }).fill(`sha256:${'5'.repeat(64)}`);
    await page.getByRole('button', { name: 'Pin', exact: true }).click();
    await says('its answers get no mark');
    await browser.go('/?model=risk-classifier');
    await page.getByRole('button', { name: /^patient 1/ }).click();
    assert.deepEqual(await browser.ask(), { state: 'rejected', code: 'package-not-pinned' });
    assert.equal(await browser.marks(), 0);
    await browser.go('/models/risk-classifier');
    assert.deepEqual(await browser.verdict(), { state: 'rejected', code: 'package-not-pinned' });
    await says('You pinned another package');
    assert.equal(await page.locator('[data-held]').count(), 0);
    // What a card says of the package is held to its digest.
    await browser.go('/models/digits-mlp');
    await page.locator('[data-held]').waitFor();
    browser.front.lie(/\/manifest/, (body) => body.toString().replace(/("integer_accuracy": ?)0.98/, '$10.99'));
    await browser.window({});
    await browser.go('/models/digits-mlp');
    assert.deepEqual(await browser.verdict(), { state: 'rejected', code: 'package-not-pinned' });
    assert.equal(await browser.page.locator('[data-held]').count(), 0);
    browser.front.lies.clear();
    await browser.go('/models/none');
    assert.deepEqual(await browser.verdict(), { state: 'unavailable', code: 'model-unknown' });
  },

  async history(browser, [service, fork]) {
    const { page, front } = browser;
    const state = async () => {
      await page.locator('[data-log]').waitFor();
      const shown = page.locator('[data-log]');
      return [await shown.getAttribute('data-log'), await shown.getAttribute('data-code')];
    };
    const kept = async () => Number(await page.evaluate(() => JSON.parse(localStorage.getItem('proofmark/v1/log')).size));
    await browser.go('/log');
    assert.deepEqual(await state(), ['first', null]);
    await infer(service, 'digits-mlp');
    const early = await (await fetch(`${service}/checkpoint`)).text();
    await browser.go('/log');
    assert.deepEqual(await state(), ['consistent', null]);
    for (let more = 0; more < 3; more += 1) await infer(service, 'digits-mlp');
    await browser.go('/log');
    assert.deepEqual(await state(), ['consistent', null]);
    assert.equal(await kept(), 4);
    await browser.picture('log');
    // An old copy to look for revocations in, and the new head beside it: then nothing is said of revocations.
    await browser.go('/');
    await browser.choose(DIGITS);
    await browser.sample('a seven');
    await page.waitForLoadState('networkidle');
    let looks = 0;
    front.lie(/^\/checkpoint$/, (body) => (looks += 1) % 2 === 1 ? early : body);
    assert.equal((await browser.ask()).state, 'accepted');
    assert.ok(looks >= 3, `${looks}`);
    assert.equal(await page.locator('.punch.struck', { hasText: 'Log' }).count(), 1);
    assert.equal(await page.locator('.punch.struck', { hasText: 'Revocations' }).count(), 0);
    front.lies.clear();
    // Rolled back.
    front.lie(/^\/checkpoint$/, () => early);
    await browser.go('/log');
    assert.deepEqual(await state(), ['alarm', 'log-shrank']);
    assert.equal(await page.locator('[data-kept]').getAttribute('data-kept'), '5');
    assert.equal(await kept(), 5);
    await browser.picture('alarm');
    // The alarm stays, on every page, until somebody says otherwise.
    front.lies.clear();
    await browser.go('/models');
    await page.getByText('changed its history').waitFor();
    // Such a log may hide what was revoked: nothing of this service gets a mark.
    await browser.go('/');
    await browser.choose(DIGITS);
    await browser.sample('a seven');
    assert.deepEqual(await browser.ask(), { state: 'rejected', code: 'log-shrank' });
    assert.equal(await browser.marks(), 0);
    await page.getByRole('link', { name: 'What was found' }).click();
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save the evidence' }).click();
    const evidence = JSON.parse(await readFile(await (await saved).path(), 'utf8'));
    assert.deepEqual([evidence.code, evidence.shown], ['log-shrank', early]);
    assert.notEqual(evidence.kept, early);
    await page.getByText('I know why, and want to start again').click();
    await page.getByRole('button', { name: 'Forget the old head' }).click();
    await page.waitForFunction(() => document.querySelector('[data-log="first"]'));
    assert.equal(await page.locator('#alarm').textContent(), '');
    // Rewritten: the same log by its key, larger, and with other entries.
    for (let more = 0; more < 7; more += 1) await infer(fork, 'risk-classifier');
    front.service = fork;
    await browser.go('/log');
    assert.deepEqual(await state(), ['alarm', 'tlog-inconsistent']);
    assert.equal(await kept(), 6);
    const shown = await page.locator('section', { hasText: 'Head that was shown instead' }).locator('pre').textContent();
    assert.equal(shown.split('\n')[1], '7');
  },

  async witnessed(browser, [service, witness, logKey]) {
    const { page } = browser;
    const answer = await infer(service, 'digits-mlp');
    // The witness is asked in the background.
    const size = async () => (await (await fetch(`${service}/checkpoint.cosigned`)).text()).split('\n')[1];
    for (let tries = 0; (await size()) !== '1'; tries += 1) {
      assert.ok(tries < 100, 'the witness does not cosign');
      await new Promise((later) => setTimeout(later, 100));
    }
    await browser.go('/log');
    await page.getByText('witness.example cosigned 1 entries, as the service shows').waitFor();
    await page.getByText('Keys of witnesses that this browser trusts').click();
    const key = page.getByLabel('Public key, NAME+ID+KEY');
    const add = page.getByRole('button', { name: 'Add' });
    for (const bad of ['no key', logKey]) {
      await key.fill(bad);
      await add.click();
      await page.waitForFunction(() => document.querySelector('details .error').textContent !== '');
      assert.equal(await page.evaluate(() => localStorage.getItem('proofmark/v1/witnesses')), null);
      await page.evaluate(() => { document.querySelector('details .error').textContent = ''; });
    }
    await key.fill(witness);
    await add.click();
    await page.locator('[data-witnessed="witness.example"]').waitFor();
    // A receipt is shown with the cosigned head.
    await browser.go(`/receipt/${answer.parameters.receipt_id.slice('sha256:'.length)}`);
    assert.equal((await browser.verdict()).state, 'accepted');
    await page.getByText('What was checked').first().click();
    await page.getByText('Independent witnesses saw the same log').waitFor();
    await page.getByText(/witness\.example, 20/).waitFor();
  },

  async everywhere(browser, [service]) {
    const answer = await infer(service, 'digits-mlp');
    const id = answer.parameters.receipt_id.slice('sha256:'.length);
    const places = { home: '/', models: '/models', model: '/models/risk-classifier', receipt: `/receipt/${id}`, door: '/receipt', log: '/log' };
    for (const [colorScheme, widths] of [['light', [320, 768, 1280]], ['dark', [320, 1280]]]) {
      for (const width of widths) {
        await browser.window({ viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce', hasTouch: width === 320 });
        const { page } = browser;
        for (const [called, where] of Object.entries(places)) {
          await browser.go(where);
          await page.waitForFunction(() => !/Asking for|Reading the|Fetching|Checking/.test(document.querySelector('main').textContent));
          const found = await page.evaluate(inspect);
          assert.deepEqual(found, [], `${called} at ${width} ${colorScheme}`);
          await browser.picture(`${called}-${width}-${colorScheme}`);
        }
        if (width === 320) {
          await browser.go('/');
          await browser.choose(DIGITS);
          await browser.sample('a seven');
          assert.equal((await browser.ask()).state, 'accepted');
          assert.deepEqual(await page.evaluate(inspect), [], `an answer in ${colorScheme}`);
          await browser.picture(`answer-${width}-${colorScheme}`);
        }
      }
    }
  },
};

/** Runs in the page: what is too wide, too faint, too small to touch, or has no name. */
function inspect() {
  const faults = [];
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`${document.documentElement.scrollWidth} pixels wide`);
  const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !element.closest('.hidden, .skip');
  const scratch = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    scratch.clearRect(0, 0, 1, 1);
    scratch.fillStyle = colour;
    scratch.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = scratch.getImageData(0, 0, 1, 1).data;
    return { channels: [r, g, b], alpha: a / 255 };
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { channels, alpha } = rgba(getComputedStyle(at).backgroundColor);
      if (alpha > 0.7) return channels;
    }
    return [255, 255, 255];
  };
  const luminance = (channels) => {
    const [r, g, b] = channels.map((value) => {
      const c = value / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.textContent.trim() === '' || !visible(element)) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(rgba(style.color).channels), luminance(ground(element))].sort((a, b) => b - a);
    const large = Number.parseFloat(style.fontSize) >= 24;
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < (large ? 3 : 4.5)) faults.push(`contrast ${contrast.toFixed(2)}: ${walker.currentNode.textContent.trim().slice(0, 40)}`);
  }
  for (const control of document.querySelectorAll('a, button, input, textarea, summary, [role="application"], [tabindex="0"]')) {
    if (!visible(control)) continue;
    const name = control.getAttribute('aria-label') ?? control.labels?.[0]?.textContent ?? control.textContent;
    if (!name?.trim()) faults.push(`no name: ${control.outerHTML.slice(0, 80)}`);
    const box = control.getBoundingClientRect();
    if (['BUTTON', 'TEXTAREA', 'SUMMARY'].includes(control.tagName) && box.height < 24) faults.push(`${box.height} pixels high: ${name}`);
  }
  if (document.querySelectorAll('h1').length !== 1) faults.push('not one main heading');
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  if (new Set(ids).size !== ids.length) faults.push('an id stands there twice');
  return faults;
}

const front = new Front(services[0]);
await front.listen();
const browser = await new Browser().open(front);
try {
  await tests[name](browser, services);
  await browser.close();
} catch (error) {
  await browser.picture(`failed-${name}`).catch(() => {});
  await browser.browser.close();
  console.error(error, '\nfaults of the page:', browser.faults);
  process.exitCode = 1;
} finally {
  front.server.close();
  front.server.closeAllConnections();
  // Connections that may be used again would keep the process for seconds.
  process.exit();
}
