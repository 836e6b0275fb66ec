// The log as this browser saw it. The latest checkpoint that continued all earlier ones is kept; a log that
// does not continue it has changed its history, and the kept one with the new one is the evidence.

import * as api from './api.js';
import * as memory from './memory.js';
import * as verifier from './verifier.js';

/** Entries of a log that is read whole to look for revocations. */
const READ_WHOLE = 4096;

let running;
const listeners = new Set();

/** Calls `listener` with what each look at the log found. */
export function onWatched(listener) {
  listeners.add(listener);
}

/** Looks at the log; those who ask while a look is going on get the next one. */
export async function watch() {
  const turn = (running ?? Promise.resolve()).then(look, look);
  running = turn;
  const seen = await turn;
  for (const listener of listeners) listener(seen);
  return seen;
}

/**
 * `{state, kept, head, code, detail}`: `state` is `first`, `consistent`, `empty`, `unavailable` or `alarm`;
 * `kept` what this browser holds the log to, `head` what the log shows now.
 */
async function look() {
  const alarmed = memory.alarm();
  // Read before the log is asked: another window may keep a newer one meanwhile.
  const kept = memory.head();
  if (alarmed) return { state: 'alarm', kept, ...alarmed };
  try {
    const [info, note] = await Promise.all([api.log(), api.checkpoint()]);
    if (kept && info.verifier_key !== kept.key) {
      return alarm(kept, note, 'log-key-changed', 'the service shows a log with another key than before');
    }
    if (note === undefined) {
      return kept
        ? alarm(kept, note, 'log-shrank', 'the log had entries, and now it has none')
        : { state: 'empty', info };
    }
    return await judge(info, kept, note);
  } catch (error) {
    return { state: 'unavailable', kept, code: error.code ?? 'internal', detail: error.message };
  }
}

async function judge(info, kept, note) {
  const log = { key: info.verifier_key, witnesses: memory.witnesses(), quorum: 0 };
  const alone = await verifier.compare({ log, older: note, newer: note, proof: [] });
  if (alone.verdict === 'unavailable') return { state: 'unavailable', kept, ...alone };
  if (alone.verdict !== 'consistent') {
    return kept
      ? alarm(kept, note, alone.code, alone.detail)
      : { state: 'unavailable', code: alone.code, detail: alone.detail };
  }
  const { size } = alone.newer;
  let newest = { note, verdict: alone };
  if (kept) {
    if (size < kept.size) {
      return alarm(kept, note, 'log-shrank', `the log had ${kept.size} entries, and now it has ${size}`);
    }
    newest = await continued(log, kept, note, size);
    if (newest.verdict.verdict === 'unavailable') return { state: 'unavailable', kept, ...newest.verdict };
    if (newest.verdict.verdict !== 'consistent') {
      return alarm(kept, newest.note, newest.verdict.code, newest.verdict.detail);
    }
  }
  const head = {
    key: info.verifier_key,
    serviceKey: kept?.serviceKey ?? info.service_key,
    origin: newest.verdict.origin,
    size: newest.verdict.newer.size,
    root: newest.verdict.newer.root,
    note: newest.note,
    seen: Math.floor(Date.now() / 1000),
    since: kept?.since ?? Math.floor(Date.now() / 1000),
  };
  // Another window kept a newer one meanwhile: this one has to continue that, too.
  if (memory.head()?.note !== kept?.note) return look();
  memory.keepHead(head);
  return { state: kept ? 'consistent' : 'first', kept: head, before: kept, head, cosigned: newest.verdict.cosigned, info };
}

/** Whether the log goes on from the kept checkpoint. */
async function continued(log, kept, note, size) {
  if (size === kept.size) {
    return { note, verdict: await verifier.compare({ log, older: kept.note, newer: note, proof: [] }) };
  }
  const proof = await api.consistency(kept.size);
  return {
    note: proof.checkpoint,
    verdict: await verifier.compare({ log, older: kept.note, newer: proof.checkpoint, proof: proof.proof }),
  };
}

function alarm(kept, note, code, detail) {
  const found = { code, detail, shown: note, at: Math.floor(Date.now() / 1000) };
  memory.keepAlarm(found);
  return { state: 'alarm', kept, ...found };
}

/**
 * The checkpoint that witnesses cosigned, where there is one: `{names, size, verdict}`. The verdict is of the
 * verifier, under the witnesses' keys that this browser has: that the checkpoint is the log's, that the log's
 * head continues it, and who of them cosigned it. Without keys there is none.
 */
export async function cosigned(kept) {
  const note = await api.checkpoint('checkpoint.cosigned');
  if (note === undefined || !kept) return undefined;
  const names = [...new Set(note.split('\n').filter((line) => line.startsWith('— ')).map((line) => line.split(' ')[1]))]
    .filter((name) => name !== kept.origin);
  const size = Number(note.split('\n')[1]);
  if (memory.witnesses().length === 0) return { names, size };
  const log = { key: kept.key, witnesses: memory.witnesses(), quorum: 0 };
  const alone = await verifier.compare({ log, older: note, newer: note, proof: [] });
  if (alone.verdict !== 'consistent') return { names, size, verdict: alone };
  const proof = await api.consistency(alone.newer.size);
  const continued = await verifier.compare({ log, older: note, newer: proof.checkpoint, proof: proof.proof });
  return { names, size, verdict: continued.verdict === 'consistent' ? alone : continued };
}

/** Why a text is no witness's key; `undefined` if it is one. */
export async function noWitness(key, kept) {
  const verdict = await verifier.compare({
    log: { key: kept.key, witnesses: [key], quorum: 0 }, older: kept.note, newer: kept.note, proof: [],
  });
  return verdict.verdict === 'consistent' ? undefined : verdict.detail;
}

/** Entries that a checkpoint speaks of, by its word alone. */
const entriesOf = (note) => Number(note?.split('\n')[1]);

/** Entries of the files of a log; its signature is checked with them. */
export const logSize = (files) => entriesOf(new TextDecoder().decode(files.get('checkpoint')));

/** A small log whole, as bytes by path, to look for revocations; `undefined` for none or a large one. */
export async function logFiles() {
  const note = await api.checkpoint();
  const size = entriesOf(note);
  if (!(size >= 0 && size <= READ_WHOLE)) return undefined;
  const files = new Map([['checkpoint', new TextEncoder().encode(note)]]);
  await Promise.all((await verifier.logPaths(size)).map(async (path) => files.set(path, await api.bytes(`/${path}`))));
  return files;
}
