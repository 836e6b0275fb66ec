// Model cards: what a model is, how good it is, what its proofs cost, and how its keys came about.

import * as api from './api.js';
import { failed, servedPackage } from './check.js';
import { bytes, digest, facts, h, link, ms, percent, sentence, sentences, show, utc } from './dom.js';
import { otherPackage, pinLine } from './playground.js';
import * as memory from './memory.js';
import { refused, setupInWords } from './verdict.js';

/** All models. */
export async function models(main) {
  const list = h('div', { class: 'cards' }, h('p', {}, 'Asking for the models …'));
  show(main, h('h1', {}, 'Models'),
    h('p', { class: 'lead' }, 'Every model here is an ordinary ONNX file of integers, fixed by its digest. What is served is what is proven.'), list);
  const served = await api.models();
  const cards = await Promise.all(served.map(async (model) => overview(await api.model(model.name, model.version))));
  show(list, cards.length > 0 ? cards : h('p', {}, 'This service serves no model.'));
}

function overview(model) {
  const { manifest, card } = model;
  return h('article', { class: 'card' },
    h('h2', {}, link(`/models/${encodeURIComponent(model.name)}?version=${encodeURIComponent(model.version)}`, card?.title ?? model.name)),
    h('p', { class: 'small' }, h('code', {}, model.name), ` version ${model.version}`),
    h('p', {}, card?.about?.[0] ?? manifest.description),
    facts([
      ['Accuracy', accuracyInShort(manifest.validation)],
      ['A proof', cost(model)],
      ['Keys', model.setup_kind === 'ceremony' ? 'made in a ceremony' : 'made by one machine'],
    ]));
}

function accuracyInShort(validation) {
  if (typeof validation.integer_accuracy !== 'number') return 'not measured';
  const same = validation.integer_accuracy === validation.float_accuracy;
  return same
    ? `${percent(validation.integer_accuracy)}, as the float model`
    : `${percent(validation.integer_accuracy)} (float model ${percent(validation.float_accuracy)})`;
}

function cost(model) {
  const size = model.manifest.compiler.backend === 'groth16' ? 256 : 320;
  return model.proof_times ? `about ${ms(model.proof_times.median_ms)}, ${size} bytes` : `${size} bytes; none made since the start`;
}

/** One model. */
export async function model(main, name) {
  show(main, h('p', {}, 'Asking for the model …'));
  const version = new URLSearchParams(location.search).get('version') ?? undefined;
  const listed = (await api.models()).filter((one) => one.name === name && (version === undefined || one.version === version));
  const wanted = listed.at(-1);
  if (!wanted) throw new api.Refused('model-unknown', `no model “${name}” is served here`);
  const detail = await api.model(wanted.name, wanted.version);
  const [attested, keys] = await Promise.all([api.attestations(wanted.name, wanted.version), contributions(detail)]);
  const { card } = detail;
  // What the card says of the package is the pinned manifest's word, once this browser has held it to its digest.
  const held = memory.pin(detail.name, detail.version, detail.package_digest);
  const own = await servedPackage(detail, held.digest);
  const manifest = own.manifest ?? detail.manifest;
  show(main,
    h('p', { class: 'crumb' }, link('/models', 'Models'), ' / ', h('code', {}, detail.name)),
    h('h1', {}, card?.title ?? detail.name),
    (card?.about ?? [manifest.description]).map((text) => h('p', { class: 'lead' }, text)),
    own.manifest ? null : [refused(own.found), otherPackage(held, detail)],
    h('p', {}, h('a', { class: 'button primary', href: `/?model=${encodeURIComponent(detail.name)}`, 'data-link': true }, 'Try it')),
    h('div', { class: 'sheet' },
      section('How good it is', accuracy(manifest.validation)),
      section('What a proof costs', costs(detail)),
      section('How the keys were made',
        h('p', {}, setupInWords(detail.setup_kind, keys.count)),
        keys.names.length > 0 ? h('ol', {}, keys.names.map((one) => h('li', {}, one))) : null,
        h('p', { class: 'small' }, keys.said)),
      section('What goes in and comes out', tensors(manifest)),
      section('What it is not good for', sentences([
        ...(card?.limits ?? []),
        'A proof says what the model computed, not that the model is right.',
      ].map(sentence), 'no'), card ? h('p', { class: 'small' }, 'Title, description and limits are the operator’s own words; nothing proves them.') : null),
      section('Who audited it', attested.length === 0
        ? h('p', {}, 'No auditor’s attestation is published here.')
        : h('ul', {}, attested.map((one) => h('li', {}, `Attested ${utc(one.audited_at)} by the key `, digest(one.auditor_key_id, 'auditor’s key'),
          h('span', { class: 'small' }, ' Whether you trust it is for you to say; proofmark-verify checks it.'))))),
      wide('Digests', pinLine(held),
        own.manifest ? h('p', { class: 'small', 'data-held': true }, 'This browser checked that manifest and verifying key belong to that digest; the figures above are the manifest’s.') : null, facts([
        ['Package (pin this)', digest(detail.package_digest, 'package digest')],
        ['Integer model', digest(detail.model_digest, 'digest of the integer model')],
        ['Circuit', digest(detail.circuit_digest, 'digest of the circuit')],
        ['Verifying key', digest(detail.verifying_key_digest, 'digest of the verifying key')],
        ['Setup transcript', digest(manifest.sealed.transcript.digest, 'digest of the transcript')],
        ['Proving key', digest(manifest.sealed.proving_key.digest, 'digest of the proving key')],
      ]), ownPin(detail)),
      wide('Files', h('p', { class: 'row' },
        file(`/v1/models/${encodeURIComponent(name)}/manifest?version=${encodeURIComponent(detail.version)}`, 'manifest.json'),
        file(`/v1/models/${encodeURIComponent(name)}/verifying-key?version=${encodeURIComponent(detail.version)}`, 'verifying_key.bin'),
        file(`/v1/models/${encodeURIComponent(name)}/transcript?version=${encodeURIComponent(detail.version)}`, 'transcript.json')),
      h('p', { class: 'small' }, `Licence: ${manifest.licence || 'not stated'}`))));
}

/** Holds the service to a digest that the person has from elsewhere. */
function ownPin(detail) {
  const pin = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', name: 'pin' });
  const said = h('p', { role: 'status' });
  return h('details', {}, h('summary', {}, 'Pin a digest from a source of your own'), h('form', {
    onsubmit: (event) => {
      event.preventDefault();
      const value = pin.value.trim().toLowerCase();
      if (!/^sha256:[0-9a-f]{64}$/.test(value)) {
        said.textContent = 'A package digest is sha256: and 64 hex digits.';
        pin.focus();
        return;
      }
      memory.repin(detail.name, detail.version, value, true);
      said.textContent = value === detail.package_digest
        ? 'Pinned. It is the digest of the package that is served here.'
        : 'Pinned. The package that is served here has another digest: its answers get no mark.';
    },
  }, h('label', {}, 'Package digest', pin), h('button', { type: 'submit', class: 'button quiet' }, 'Pin'), said));
}

const file = (href, name) => h('a', { href, download: name, class: 'button quiet' }, name);

function section(title, ...content) {
  return h('section', {}, h('h2', {}, title), content);
}

/** A section as wide as the sheet. */
function wide(title, ...content) {
  return h('section', { class: 'wide' }, h('h2', {}, title), content);
}

/** Who contributed to the keys, from the transcript, which must be the manifest's. */
async function contributions(detail) {
  const none = { count: undefined, names: [] };
  try {
    const bytes = await api.transcript(detail.name, detail.version);
    const transcript = JSON.parse(new TextDecoder().decode(bytes));
    const own = await sha256(bytes);
    if (own !== undefined && own !== detail.manifest.sealed.transcript.digest) {
      return { ...none, said: 'The transcript that this service shows is not the one that the manifest names: do not rely on it.' };
    }
    const fits = own === undefined
      ? 'This browser computes digests on pages with TLS only, so it did not compare the transcript’s.'
      : 'The transcript has the digest that the manifest names.';
    const list = transcript.ceremony?.contributions ?? [];
    return {
      count: transcript.ceremony ? list.length : undefined,
      names: list.map((one) => one.name || 'without a name'),
      said: transcript.ceremony
        ? `${fits} That each contribution follows from the one before, proofmark ceremony verify checks.`
        : `${fits} It is its maker’s word and no more.`,
    };
  } catch (error) {
    return { ...none, said: `No transcript: ${failed(error).detail}` };
  }
}

/** SHA-256 as the manifest writes it; `undefined` where the browser has none. */
async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return undefined;
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return `sha256:${Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

function accuracy(validation) {
  const rows = [
    ['Float model', number(validation.float_accuracy)],
    ['Integer model (served and proven)', number(validation.integer_accuracy)],
    ['Same answer of both', number(validation.agreement)],
  ].filter(([, value]) => value !== undefined);
  if (rows.length === 0) return h('p', {}, 'The importer had no labelled samples, so nothing was measured.');
  return [
    h('dl', { class: 'figures' }, rows.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value)))),
    h('p', { class: 'small' }, `Measured at import on ${validation.checked_samples.toLocaleString('en')} samples that neither training nor calibration saw, with ${validation.calibration_samples.toLocaleString('en')} for calibration. The manifest says so; an audit measures again.`),
    validation.notes?.length > 0 ? sentences(validation.notes) : null,
  ];
}

const number = (share) => (typeof share === 'number' ? percent(share) : undefined);

function costs(detail) {
  const { circuit } = detail.manifest.sealed;
  const plain = detail.manifest.compiler.backend === 'groth16';
  const times = detail.proof_times;
  return [
    h('dl', { class: 'figures' }, [
      ['Time here', times ? ms(times.median_ms) : '–'],
      ['Size', `${plain ? 256 : 320} bytes`],
      ['Constraints', circuit.constraints.toLocaleString('en')],
      ['Public inputs', circuit.public_inputs.toLocaleString('en')],
    ].map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value)))),
    h('p', { class: 'small' }, times
      ? `${times.proofs === 1 ? 'The one proof that was made since the start took that long' : `Half of the latest ${times.proofs} proofs on this machine took less`}, from the model’s run to the checked proof; the longest took ${ms(times.longest_ms)}.`
      : 'No proof of this model was made since the service started.',
    ` ${plain ? 'Plain Groth16, which every verifier of it takes.' : 'Groth16 with one commitment: faster to make, 64 bytes longer.'}`,
    ` The key that makes proofs has ${bytes(detail.manifest.sealed.proving_key.bytes)}.`),
  ];
}

const VISIBILITY = {
  public: 'everyone who holds the receipt reads it',
  hashed: 'the receipt holds a digest; who can guess the values can check the guess',
  private: 'the receipt holds a salted commitment; only its owner can open it',
};

function tensors(manifest) {
  const row = (kind) => (spec) => h('tr', {},
    h('td', {}, kind), h('th', { scope: 'row' }, h('code', {}, spec.name)),
    h('td', {}, `${spec.elem} [${spec.shape.join(' × ')}]`), h('td', {}, VISIBILITY[spec.visibility]));
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Inputs and outputs' }, h('table', {},
    h('thead', {}, h('tr', {}, ['', 'Name', 'Integers', 'Who sees it'].map((text) => h('th', { scope: 'col' }, text)))),
    h('tbody', {}, manifest.inputs.map(row('in')), manifest.outputs.map(row('out')))));
}
