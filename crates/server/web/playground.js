// Ask a model, watch the proof being made, and see the mark when this browser has checked it.

import * as api from './api.js';
import { check, contradiction, failed, prepare } from './check.js';
import { digest, download, h, link, ms, percent, show } from './dom.js';
import { field, samples, shown } from './inputs.js';
import * as memory from './memory.js';
import { BadInput, checkValues, views } from './tensors.js';
import { details, missing, refused, verdict, waiting } from './verdict.js';

/** What happens to a question, in order, and where its time stands in `Server-Timing`. */
const STEPS = [
  ['queued', 'queue', 'waits for its turn'],
  ['runtime', 'runtime', 'ONNX Runtime runs the model'],
  ['witness', 'witness', 'the circuit computes it again; both must agree'],
  ['proving', 'proving', 'the proof is made'],
  ['verifying', 'verifying', 'the service checks its own proof'],
  ['logging', 'log', 'the receipt goes into the public log'],
  ['browser', undefined, 'your browser checks all of it'],
];

/** The page; gives what ends it. */
export async function playground(main) {
  const choice = h('div', { class: 'choice' });
  const entry = h('div', { class: 'entry' });
  const ask = h('button', { type: 'submit', class: 'primary' }, 'Ask, and have it proven');
  const problem = h('p', { class: 'error', role: 'alert' });
  const result = h('div', { class: 'result' });
  show(main,
    h('section', { class: 'hero' },
      h('h1', {}, 'An answer is worth what you can check'),
      h('p', { class: 'lead' }, 'A model answers, and a mathematical proof comes with the answer: that exactly this model computed exactly this. Your browser checks the proof, and strikes the mark only if it holds.')),
    h('form', { class: 'bench', novalidate: true, onsubmit: (event) => { event.preventDefault(); run(); } },
      h('div', { class: 'ask' },
        h('fieldset', { class: 'models' }, h('legend', {}, '1. Choose a model'), choice),
        h('section', { 'aria-labelledby': 'give' }, h('h2', { id: 'give' }, '2. Give it something'), entry),
        h('div', { class: 'row go' }, ask, problem)),
      h('section', { class: 'outcome', 'aria-labelledby': 'seen' }, h('h2', { id: 'seen' }, '3. See it proven'), result)),
    explanation());
  show(choice, h('p', {}, 'Asking for the models …'));

  let current;
  let running;
  let chosen;
  const idle = (text = 'Ask, and the mark appears here once your browser has checked the proof.') =>
    show(result, waiting('No mark yet', text));
  /** An answer is shown beside the question that it is of, and beside no other. */
  const stop = (text) => {
    const shown = running !== undefined || current?.used;
    running?.abort();
    running = undefined;
    ask.disabled = false;
    if (current) current.used = false;
    if (shown) idle(text);
  };
  idle();

  const models = await api.models();
  const wanted = new URLSearchParams(location.search).get('model');
  const first = models.find((model) => model.name === wanted)
    ?? models.find((model) => model.name.includes('mnist')) ?? models[0];
  show(choice, models.map((model) => h('label', { class: 'model' },
    h('input', {
      type: 'radio', name: 'model', value: `${model.name}@${model.version}`,
      checked: model === first, onchange: () => choose(model),
    }),
    h('span', {}, h('strong', {}, model.title ?? model.name), h('small', {}, h('code', {}, model.name),
      model.proof_times ? `, proof in ${ms(model.proof_times.median_ms)}` : '')))));
  if (first) await choose(first);
  else show(entry, h('p', {}, 'This service serves no model.'));

  async function choose(model) {
    stop();
    const mine = (chosen = {});
    current = undefined;
    problem.textContent = '';
    show(entry, h('p', {}, 'Asking for the model …'));
    try {
      const detail = await api.model(model.name, model.version);
      if (mine !== chosen) return;
      const changed = () => { if (mine === chosen) stop('The question changed. Ask again.'); };
      const fields = new Map();
      for (const spec of detail.manifest.inputs) fields.set(spec.name, field(spec, detail.card, changed));
      current = { detail, fields, used: false };
      show(entry,
        h('p', { class: 'about' }, detail.card?.about?.[0] ?? detail.manifest.description, ' ',
          link(cardAddress(detail), 'Model card')),
        samples(detail.card, detail.manifest, fields, () => {}),
        detail.manifest.inputs.map((spec) => h('div', { class: 'field' },
          fields.size > 1 ? h('h3', {}, spec.name) : null,
          spec.visibility === 'public' ? null : h('p', { class: 'small' }, `“${spec.name}” is ${spec.visibility}: the receipt holds a commitment only. Whoever runs this service sees the values; to hide them from it too, prove on your own machine.`),
          fields.get(spec.name).element)));
      const [sample] = detail.card?.samples ?? [];
      if (sample && !startsEmpty(detail)) for (const spec of detail.manifest.inputs) fields.get(spec.name).set(sample.inputs[spec.name]);
    } catch (error) {
      if (mine === chosen) show(entry, missing(failed(error)));
    }
  }

  async function run() {
    if (!current || running) return;
    const question = current;
    const { detail, fields } = question;
    const { manifest } = detail;
    problem.textContent = '';
    let values;
    try {
      values = new Map(manifest.inputs.map((spec) => [spec.name, fields.get(spec.name).values()]));
      for (const spec of manifest.inputs) checkValues(values.get(spec.name), spec);
    } catch (error) {
      if (!(error instanceof BadInput)) throw error;
      problem.textContent = error.message;
      return;
    }
    const mine = new AbortController();
    running = mine;
    ask.disabled = true;
    // On a phone the outcome is below.
    if (result.getBoundingClientRect().top > innerHeight * 0.7) result.parentElement.scrollIntoView({ block: 'start' });
    try {
      await answer(result, detail, values, mine.signal);
    } catch (error) {
      if (!mine.signal.aborted) show(result, refused(failed(error)));
    }
    if (running !== mine) return;
    question.used = true;
    running = undefined;
    ask.disabled = false;
  }

  return () => running?.abort();
}

/** Drawings begin empty; everything else with a sample. */
const startsEmpty = (detail) => Object.values(detail.card?.inputs ?? {}).some((form) => form.image?.drawing);

function nonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

async function answer(result, detail, values, signal) {
  const { name, version, manifest } = detail;
  const progress = new Progress();
  const space = h('div', {}, waiting('No mark yet', 'The answer is on its way. It counts once it is checked.'));
  show(result, progress.element, space);
  const asked = nonce();
  const prepared = prepare(name, version, detail.package_digest);
  const request = JSON.stringify({
    parameters: { nonce: asked },
    inputs: manifest.inputs.map((spec) => ({
      name: spec.name,
      shape: spec.shape,
      datatype: spec.quantizer ? 'FP32' : spec.elem.toUpperCase(),
      data: values.get(spec.name),
    })),
  });
  const { body, timing } = await api.infer(name, version, request, (step) => progress.step(step), signal);
  progress.timed(timing);
  progress.step({ step: 'browser' });
  const told = JSON.parse(new TextDecoder().decode(body));
  if (!told?.receipt) throw new api.Refused('answer-malformed', 'the answer carries no receipt');
  const receipt = new TextEncoder().encode(JSON.stringify(told.receipt));
  const checked = await check({
    receipt,
    tlogProof: told.tlog_proof,
    exchange: { name, version, request, body, nonce: asked },
    files: await prepared,
  });
  if (signal.aborted) return;
  let { found } = checked;
  if (found.verdict === 'accepted') {
    const lie = contradiction(told, found, checked.manifest);
    if (lie) found = lie;
  }
  progress.done(found);
  show(space, found.verdict === 'accepted'
    ? accepted(found, checked, detail, receipt, told.tlog_proof)
    : [refused(found), unproven(told, found), changed(found, checked, detail)]);
}

function accepted(found, checked, detail, receipt, tlogProof) {
  const id = found.receipt_id.replace(/^sha256:/, '');
  return [
    verdict(found, answerOf(found, checked.manifest)),
    h('div', { class: 'row after' },
      h('a', { class: 'button', href: `/receipt/${id}`, 'data-link': true }, 'Open the receipt'),
      download(`${detail.name}-${id.slice(0, 12)}.receipt.json`, receipt, 'application/json', 'Save the receipt'),
      tlogProof ? download(`${detail.name}-${id.slice(0, 12)}.tlog-proof`, tlogProof, 'text/plain', 'Save the log’s proof') : null),
    pinLine(checked.pinned, detail),
    h('details', {}, h('summary', {}, 'All digests and details'), details(found)),
  ];
}

/** Where the digest comes from that the receipt was held to. */
export function pinLine(pinned, model) {
  if (!pinned) return null;
  const when = new Date(pinned.since * 1000).toLocaleDateString(undefined, { dateStyle: 'medium' });
  if (pinned.own) return h('p', { class: 'small pin' }, 'Held to the package digest that you gave: ', digest(pinned.digest, 'package digest'));
  return h('p', { class: 'small pin' },
    pinned.first
      ? 'This browser sees this package for the first time, and holds the service to it from now on. Compare its digest with one from a source that you trust: '
      : `Held to the package that this browser first saw on ${when}: `,
    digest(pinned.digest, 'package digest'), ' ',
    model ? link(cardAddress(model), 'Model card') : null);
}

/** The outputs of an accepted receipt, for people. */
export function answerOf(found, manifest, card) {
  return h('div', { class: 'answer' }, manifest.outputs.map((spec) => {
    const values = found.outputs?.find((output) => output.name === spec.name)?.values;
    if (!values) return h('p', {}, `“${spec.name}” is hidden: the receipt holds a commitment to it.`);
    const read = views(values, spec);
    return [
      read.classes ? h('p', { class: 'class', 'data-answer': read.classes.map((row) => row.label).join(', ') },
        read.classes.map((row) => row.label).join(', ')) : null,
      read.classes?.length === 1 ? bars(values, read) : shown(values, spec, card),
    ];
  }));
}

/** The scores of the classes, largest first. */
function bars(values, read) {
  const floats = read.floats ?? values;
  const largest = Math.max(...floats);
  const shares = floats.map((value) => Math.exp(value - largest));
  const whole = shares.reduce((sum, share) => sum + share, 0);
  const order = floats.map((_, index) => index).sort((a, b) => floats[b] - floats[a] || a - b).slice(0, 4);
  return h('ul', { class: 'bars', 'aria-label': 'Scores, read as shares' }, order.map((index) => h('li', {},
    h('span', { class: 'name' }, read.labels[index]),
    read.floats ? h('meter', { min: 0, max: 1, value: shares[index] / whole, 'aria-label': read.labels[index] }) : null,
    h('span', { class: 'share' }, read.floats ? percent(shares[index] / whole) : String(values[index])))));
}

/** What was answered without a proof that holds: said, and not shown as an answer. */
function unproven(told, found) {
  const label = told.outputs?.find?.((output) => output.name?.endsWith(':label'))?.data;
  return h('details', { class: 'unproven' },
    h('summary', {}, found.verdict === 'rejected' ? 'What the service claimed' : 'What the service says'),
    h('p', {}, 'Not proven here: ', h('q', {}, String(label ?? JSON.stringify(told.outputs?.[0]?.data ?? '')).slice(0, 200))));
}

/** The address of a model's card. */
const cardAddress = ({ name, version }) => `/models/${encodeURIComponent(name)}?version=${encodeURIComponent(version)}`;

function changed(found, checked, detail) {
  return found.code === 'package-not-pinned' ? otherPackage(checked.pinned, detail) : null;
}

/** The package that is served is another one than this browser holds the service to: the person decides. */
export function otherPackage(pinned, detail) {
  if (!pinned || pinned.digest === detail.package_digest) return null;
  return h('div', { class: 'notice' },
    h('p', {}, pinned.own
      ? 'You pinned another package under this name and version than the one that is served here. Its answers get no mark.'
      : 'Under this name and version the service showed this browser another package before. A package never changes: either the operator replaced it, or somebody is between you and the service.'),
    h('p', {}, pinned.own ? 'Pinned: ' : 'Before: ', digest(pinned.digest, 'earlier digest')),
    h('p', {}, 'Now: ', digest(detail.package_digest, 'present digest')),
    h('button', {
      type: 'button', class: 'quiet',
      onclick: (event) => {
        memory.repin(detail.name, detail.version, detail.package_digest, false);
        event.target.replaceWith('This browser holds the service to the new package from now on. Ask again.');
      },
    }, 'I checked: accept the new package'));
}

/** The steps of a question. */
class Progress {
  constructor() {
    this.items = new Map(STEPS.map(([step, , text]) => [step, {
      text,
      time: h('span', { class: 'time' }),
      item: h('li', { 'data-step': step }),
    }]));
    for (const { item, text, time } of this.items.values()) item.append(h('span', {}, text), time);
    this.live = h('p', { class: 'hidden', role: 'status', 'aria-live': 'polite' });
    this.element = h('div', { class: 'progress' },
      h('ol', {}, [...this.items.values()].map(({ item }) => item)), this.live);
    this.now = undefined;
    this.step({ step: 'queued', ahead: 0 });
  }

  step({ step, ahead }) {
    const entry = this.items.get(step);
    if (!entry) return;
    let before = true;
    for (const [name, { item }] of this.items) {
      if (name === step) before = false;
      item.className = before ? 'done' : name === step ? 'now' : '';
      if (name === step) item.setAttribute('aria-current', 'step');
      else item.removeAttribute('aria-current');
    }
    if (ahead > 0) entry.time.textContent = `${ahead} before you`;
    this.live.textContent = entry.text;
    if (step === 'browser') this.began = performance.now();
  }

  /** Writes what each part took. */
  timed(timing) {
    for (const [step, part] of STEPS) {
      if (timing[part] !== undefined) this.items.get(step).time.textContent = ms(timing[part]);
    }
  }

  done(found) {
    const { item, time } = this.items.get('browser');
    item.className = found.verdict === 'accepted' ? 'done' : 'failed';
    item.removeAttribute('aria-current');
    time.textContent = ms(performance.now() - this.began);
    this.live.textContent = found.verdict === 'accepted'
      ? 'Verified in this browser.' : `No mark: ${found.verdict}, ${found.code}.`;
  }
}

function explanation() {
  return h('section', { class: 'columns', 'aria-label': 'What the mark means' },
    h('div', {}, h('h2', {}, 'What the mark says'), h('p', {}, 'The integer model with this digest, run by ONNX Runtime, gives exactly these outputs for exactly these inputs. Not an approximation of it, and not because the service says so: without the secret of the key’s making, nobody can prove anything else.')),
    h('div', {}, h('h2', {}, 'What it does not say'), h('p', {}, 'That the model is right, fair or fit for a purpose; that an input is true; when it was proven. And for a key that one machine made, that nobody kept its secret. Each receipt lists what is not proven.')),
    h('div', {}, h('h2', {}, 'Whom you trust'), h('p', {}, 'For the arithmetic: nobody. For what the mark stands for: the package digest, which you take from a source of your own, or which this browser remembers from the first time. The public log keeps the service from telling different stories.')));
}
