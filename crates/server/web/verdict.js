// The mark, and what is said beside it. The mark is struck for a verdict `accepted` of the verifier in this
// browser, and for nothing else.

import { digest, facts, h, ms, sentence, sentences, svg, utc } from './dom.js';

/** The verifier's checks in words: what was done, and what it means when it was not. */
const CHECKS = {
  package: ['Model', 'the model, circuit and key are those of the pinned package', ''],
  statement: ['Statement', 'inputs and outputs are those that the proof speaks of', ''],
  proof: ['Proof', 'the proof is valid: this model gives these outputs for these inputs', ''],
  freshness: ['Your question', 'the proof was made for this very question and is no older one', 'that this receipt was made for a question of yours: it can be shown again and again'],
  signature: ['Signature', 'the receipt is signed, and unchanged since', ''],
  signer: ['Service', 'it was signed by the key that this service published', ''],
  deadline: ['Deadline', 'a deadline, where the receipt has one, has not passed', ''],
  openings: ['Values', 'no value is hidden behind a commitment that was not compared', ''],
  'log-inclusion': ['Log', 'the receipt is in the public log, which cannot drop it unseen', 'that the receipt is in the public log: nothing that shows it was at hand'],
  witnesses: ['Witnesses', 'independent witnesses saw the same log', ''],
  revocations: ['Revocations', 'nothing that it rests on was revoked, as far as the log goes', ''],
  attestations: ['Auditor', 'an auditor whom you named attests the package', ''],
};

/** Struck one by one, beside the mark. */
const PUNCHES = ['proof', 'package', 'freshness', 'signature', 'log-inclusion', 'revocations'];

/** The mark itself: an octagon as a proof house strikes it, with a P. */
function seal(state) {
  const name = { accepted: 'Proof mark: verified in this browser', rejected: 'No proof mark: rejected' }[state] ?? 'No proof mark yet';
  return svg('svg', { class: `seal ${state}`, viewBox: '0 0 120 120', role: 'img', 'aria-label': name },
    svg('path', { class: 'body', d: 'M38 4h44l34 34v44l-34 34H38L4 82V38z' }),
    svg('path', { class: 'rim', d: 'M41.500 12.500h37l29 29v37l-29 29h-37l-29-29v-37z' }),
    state === 'rejected'
      ? svg('path', { class: 'glyph', d: 'M42 42l36 36M78 42L42 78' })
      : svg('path', { class: 'glyph', d: 'M47 88V34h20a15.500 15.500 0 0 1 0 31H47' }));
}

/** One check as a small punch: struck, left out, or unknown. */
function punch(check, struck, order) {
  const [name] = CHECKS[check];
  const state = struck ? 'struck' : 'blank';
  return h('li', { class: `punch ${state}`, 'data-order': order },
    svg('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' },
      svg('path', { class: 'shape', d: 'M7.500 1.500h9l6 6v9l-6 6h-9l-6-6v-9z' }),
      struck ? svg('path', { class: 'tick', d: 'M7 12.500l3.500 3.500L17 8.500' }) : null),
    h('span', {}, name, h('span', { class: 'hidden' }, struck ? ': checked' : ': not checked')));
}

/** Before there is anything to say, and while it is found out. */
export function waiting(title, text) {
  return h('section', { class: 'verdict none', 'data-verdict': 'none' },
    seal('none'), h('div', {}, h('h3', {}, title), h('p', {}, text)));
}

const REJECTED = {
  title: 'No mark: do not rely on this',
  text: 'This browser checked it, and something does not hold.',
};
const UNAVAILABLE = {
  title: 'No mark: not checked',
  text: 'This browser could not check the proof. That says nothing for or against the answer.',
};

/** What the verifier said; `answer` is shown only beside a mark. */
export function verdict(found, answer) {
  if (found.verdict !== 'accepted') return refused(found);
  const made = new Set(found.checked);
  const open = (found.not_checked ?? []).map((check) => CHECKS[check]?.[2]).filter(Boolean);
  const done = (found.checked ?? []).map((check) => CHECKS[check]?.[1]).filter(Boolean);
  return h('section', { class: 'verdict accepted', 'data-verdict': 'accepted', 'data-code': 'verified' },
    seal('accepted'),
    h('div', { class: 'said-by' },
      h('h3', {}, 'Verified in this browser'),
      answer ?? null,
      h('p', { class: 'small' }, `${made.size} checks in ${ms(found.ms)}; no word of the service is taken for them.`)),
    h('ul', { class: 'punches', 'aria-label': 'Checks' }, PUNCHES.map((check, order) => punch(check, made.has(check), order))),
    h('div', { class: 'halves' },
      h('details', {}, h('summary', {}, `What was checked (${done.length})`), sentences(done.map(sentence), 'yes')),
      h('div', {}, h('h4', {}, 'Not proven'),
        sentences([...(found.not_proven ?? []), ...open].map(plain), 'no'))));
}

/** Something that is not there to be shown; no proof was in question. */
export const missing = (found) => refused(found, {
  title: 'Nothing to show here',
  text: 'The service did not give what this page is made of.',
});

/** A verdict that is no acceptance. */
export function refused(found, otherwise = UNAVAILABLE) {
  const rejected = found.verdict === 'rejected';
  const words = rejected ? REJECTED : otherwise;
  const state = rejected ? 'rejected' : 'unavailable';
  return h('section', { class: `verdict ${state}`, 'data-verdict': state, 'data-code': found.code },
    seal(state),
    h('div', {},
      h('h3', {}, words.title),
      h('p', {}, words.text),
      facts([
        ['Code', h('code', {}, found.code ?? 'unknown')],
        ['Reason', sentence(found.detail ?? 'no reason was given')],
      ])));
}

/** The verifier's sentences name options of its command line; a page has none. */
function plain(text) {
  return sentence(text
    .replace(', but its key was not given with --service-key', ', but whose key it is nobody vouched for')
    .replace(': give the whole log with --log to know', ': this browser did not read the whole log')
    .replace('the service that you pinned says so', 'the service says so, under the key that this browser knows')
    .replace('no witness that you pinned cosigned', 'no witness whose key you gave this browser cosigned'));
}

/** How a key was made, said plainly. */
export function setupInWords(kind, contributions) {
  if (kind === 'ceremony') {
    const many = contributions === undefined ? 'several parties' : `${contributions} contributor${contributions === 1 ? '' : 's'}`;
    return `A ceremony made this key: ${many}, after the public first phase. Whoever wants to forge needs the secrets of all of them; one who forgot theirs is enough.`;
  }
  return 'One machine made this key. Whoever kept its secret could forge proofs for this model; the software wipes it, and you have the operator’s word for that.';
}

/** The details of a receipt that was accepted. */
export function details(report) {
  const { context } = report;
  return facts([
    ['Model', `${report.model.name}, version ${report.model.version}`],
    ['Package', digest(report.package_digest, 'package digest')],
    ['Integer model', digest(report.model.integer_model, 'digest of the integer model')],
    ['Circuit', digest(report.circuit, 'digest of the circuit')],
    ['Receipt', digest(report.receipt_id, 'identifier of the receipt')],
    ['Statement', digest(report.statement_digest, 'digest of the statement')],
    ['Proof', report.proof_bytes ? `Groth16 over BN254, ${report.proof_bytes} bytes` : null],
    ['Runtime', `ONNX Runtime ${report.runtime.onnxruntime}, integers only`],
    ['Nonce', context ? digest(context.nonce, 'nonce') : null],
    ['Consumer', context && BigInt(context.chainId) !== 0n
      ? `contract ${context.consumer} on chain ${BigInt(context.chainId)}` : null],
    ['Deadline', context && Number(context.deadline) !== 0 ? utc(context.deadline) : null],
    ['Signed by', digest(report.signature.key_id, 'key identifier')],
    ['Log', report.log ? `entry number ${report.log.index} of ${report.log.size}, counted from 0` : null],
  ]);
}
