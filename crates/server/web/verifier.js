// The one door to the verifier, which is the same Rust code as `proofmark-verify`, compiled to WebAssembly.
// What comes out is a verdict: `accepted`, `rejected` with a code, or `unavailable` when this browser could
// not check. Nothing but the verifier's own word makes it `accepted`.

let loading;

/** The compiled verifier; a failed attempt is made again at the next question. */
function load() {
  loading ??= start().catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function start() {
  const wasm = await import('/web/proofmark.js');
  await wasm.default({ module_or_path: '/web/proofmark_bg.wasm' });
  return wasm;
}

/** A verifier that stopped in the middle is thrown away with its memory. */
async function restart() {
  try {
    (await load()).__wbg_reset_state();
  } catch {
    loading = undefined;
  }
}

/** What the verifier said, or that it said nothing. */
async function ask(question) {
  try {
    return read(question(await load()));
  } catch (error) {
    // A package that does not hold is refused by its constructor, with a verdict's text; nothing else is said so.
    if (typeof error === 'string' && read(error).verdict !== 'accepted') return read(error);
    if (error instanceof WebAssembly.RuntimeError) await restart();
    const detail = `the verifier does not run in this browser (${error?.message ?? error}); verify with proofmark-verify`;
    return { verdict: 'unavailable', code: 'verifier-unavailable', detail };
  }
}

function read(text) {
  const verdict = JSON.parse(text);
  if (typeof verdict?.verdict !== 'string') throw new Error('it gave no verdict');
  // What lies in the asker's hands or around it is nothing against the receipt.
  if (verdict.verdict === 'rejected' && verdict.kind !== 'rejected') return { ...verdict, verdict: 'unavailable' };
  return verdict;
}

/** A log's files as the verifier reads them. */
const copyOf = (files) => (files ? { read: (path) => files.get(path) } : undefined);

/**
 * Verifies a receipt against the package with the digest `pin`. `manifest`, `verifyingKey` and `receipt`
 * are bytes; `demands` is what is asked beyond that; `files` are those of the log, by path.
 */
export function verify({ pin, manifest, verifyingKey, receipt, demands, files }) {
  return timed((wasm) => {
    const trusted = new wasm.Package(pin, manifest, verifyingKey);
    try {
      return trusted.verify(receipt, JSON.stringify(demands), copyOf(files));
    } finally {
      trusted.free();
    }
  });
}

/** As `verify`, for the answer `body` (bytes) to the request that was sent as the text `request`. */
export function verifyAnswer({ pin, manifest, verifyingKey, request, body, demands, files }) {
  return timed((wasm) => {
    const trusted = new wasm.Package(pin, manifest, verifyingKey);
    try {
      return trusted.verifyInference(request, body, JSON.stringify(demands), copyOf(files));
    } finally {
      trusted.free();
    }
  });
}

async function timed(question) {
  await load().catch(() => {}); // the answer says that it failed
  const started = performance.now();
  const verdict = await ask(question);
  return { ...verdict, ms: performance.now() - started };
}

/** Whether these are the files of the package with the digest `pin`: `open`, if so. */
export function open({ pin, manifest, verifyingKey }) {
  return ask((wasm) => {
    new wasm.Package(pin, manifest, verifyingKey).free();
    return '{"verdict":"open"}';
  });
}

/** Whether a log's newer checkpoint continues an older one: `{log: {key, witnesses}, older, newer, proof}`. */
export function compare(question) {
  return ask((wasm) => wasm.compareCheckpoints(JSON.stringify(question)));
}

/** Paths of the files of a log with this many entries, beside its checkpoint. */
export async function logPaths(size) {
  return (await load()).logFiles(BigInt(size)).split('\n').filter((path) => path !== '');
}
