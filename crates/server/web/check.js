// From a receipt to a verdict: which package it is held to, what is demanded of it, and whether the answer
// that came with it is the one that was proven. All of it happens here, in the browser.

import * as api from './api.js';
import * as memory from './memory.js';
import { views } from './tensors.js';
import * as verifier from './verifier.js';
import { logFiles, logSize, watch } from './history.js';

const files = new Map();

/** Manifest and verifying key of a package, fetched once for each digest. */
async function filesOf(name, version, digest) {
  const key = `${digest} ${name} ${version}`;
  if (!files.has(key)) files.set(key, api.packageFiles(name, version));
  try {
    return await files.get(key);
  } catch (error) {
    files.delete(key);
    throw error;
  }
}

/** What is fetched while a proof is made. */
export function prepare(name, version, digest) {
  filesOf(name, version, digest).catch(() => {});
  return logFiles().catch(() => undefined);
}

const rejected = (code, detail) => ({ verdict: 'rejected', code, detail });
const unavailable = (code, detail) => ({ verdict: 'unavailable', code, detail });

/** The verdict of something that failed on the way. */
export function failed(error) {
  return unavailable(error.code ?? 'internal', error.message ?? String(error));
}

/** What a receipt says of itself; nothing of it is checked. */
export function claims(receipt) {
  try {
    const envelope = JSON.parse(new TextDecoder().decode(receipt));
    const text = atob(envelope.payload);
    const payload = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at += 1) payload[at] = text.charCodeAt(at);
    return JSON.parse(new TextDecoder().decode(payload)).predicate;
  } catch {
    return undefined;
  }
}

/**
 * Verifies a receipt. `exchange` is for an answer: its `body` (bytes), the `request` (text) and the `nonce` that
 * were sent, and `name` and `version` of the model that was asked. `given` may hold `manifest` and
 * `verifyingKey` (bytes) of a package that is not served here, then with the `pin`.
 *
 * Gives `{found, manifest, pinned, log}`: the verdict, the manifest that it rests on when it is accepted, the
 * digest that the receipt was held to, and what the log showed.
 */
export async function check({ receipt, tlogProof, exchange, given = {}, files }) {
  const claimed = claims(receipt);
  const name = claimed?.model?.name;
  const version = claimed?.model?.version;
  if (typeof name !== 'string' || typeof version !== 'string') {
    return { found: rejected('receipt-malformed', 'this is no receipt, or it was damaged') };
  }
  if (exchange && (name !== exchange.name || version !== exchange.version)) {
    return { found: rejected('model-mismatch', `“${exchange.name}” was asked, and “${name}” answered`) };
  }
  const [log, served] = await Promise.all([watch(), given.manifest ? undefined : servedAs(name, version)]);
  if (log.state === 'alarm' && (served || tlogProof !== undefined)) {
    const detail = 'the log of this service changed its history, so it may hide what was revoked; nothing of this service gets a mark until you have settled that';
    return { found: rejected(log.code, detail), log };
  }
  let pinned = { digest: given.pin, own: true };
  let { manifest, verifyingKey } = given;
  if (!manifest) {
    if (!served) {
      const detail = `the package of “${name}”, version “${version}”, is not served here; open its manifest.json and verifying_key.bin together with the receipt`;
      return { found: unavailable('package-unknown', detail) };
    }
    pinned = memory.pin(name, version, served.package_digest);
    ({ manifest, verifyingKey } = await filesOf(name, version, served.package_digest));
  }
  const demands = { now: Math.floor(Date.now() / 1000) };
  let copy;
  if (tlogProof !== undefined && log.kept) {
    demands.log = { key: log.kept.key, witnesses: memory.witnesses(), quorum: 0, proof: tlogProof };
    // Only the whole log says which keys followed the one that this browser knows.
    copy = log.kept.serviceKey ? await copyFrom(files, log.before?.size ?? 0) : undefined;
    if (copy) {
      demands.service_key = log.kept.serviceKey;
      demands.log.copy_may_be_older = true;
    }
  }
  const ask = (more) => {
    const question = { pin: pinned.digest, manifest, verifyingKey, receipt, demands, ...more };
    return exchange
      ? verifier.verifyAnswer({ ...question, ...exchange, demands: { ...demands, nonce: exchange.nonce } })
      : verifier.verify(question);
  };
  let found = await ask({ files: copy });
  if (copy && found.verdict === 'unavailable') {
    // The log went on while it was read. Without it the verdict says that nothing is known of revocations.
    delete demands.service_key;
    delete demands.log.copy_may_be_older;
    found = await ask({});
  }
  const result = { found, pinned, log };
  if (found.verdict === 'accepted') result.manifest = JSON.parse(new TextDecoder().decode(manifest));
  return result;
}

/** A copy of the log that holds at least what this browser saw before: an older one could leave revocations out. */
async function copyFrom(files, size) {
  if (!files || logSize(files) >= size) return files;
  const again = await logFiles().catch(() => undefined);
  return again && logSize(again) >= size ? again : undefined;
}

/**
 * The package that is served, against the digest `pin`: the verdict (`open` if it is that one) and the manifest,
 * which counts only then.
 */
export async function servedPackage({ name, version, package_digest: digest }, pin) {
  const { manifest, verifyingKey } = await filesOf(name, version, digest);
  const found = await verifier.open({ pin, manifest, verifyingKey });
  return { found, manifest: found.verdict === 'open' ? JSON.parse(new TextDecoder().decode(manifest)) : undefined };
}

async function servedAs(name, version) {
  return (await api.models()).find((model) => model.name === name && model.version === version);
}

/**
 * Whether an answer says what its accepted receipt proves, and nothing else; `undefined` if so, else the
 * verdict against it.
 */
export function contradiction(answer, report, manifest) {
  const outputs = new Map((report.outputs ?? []).map((output) => [output.name, output.values]));
  for (const tensor of answer.outputs ?? []) {
    const told = String(tensor.name);
    // A view is called as its output, a colon, and the view; an output's own name may have colons too.
    const spec = manifest.outputs.find((output) => output.name === told)
      ?? manifest.outputs.find((output) => told.startsWith(`${output.name}:`));
    if (!spec) return rejected('answer-malformed', `the answer holds an output “${told}” that the model has not`);
    const values = outputs.get(spec.name);
    if (!values) continue;
    const read = views(values, spec);
    const proven = {
      '': values,
      ':dequantized': read.floats,
      ':argmax': read.classes?.map((row) => row.index),
      ':label': read.classes?.map((row) => row.label),
    }[told.slice(spec.name.length)];
    if (proven && !same(proven, tensor.data)) {
      return rejected('statement-mismatch', `the service answered something else for “${told}” than what is proven`);
    }
  }
  const named = answer.parameters?.receipt_id;
  if (named !== report.receipt_id) return rejected('answer-malformed', 'the answer names another receipt than it carries');
  return undefined;
}

function same(proven, told) {
  return Array.isArray(told) && proven.length === told.length
    && proven.every((value, index) => value === told[index] || Math.fround(value) === Math.fround(Number(told[index])));
}
