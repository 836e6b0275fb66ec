// What this browser remembers of the service: which package stood under a name when it was first seen, and
// how far the log had come. A service that changes either later is found out by it.

const PREFIX = 'proofmark/v1/';

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + key)) ?? undefined;
  } catch {
    return undefined; // nothing, or somebody else's
  }
}

function write(key, value) {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
    return true;
  } catch {
    return false; // a browser that keeps nothing: then nothing can be compared
  }
}

const packageKey = (name, version) => `package/${name}/${version}`;

/**
 * The digest that this browser holds a package to: `pin`, since when, and whether the person pinned it.
 * The first one seen is kept.
 */
export function pin(name, version, served) {
  const known = read(packageKey(name, version));
  if (typeof known?.digest === 'string') return { ...known, first: false };
  const fresh = { digest: served, since: Math.floor(Date.now() / 1000), own: false };
  const kept = write(packageKey(name, version), fresh);
  return { ...fresh, first: true, kept };
}

/** Holds a package to a digest that the person took from elsewhere, or accepts a new one. */
export function repin(name, version, digest, own) {
  return write(packageKey(name, version), { digest, since: Math.floor(Date.now() / 1000), own });
}

/** The log's key and its latest checkpoint that was found to continue all earlier ones. */
export const head = () => read('log');

/** Remembers how far the log had come. */
export const keepHead = (value) => write('log', value);

let raised;

/** What was found against the log, until the person dismisses it; in a browser that keeps nothing, until it is closed. */
export const alarm = () => read('alarm') ?? raised;

export function keepAlarm(value) {
  raised = value;
  return write('alarm', value);
}

/** Public keys of witnesses that the person trusts. */
export const witnesses = () => {
  const list = read('witnesses');
  return Array.isArray(list) ? list.filter((key) => typeof key === 'string') : [];
};
export const keepWitnesses = (list) => write('witnesses', list);

/** Forgets everything that is remembered of the log. */
export function forgetLog() {
  raised = undefined;
  for (const key of ['log', 'alarm']) {
    try {
      localStorage.removeItem(PREFIX + key);
    } catch {
      return;
    }
  }
}
