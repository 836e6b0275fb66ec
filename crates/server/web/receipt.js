// Receipts: by their identifier, or as files that were opened or dropped; verified in this browser.

import * as api from './api.js';
import { check, claims, failed } from './check.js';
import { announce, digest, download, facts, h, show, utc } from './dom.js';
import { shown } from './inputs.js';
import { logFiles } from './history.js';
import * as memory from './memory.js';
import { answerOf, pinLine } from './playground.js';
import { dequantizeInput } from './tensors.js';
import { details, refused, setupInWords, verdict, waiting } from './verdict.js';

/** Largest file that is read: the verifier takes no larger receipt. */
const LARGEST = 64 << 20;

/** The page without a receipt: how to bring one. */
export function receiptDoor(main) {
  const space = h('div', { class: 'result' });
  const problem = h('p', { class: 'error', role: 'alert' });
  const id = h('input', { type: 'text', name: 'id', autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'id-help' });
  const files = h('input', {
    type: 'file', multiple: true, class: 'hidden-file',
    onchange: () => {
      const chosen = [...files.files];
      files.value = ''; // the same file may be chosen again
      if (chosen.length > 0) dropped(space, chosen);
    },
  });
  show(main,
    h('h1', {}, 'Verify a receipt'),
    h('p', { class: 'lead' }, 'A receipt is the portable record of one answer with its proof. Open one, or drop it anywhere on this page: it is checked here, in your browser, and is sent nowhere.'),
    h('div', { class: 'doors' },
      h('section', { class: 'card' }, h('h2', {}, 'From a file'),
        h('p', {}, 'The receipt; with it, if you have them, its ', h('code', {}, '.tlog-proof'), ', and the package’s ', h('code', {}, 'manifest.json'), ' and ', h('code', {}, 'verifying_key.bin'), '.'),
        h('label', { class: 'button primary' }, 'Choose files', files)),
      h('form', {
        class: 'card',
        onsubmit: (event) => {
          event.preventDefault();
          const digits = id.value.trim().replace(/^sha256:/, '').toLowerCase();
          if (!/^[0-9a-f]{64}$/.test(digits)) {
            problem.textContent = 'An identifier is sha256: and 64 hex digits.';
            id.focus();
            return;
          }
          history.pushState(null, '', `/receipt/${digits}`);
          dispatchEvent(new PopStateEvent('popstate'));
        },
      }, h('h2', {}, 'By its identifier'),
      h('label', {}, 'Identifier', id),
      h('p', { class: 'small', id: 'id-help' }, 'sha256: and 64 hex digits, as the answer named it.'),
      h('button', { type: 'submit', class: 'button' }, 'Show'), problem)),
    space);
  return space;
}

/** A receipt that this service stores. */
export async function receiptById(main, id) {
  const space = h('div', { class: 'result' }, waiting('Fetching the receipt …', ''));
  show(main, h('h1', {}, 'Receipt'), space);
  try {
    const [receipt, tlogProof, files] = await Promise.all([
      api.receipt(id), api.tlogProof(id, memory.witnesses().length > 0), logFiles().catch(() => undefined),
    ]);
    await examine(space, { receipt, tlogProof, files, id });
  } catch (error) {
    refuse(space, failed(error));
  }
}

/** What a file is, by its content. */
async function kindOf(file) {
  if (file.size > LARGEST) return ['large'];
  const bytes = new Uint8Array(await file.arrayBuffer());
  const head = new TextDecoder('utf-8').decode(bytes.slice(0, 64));
  if (head.startsWith('proofmark/vk')) return ['verifyingKey', bytes];
  if (head.startsWith('c2sp.org/tlog-proof')) return ['tlogProof', new TextDecoder().decode(bytes)];
  try {
    const content = JSON.parse(new TextDecoder().decode(bytes));
    if (content?.format === 'proofmark/package/v1') return ['manifest', bytes];
    if (typeof content?.payload === 'string') return ['receipt', bytes];
    // A whole answer of the service: the receipt in it is what counts.
    if (typeof content?.receipt?.payload === 'string') return ['receipt', new TextEncoder().encode(JSON.stringify(content.receipt)), content.tlog_proof];
  } catch {
    return ['unknown', bytes];
  }
  return ['unknown', bytes];
}

const unread = (code, detail) => ({ verdict: 'unavailable', code, detail });

/** Most files at once: nobody has more of one receipt. */
const MOST = 8;

/** The parts among files, or the verdict on files that cannot be taken together: nothing is left out unsaid. */
async function partsOf(files) {
  if (files.length > MOST) return { refusal: unread('parameter-invalid', `these are ${files.length} files; bring one receipt with what belongs to it`) };
  const parts = {};
  for (const file of files) {
    const [kind, content, proof] = await kindOf(file);
    if (kind === 'large') return { refusal: unread('parameter-invalid', `“${file.name}” has more than ${LARGEST >> 20} MB, more than any receipt`) };
    if (parts[kind] !== undefined) {
      return { refusal: unread('parameter-invalid', kind === 'receipt' ? 'there are two receipts among these files; bring one at a time' : 'two of these files are the same part') };
    }
    parts[kind] = content;
    if (proof !== undefined) parts.inside = proof;
  }
  if (!parts.receipt) {
    return { refusal: parts.unknown
      ? { verdict: 'rejected', code: 'receipt-malformed', detail: 'this is no receipt, or it was damaged' }
      : unread('receipt-missing', 'there is no receipt among these files') };
  }
  if (parts.unknown) return { refusal: unread('parameter-invalid', 'one of these files is damaged, or does not belong to a receipt; leave it out') };
  if ((parts.manifest === undefined) !== (parts.verifyingKey === undefined)) {
    return { refusal: unread('parameter-invalid', 'manifest.json and verifying_key.bin belong together; bring both or neither') };
  }
  return { receipt: parts.receipt, tlogProof: parts.tlogProof ?? parts.inside, given: parts.manifest ? { manifest: parts.manifest, verifyingKey: parts.verifyingKey } : {} };
}

/** Files that were opened or dropped. */
export async function dropped(whole, files) {
  // What came before writes into an element that is not shown any more.
  const space = h('div', {}, waiting('Checking …', 'The files stay in this browser.'));
  show(whole, space);
  try {
    const { refusal, ...parts } = await partsOf(files);
    if (refusal) refuse(space, refusal);
    else await examine(space, { ...parts, files: await logFiles().catch(() => undefined) });
  } catch (error) {
    refuse(space, failed(error));
  }
}

function refuse(space, found, ...more) {
  show(space, refused(found), more);
  if (space.isConnected) announce(`No mark: ${found.verdict}, ${found.code}.`);
}

async function examine(space, { receipt, tlogProof, files, id, given = {} }) {
  show(space, waiting('Checking …', 'Your browser verifies the proof.'));
  if (given.manifest) return pinned(space, { receipt, tlogProof, given });
  const checked = await check({ receipt, tlogProof, files });
  return settle(space, checked, { receipt, tlogProof, id });
}

/** A package that came as files proves only itself: its digest must come from the person. */
function pinned(whole, { receipt, tlogProof, given }) {
  const problem = h('p', { class: 'error', role: 'alert' });
  const pin = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', name: 'pin' });
  show(whole, h('form', {
    class: 'card',
    onsubmit: async (event) => {
      event.preventDefault();
      const value = pin.value.trim().toLowerCase();
      if (!/^sha256:[0-9a-f]{64}$/.test(value)) {
        problem.textContent = 'A package digest is sha256: and 64 hex digits.';
        pin.focus();
        return;
      }
      const space = h('div', {}, waiting('Checking …', 'Your browser verifies the proof.'));
      show(whole, space);
      try {
        await settle(space, await check({ receipt, tlogProof, given: { ...given, pin: value } }), { receipt, tlogProof });
      } catch (error) {
        refuse(space, failed(error));
      }
    },
  }, h('h2', {}, 'Which package do you trust?'),
  h('p', {}, 'You brought the package’s files along. A package proves only itself, so take its digest from a source that you trust, and not from these files.'),
  h('label', {}, 'Package digest', pin), h('button', { type: 'submit', class: 'button primary' }, 'Verify'), problem));
  pin.focus();
}

async function settle(space, { found, manifest, pinned: held }, { receipt, tlogProof, id }) {
  if (found.verdict !== 'accepted') {
    refuse(space, found, unchecked(receipt));
    return;
  }
  if (id !== undefined && found.receipt_id !== `sha256:${id.replace(/^sha256:/, '')}`) {
    refuse(space, { verdict: 'rejected', code: 'receipt-unknown', detail: 'the service gave another receipt than the one asked for' });
    return;
  }
  const digits = found.receipt_id.replace(/^sha256:/, '');
  const card = await cardOf(found.model);
  if (space.isConnected) announce('Verified in this browser.');
  show(space,
    verdict(found, answerOf(found, manifest, card)),
    h('div', { class: 'row after' },
      download(`${digits.slice(0, 12)}.receipt.json`, receipt, 'application/json', 'Save the receipt'),
      tlogProof ? download(`${digits.slice(0, 12)}.tlog-proof`, tlogProof, 'text/plain', 'Save the log’s proof') : null,
      h('button', { type: 'button', class: 'quiet', onclick: () => print() }, 'Print')),
    pinLine(held, found.model),
    h('div', { class: 'sheet' },
      h('section', {}, h('h2', {}, 'What went in'), found.inputs.map((record) => tensor(record, manifest.inputs.find((spec) => spec.name === record.name), card))),
      h('section', {}, h('h2', {}, 'What came out'), found.outputs.map((record) => tensor(record, manifest.outputs.find((spec) => spec.name === record.name)))),
      h('section', {}, h('h2', {}, 'When, and by whom'), facts([
        ['Proven', `${utc(found.proved_at)}, as the signer says`],
        ['Signed by', digest(found.signature.key_id, 'key identifier')],
        ['Logged', found.log ? `entry number ${found.log.index} of ${found.log.size}, counted from 0, in ${found.log.origin}` : 'not checked: nothing that shows it was at hand'],
        ['Witnesses', found.log?.cosigned?.length > 0 ? found.log.cosigned.map((one) => `${one.witness}, ${utc(one.time)}`).join('; ') : null],
        ['Advised', found.log?.advisories?.length > 0 ? found.log.advisories.join('; ') : null],
      ])),
      h('section', {}, h('h2', {}, 'How the keys were made'), h('p', {}, setupInWords(found.setup))),
      h('section', { class: 'wide' }, h('h2', {}, 'Everything that it names'), details(found))));
}

/** How the operator shows the model, where it serves it; only names and looks come from there. */
async function cardOf({ name, version }) {
  try {
    return (await api.model(name, version)).card ?? undefined;
  } catch {
    return undefined; // the receipt is as good without
  }
}

function tensor(record, spec, card) {
  const head = h('h3', {}, h('code', {}, record.name), ' ', h('small', {}, `${record.elem} [${record.shape.join(' × ')}], ${record.visibility}`));
  if (!record.values) {
    return h('div', { class: 'tensor' }, head, h('p', {}, 'Hidden. The receipt holds a commitment: ', digest(record.commitment, 'commitment')));
  }
  const values = spec.quantizer ? dequantizeInput(record.values, spec) : record.values;
  const picture = spec.quantizer && square(spec, values);
  const form = card?.inputs?.[spec.name] ?? (picture ? { image: picture } : undefined);
  return h('div', { class: 'tensor' }, head, shown(values, spec, form ? { inputs: { [spec.name]: form } } : undefined),
    spec.quantizer ? h('p', { class: 'small' }, 'Shown as the values that the integers stand for; the integers are what is proven.') : null);
}

/** A square of pixels is easier to look at than to read. */
function square(spec, values) {
  const elements = spec.shape.reduce((product, dimension) => product * dimension, 1);
  const side = Math.sqrt(elements);
  if (!Number.isInteger(side) || side < 8 || spec.quantizer.axis !== null) return undefined;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return { width: side, height: side, low, high: high > low ? high : low + 1 };
}

/** What a receipt that was not accepted says of itself, clearly as that. */
function unchecked(receipt) {
  const predicate = claims(receipt);
  if (!predicate) return null;
  return h('details', { class: 'unproven' }, h('summary', {}, 'What it says of itself (not proven)'),
    facts([
      ['Model', `${predicate.model?.name}, version ${predicate.model?.version}`],
      ['Package', digest(predicate.package, 'package digest')],
      ['Time', Number.isSafeInteger(predicate.timing?.provedAt) ? utc(predicate.timing.provedAt) : null],
    ]));
}
