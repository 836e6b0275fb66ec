// The log's page: how far it has come, who saw it, and whether it still says what it said before.

import { digest, download, facts, h, sentence, show, utc } from './dom.js';
import { cosigned, noWitness, watch } from './history.js';
import * as memory from './memory.js';

const WORDS = {
  first: ['seen', 'Seen for the first time', 'This browser keeps the log’s head from now on. At the next visit the log has to show that it goes on from it.'],
  consistent: ['good', 'The log only grew', 'It goes on from the head that this browser kept: nothing that was in it was changed or taken out.'],
  empty: ['seen', 'Nothing is logged yet', 'The first answer makes the first entry.'],
  unavailable: ['unsure', 'Not checked', 'This browser could not check the log. The head that it kept stays.'],
  alarm: ['bad', 'The log changed its history', 'What this log shows does not go on from what it showed this browser before. The head that was kept and the one that is shown now are the evidence: save both. Do not rely on answers of this service before you know why.'],
};

/** The page. */
export async function logPage(main) {
  const space = h('div', {}, h('p', {}, 'Reading the log …'));
  show(main,
    h('h1', {}, 'The public log'),
    h('p', { class: 'lead' }, 'Every receipt is in this log before its answer leaves. The log can only be added to; whoever keeps an old head of it, as this browser does, notices when something is changed or taken out.'),
    space);
  const found = await watch();
  const seen = await cosigned(found.kept).catch(() => undefined);
  show(space, state(found), heads(found, seen), lookup(), found.kept ? witnesses(found.kept, () => logPage(main)) : null);
}

function state(found) {
  const [kind, title, text] = WORDS[found.state];
  return h('section', { class: `state ${kind}`, 'data-log': found.state, 'data-code': found.code },
    h('h2', {}, title), h('p', {}, text),
    found.code ? facts([['Code', h('code', {}, found.code)], ['Reason', sentence(found.detail ?? '')]]) : null,
    found.state === 'alarm' ? afterAlarm(found) : null);
}

function afterAlarm({ kept, code, detail, shown, at }) {
  const evidence = JSON.stringify({ kept: kept?.note, key: kept?.key, shown, code, detail, at }, null, 2);
  return [h('div', { class: 'row' }, download('log-evidence.json', evidence, 'application/json', 'Save the evidence')),
    h('details', {}, h('summary', {}, 'I know why, and want to start again'),
    h('p', {}, 'This browser then forgets the old head and takes the log as it is now. Save the evidence first.'),
    h('button', {
      type: 'button', class: 'quiet danger',
      onclick: () => {
        memory.forgetLog();
        location.reload();
      },
    }, 'Forget the old head'))];
}

function heads(found, seen) {
  const { kept, head, before } = found;
  const note = (label, text) => (text ? h('details', {}, h('summary', {}, label), h('pre', {}, text)) : null);
  return h('div', { class: 'sheet' },
    head ? h('section', {}, h('h2', {}, 'Head now'),
      h('dl', { class: 'figures' },
        h('div', {}, h('dt', {}, 'Entries'), h('dd', { 'data-size': head.size }, head.size.toLocaleString('en'))),
        before ? h('div', {}, h('dt', {}, 'New since the last visit'), h('dd', {}, (head.size - before.size).toLocaleString('en'))) : null),
      facts([
        ['Name', h('code', {}, head.origin)],
        ['Root', digest(head.root, 'root of the log')],
        ['Key', digest(head.key, 'key of the log')],
        ['Service key', head.serviceKey ? digest(head.serviceKey, 'key of the service') : null],
      ]), note('Signed checkpoint', head.note)) : null,
    kept && (found.state === 'alarm' || found.state === 'unavailable') ? h('section', {}, h('h2', {}, 'Head that this browser kept'),
      facts([
        ['Entries', h('span', { 'data-kept': kept.size }, kept.size.toLocaleString('en'))],
        ['Root', digest(kept.root, 'kept root')],
        ['Seen', utc(kept.seen)],
      ]), note('Signed checkpoint', kept.note)) : null,
    found.state === 'alarm' && found.shown ? h('section', {}, h('h2', {}, 'Head that was shown instead'), h('pre', {}, found.shown)) : null,
    before ? h('section', {}, h('h2', {}, 'Head at the last visit'),
      facts([['Entries', before.size.toLocaleString('en')], ['Root', digest(before.root, 'earlier root')], ['Seen', utc(before.seen)], ['Kept since', utc(before.since)]])) : null,
    h('section', {}, h('h2', {}, 'Witnesses'), cosignatures(seen)));
}

/** Who cosigned: those whose keys the person gave are checked by the verifier, others are only named. */
function cosignatures(seen) {
  if (!seen || seen.names.length === 0) {
    return h('p', {}, 'No witness cosigned this log. Until one does, it could show different histories to different people; your browser would notice only what it was shown itself.');
  }
  const { names, size, verdict } = seen;
  if (verdict && verdict.verdict !== 'consistent') {
    return h('div', { 'data-witnessed': 'no' }, h('p', { class: 'error' }, 'What the witnesses cosigned does not go together with this log.'),
      facts([['Code', h('code', {}, verdict.code)], ['Reason', sentence(verdict.detail ?? '')]]));
  }
  const own = verdict?.cosigned ?? [];
  return [
    h('ul', {},
      own.map((one) => h('li', { 'data-witnessed': one.witness }, `${one.witness} cosigned ${size.toLocaleString('en')} entries at ${utc(one.time)}: checked under the key that you gave.`)),
      names.filter((name) => !own.some((one) => one.witness === name))
        .map((name) => h('li', {}, `${name} cosigned ${size.toLocaleString('en')} entries, as the service shows; this browser has no key of it.`))),
    own.length > 0 ? h('p', { class: 'small' }, 'The head goes on from what they cosigned.') : null,
  ];
}

/** Whether a receipt is in the log: its page checks that. */
function lookup() {
  const id = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', name: 'id' });
  const problem = h('p', { class: 'error', role: 'alert' });
  return h('form', {
    class: 'card',
    onsubmit: (event) => {
      event.preventDefault();
      const digits = id.value.trim().toLowerCase().replace(/^sha256:/, '');
      if (!/^[0-9a-f]{64}$/.test(digits)) {
        problem.textContent = 'An identifier is sha256: and 64 hex digits.';
        id.focus();
        return;
      }
      history.pushState(null, '', `/receipt/${digits}`);
      dispatchEvent(new PopStateEvent('popstate'));
    },
  }, h('h2', {}, 'Is a receipt in it?'), h('label', {}, 'Identifier of the receipt', id),
  h('button', { type: 'submit', class: 'button' }, 'Check'), problem);
}

function witnesses(kept, changed) {
  const key = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', name: 'witness' });
  const problem = h('p', { class: 'error', role: 'alert' });
  const keys = memory.witnesses();
  const keep = (list) => {
    memory.keepWitnesses(list);
    changed();
  };
  return h('details', {}, h('summary', {}, 'Keys of witnesses that this browser trusts'),
    h('p', {}, 'Take them from the witnesses themselves. A cosignature under a key that is given here is checked.'),
    h('ul', {}, keys.map((one) => h('li', {}, h('code', {}, one), ' ',
      h('button', { type: 'button', class: 'quiet', onclick: () => keep(keys.filter((other) => other !== one)) }, 'Remove')))),
    h('form', {
      onsubmit: async (event) => {
        event.preventDefault();
        const value = key.value.trim();
        const reason = await noWitness(value, kept);
        if (reason !== undefined) problem.textContent = sentence(reason);
        else keep([...keys.filter((other) => other !== value), value]);
      },
    }, h('label', {}, 'Public key, NAME+ID+KEY', key), h('button', { type: 'submit', class: 'button quiet' }, 'Add'), problem));
}
