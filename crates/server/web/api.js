// The service's interface. Nothing is ever asked of another address than the one that the page is from,
// whatever an answer names.

/** What the service, or the way to it, refused. */
export class Refused extends Error {
  constructor(code, detail, status = 0) {
    super(detail);
    this.code = code;
    this.status = status;
  }
}

const CODE = /^[a-z0-9]+(-[a-z0-9]+)*$/;

function refusal(status, body) {
  const code = typeof body?.code === 'string' && CODE.test(body.code) ? body.code : 'service-refused';
  const faults = Array.isArray(body?.errors) ? body.errors.map((fault) => String(fault.detail)) : [];
  const detail = faults.length > 0 ? faults.join('; ') : String(body?.detail ?? `the service answered ${status}`);
  return new Refused(code, detail, status);
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: 'omit', redirect: 'error', ...options });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refused('service-unreachable', 'the service does not answer; check the connection and try again');
  }
  if (response.ok) return response;
  let body;
  try {
    body = await response.json();
  } catch {
    body = undefined;
  }
  throw refusal(response.status, body);
}

/** JSON. */
export async function json(path) {
  return (await ask(path, { headers: { accept: 'application/json' } })).json();
}

/** Text. */
export async function text(path) {
  return (await ask(path)).text();
}

/** Bytes. */
export async function bytes(path) {
  return new Uint8Array(await (await ask(path)).arrayBuffer());
}

const part = encodeURIComponent;

/** The served packages. */
export const models = async () => (await json('/v1/models')).models;

/** A package with its manifest, card and times. */
export const model = (name, version) => json(`/v1/models/${part(name)}?version=${part(version)}`);

/** What a verifier needs of a package, byte for byte. */
export async function packageFiles(name, version) {
  const base = `/v1/models/${part(name)}`;
  const query = `?version=${part(version)}`;
  const [manifest, verifyingKey] = await Promise.all([
    bytes(`${base}/manifest${query}`),
    bytes(`${base}/verifying-key${query}`),
  ]);
  return { manifest, verifyingKey };
}

/** The record of how a package's keys were made, byte for byte. */
export const transcript = (name, version) =>
  bytes(`/v1/models/${part(name)}/transcript?version=${part(version)}`);

/** What auditors attest of a package. */
export const attestations = async (name, version) =>
  (await json(`/v1/models/${part(name)}/attestations?version=${part(version)}`)).attestations;

/** The service's log. */
export const log = () => json('/v1/log');

/** A checkpoint, or `undefined` where there is none yet. */
export async function checkpoint(file = 'checkpoint') {
  try {
    return await text(`/${file}`);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return undefined;
    throw error;
  }
}

/** A proof that the log only grew since it had `from` entries. */
export const consistency = (from) => json(`/v1/log/consistency?from=${part(from)}`);

/** A receipt, byte for byte. */
export const receipt = (id) => bytes(`/v1/receipts/${part(id)}`);

/** A proof that a receipt is logged, with the cosignatures of witnesses where they are wanted and there. */
export async function tlogProof(id, witnessed = false) {
  const path = `/v1/receipts/${part(id)}/tlog-proof`;
  if (witnessed) {
    try {
      return await text(`${path}?head=cosigned`);
    } catch (error) {
      if (error.code !== 'log-not-cosigned') throw error;
    }
  }
  return text(path);
}

/**
 * Asks for a proven answer; `request` is the body's text. `step` is told of what begins; the answer comes
 * back as the bytes that the service wrote, believed by nobody yet, with the milliseconds that each part took.
 */
export async function infer(name, version, request, step, signal) {
  const response = await ask(`/v2/models/${part(name)}/versions/${part(version)}/infer`, {
    method: 'POST',
    headers: { accept: 'text/event-stream', 'content-type': 'application/json' },
    body: request,
    signal,
  });
  const media = response.headers.get('content-type') ?? '';
  if (!media.startsWith('text/event-stream')) {
    // Something between here and the service does not let events through.
    return { body: new Uint8Array(await response.arrayBuffer()), timing: timings(response.headers.get('server-timing') ?? '') };
  }
  let timing = {};
  for await (const { event, data } of events(response.body)) {
    if (event === 'step') step(JSON.parse(data));
    else if (event === 'timing') timing = timings(data);
    else if (event === 'answer') return { body: new TextEncoder().encode(data), timing };
    else if (event === 'problem') {
      const problem = JSON.parse(data);
      throw refusal(problem.status, problem);
    }
  }
  throw new Refused('service-unreachable', 'the connection ended before the answer came; try again');
}

/** Server-sent events of a body. */
async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
        const lines = rest.slice(0, end).split('\n');
        rest = rest.slice(end + 2);
        const field = (name) => lines
          .filter((line) => line.startsWith(`${name}: `))
          .map((line) => line.slice(name.length + 2))
          .join('\n');
        if (field('event') !== '') yield { event: field('event'), data: field('data') };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A `Server-Timing` value: milliseconds by name. */
function timings(value) {
  return Object.fromEntries(value.split(',').map((entry) => {
    const [name, ...parameters] = entry.trim().split(';');
    const duration = parameters.find((parameter) => parameter.startsWith('dur='));
    return [name, Number(duration?.slice(4))];
  }).filter(([name, duration]) => name !== '' && Number.isFinite(duration)));
}
