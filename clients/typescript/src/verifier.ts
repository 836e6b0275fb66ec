import * as wasm from "../wasm/proofmark.js";
import { ProofmarkError, type Rejected } from "./error.js";
import type {
  Accepted,
  Consistent,
  Demands,
  Digest,
  Hex,
  InLog,
  LogCopy,
  LogKeys,
  Opened,
  Proven,
  Verdict,
} from "./verdict.js";

/** What the wasm may be started from; by default the file of this package. */
export type WasmSource = BufferSource | WebAssembly.Module | Response | URL | string;

/** A package that you pin: its digest from a source that you trust, the rest from anywhere. */
export interface PackageFiles {
  readonly digest: Digest;
  /** `manifest.json`, byte for byte. */
  readonly manifest: Uint8Array;
  /** `verifying_key.bin`. */
  readonly verifyingKey: Uint8Array;
}

/** A tensor as a manifest declares it. */
export interface TensorSpec {
  readonly name: string;
  readonly elem: "uint8" | "int8" | "int32";
  readonly shape: readonly number[];
  readonly visibility: "public" | "hashed" | "private";
  readonly quantizer?: unknown;
}

/** The parts of a manifest that are used here. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** Counts how often the wasm was started; what was made before a start is gone. */
let started = 0;
let starting: Promise<void> | undefined;

async function start(source: WasmSource): Promise<void> {
  try {
    await wasm.default({ module_or_path: await moduleOf(source) });
  } catch (error) {
    const detail = `the verifier cannot be loaded: ${String(error)}; name its wasm in Verifier.load(source)`;
    throw new ProofmarkError({ kind: "environment", code: "verifier-unavailable", detail });
  }
  started += 1;
}

async function moduleOf(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source === "string" || source instanceof URL) {
    const url = new URL(source, import.meta.url);
    if (url.protocol === "file:") {
      // A name that bundlers for browsers do not follow.
      const files = "node:fs/promises";
      const { readFile } = (await import(files)) as { readFile(url: URL): Promise<BufferSource> };
      return WebAssembly.compile(await readFile(url));
    }
    return moduleOf(await fetch(url));
  }
  if (typeof Response !== "undefined" && source instanceof Response) {
    if (!source.ok) throw new Error(`the server answered ${source.status}`);
    return WebAssembly.compile(await source.arrayBuffer());
  }
  return WebAssembly.compile(source as BufferSource);
}

const encoder = new TextEncoder();

/** Bytes of a text, or the bytes themselves. */
function bytes(given: Uint8Array | string): Uint8Array {
  return typeof given === "string" ? encoder.encode(given) : given;
}

/**
 * The recipient's check, the same code as `proofmark-verify`, compiled to wasm. It asks no network and
 * no clock.
 */
export class Verifier {
  private constructor() {}

  /** Loads the wasm; once for all. */
  static async load(source?: WasmSource): Promise<Verifier> {
    starting ??= start(source ?? new URL("../wasm/proofmark_bg.wasm", import.meta.url));
    try {
      await starting;
      return new Verifier();
    } catch (error) {
      starting = undefined;
      throw error;
    }
  }

  /**
   * Asks the wasm. Should it ever trap, its memory is thrown away and it is started anew; the question
   * is refused.
   */
  #ask<T extends object>(question: () => string): T | Rejected {
    try {
      return freeze(JSON.parse(question()) as T | Rejected);
    } catch (error) {
      if (error instanceof Refused) return error.verdict;
      wasm.__wbg_reset_state();
      started += 1;
      return {
        verdict: "rejected",
        kind: "environment",
        code: "internal",
        detail: `the verifier stopped: ${String(error)}`,
        hint: null,
      };
    }
  }

  /** Opens a package for any number of its receipts; throws {@link ProofmarkError} when it is not the pinned one. */
  openPackage(files: PackageFiles): Package {
    // Copies: the package may be opened again later, and must be the same one then.
    const { digest } = files;
    const [manifest, verifyingKey] = [files.manifest.slice(), files.verifyingKey.slice()];
    let opened: { raw: wasm.Package; at: number } | undefined;
    const raw = (): wasm.Package => {
      if (opened?.at !== started) opened = { raw: open(digest, manifest, verifyingKey), at: started };
      return opened.raw;
    };
    const first = this.#ask<{ verdict: "open" }>(() => {
      raw();
      return '{"verdict":"open"}';
    });
    if (first.verdict === "rejected") throw new ProofmarkError(first);
    return new Package(
      { digest, manifest, verifyingKey },
      (receipt, demands) =>
        this.#ask<Accepted>(() => {
          const { text, copy } = wire(demands);
          return raw().verify(receipt, text, copy);
        }),
      (request, answer, demands) =>
        this.#ask<Accepted>(() => {
          const { text, copy } = wire(demands);
          return raw().verifyInference(request, answer, text, copy);
        }),
    );
  }

  /** Compares a file of openings with a receipt's commitments. */
  verifyOpenings(receipt: Uint8Array | string, openings: Uint8Array | string): Opened | Rejected {
    return this.#ask(() => wasm.verifyOpenings(bytes(receipt), bytes(openings)));
  }

  /** Verifies a proof alone, under a key that you pin by its digest, for public inputs that you vouch for. */
  verifyProof(
    verifyingKey: Uint8Array,
    question: { readonly verifyingKeyDigest: Digest; readonly proof: Hex; readonly publicInputs: readonly Hex[] },
  ): Proven | Rejected {
    const { verifyingKeyDigest: verifying_key_digest, proof, publicInputs: public_inputs } = question;
    const text = JSON.stringify({ verifying_key_digest, proof, public_inputs });
    return this.#ask(() => wasm.verifyProof(verifyingKey, text));
  }

  /** Checks that a `.tlog-proof` shows a receipt in a log. */
  verifyLogProof(receipt: Uint8Array | string, log: LogKeys & { readonly proof: string }): InLog | Rejected {
    return this.#ask(() => wasm.verifyLogProof(bytes(receipt), JSON.stringify(log)));
  }

  /** Compares two checkpoints of a log by a consistency proof: hashes in base64. */
  compareCheckpoints(question: {
    readonly log: LogKeys;
    readonly older: string;
    readonly newer: string;
    readonly proof: readonly string[];
  }): Consistent | Rejected {
    return this.#ask(() => wasm.compareCheckpoints(JSON.stringify(question)));
  }

  /** Compares a checkpoint that was kept with a log as it is now. */
  compareHistory(
    question: { readonly log: LogKeys; readonly older: string },
    copy: LogCopy,
  ): Consistent | Rejected {
    return this.#ask(() => wasm.compareHistory(JSON.stringify(question), copy));
  }

  /** Paths of the files of a log with this many entries, beside its checkpoint. */
  logFiles(size: bigint): string[] {
    const list = wasm.logFiles(size);
    return list === "" ? [] : list.split("\n");
  }
}

/** A refusal on the way out of a question. */
class Refused {
  constructor(readonly verdict: Rejected) {}
}

/** Opens a package in the wasm, whose constructor throws the text of its refusal. */
function open(digest: Digest, manifest: Uint8Array, verifyingKey: Uint8Array): wasm.Package {
  try {
    return new wasm.Package(digest, manifest, verifyingKey);
  } catch (error) {
    const refusal: unknown = typeof error === "string" ? JSON.parse(error) : undefined;
    if ((refusal as Rejected | undefined)?.verdict !== "rejected") throw error;
    throw new Refused(freeze(refusal as Rejected));
  }
}

/** What was found stays as it is, all the way down. */
export function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) if (typeof member === "object" && member !== null) freeze(member as object);
  return Object.freeze(value);
}

/** Members of the demands in the wasm's words; those of other names it refuses. */
const DEMANDS: Readonly<Record<string, string>> = { serviceKey: "service_key", auditorKeys: "auditor_keys" };
const LOG: Readonly<Record<string, string>> = { copyMayBeOlder: "copy_may_be_older" };

/** What JSON would leave out. */
const unsayable = (value: unknown): boolean => ["undefined", "function", "symbol"].includes(typeof value);

/** Throws for what is no plain object: what one inherits would not be demanded. */
export function plain(what: string, given: unknown): asserts given is object {
  const above: unknown = typeof given === "object" && given !== null && !Array.isArray(given) ? Object.getPrototypeOf(given) : given;
  if (above === null ? given === null : Object.getPrototypeOf(Object(above)) !== null) {
    throw new ProofmarkError({ kind: "request", code: "parameter-invalid", detail: `${what}: it is no plain object` });
  }
}

/**
 * Every member of a plain object, under the wasm's names. What has no value becomes a `null`, which the wasm
 * refuses: a demand that got lost on the way must not look like one that was met.
 */
function members(what: string, given: unknown, names: Readonly<Record<string, string>>): Record<string, unknown> {
  plain(what, given);
  const entries = Reflect.ownKeys(given).map((name) => {
    const value = (given as Record<string | symbol, unknown>)[name];
    return [Object.hasOwn(names, name) ? names[String(name)] : String(name), unsayable(value) ? null : value] as const;
  });
  return Object.fromEntries(entries);
}

/** The demands as the wasm reads them: nothing is left out that it would not know. */
function wire(demands: Demands): { text: string; copy: LogCopy | undefined } {
  try {
    const asked = members("demands", demands, DEMANDS);
    let copy: LogCopy | undefined;
    if (typeof asked.log === "object" && asked.log !== null) {
      const { copy: given, ...log } = members("log", asked.log, LOG);
      if (typeof given === "object" && given !== null) copy = given as LogCopy;
      asked.log = copy || given === undefined ? log : { ...log, copy: given };
    }
    return { text: JSON.stringify(asked, (_, value: unknown) => (unsayable(value) ? null : value)), copy };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new Refused({ verdict: "rejected", kind: "request", code: "parameter-invalid", detail, hint: null });
  }
}

type AskReceipt = (receipt: Uint8Array, demands: Demands) => Verdict;
type AskInference = (request: string, answer: Uint8Array, demands: Demands) => Verdict;

/** A pinned package. {@link Verifier.openPackage} makes it. */
export class Package {
  readonly digest: Digest;
  readonly manifest: Manifest;
  readonly #receipt: AskReceipt;
  readonly #inference: AskInference;

  /** @internal */
  constructor(files: PackageFiles, receipt: AskReceipt, inference: AskInference) {
    this.digest = files.digest;
    this.manifest = freeze(JSON.parse(new TextDecoder().decode(files.manifest)) as Manifest);
    this.#receipt = receipt;
    this.#inference = inference;
    Object.freeze(this);
  }

  /** Verifies a receipt whole. */
  verify(receipt: Uint8Array | string, demands: Demands = {}): Verdict {
    return this.#receipt(bytes(receipt), demands);
  }

  /**
   * Verifies a service's answer to a request of the Open Inference Protocol: that its receipt is good,
   * of these inputs, and for the nonce or context in the demands, one of which must be there.
   */
  verifyInference(request: string, answer: Uint8Array, demands: Demands): Verdict & { readonly receipt?: string } {
    return this.#inference(request, answer, demands);
  }
}
