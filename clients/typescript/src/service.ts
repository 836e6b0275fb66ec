import { ProofmarkError, type Rejected } from "./error.js";
import type { paths } from "./openapi.js";
import type { Accepted, Context, Demands, Hex, LogCopy, LogDemand, Tensor } from "./verdict.js";
import { freeze, Package, plain, Verifier, type TensorSpec } from "./verifier.js";

type GetPath = { [P in keyof paths]: paths[P] extends { get: { responses: { 200: unknown } } } ? P : never }[keyof paths];
type Get<P extends GetPath> = paths[P] extends { get: infer G } ? G : never;
type Body<P extends GetPath> = Get<P> extends { responses: { 200: { content: infer C } } } ? C[keyof C] : undefined;
type PathOf<P extends GetPath> = Get<P> extends { parameters: { path: infer N } } ? N : Record<string, never>;
type QueryOf<P extends GetPath> = Get<P> extends { parameters: { query?: infer Q } } ? Q : Record<string, never>;

/** Most bytes of an answer that are read. */
const MAX_ANSWER_BYTES = 256 << 20;
/** Files of a log that are fetched at the same time. */
const AT_ONCE = 8;
/** Milliseconds between two questions for a cosigned proof. */
const ASK_AGAIN = 500;

/** Values of an input: floats where the model has a quantizer, or the integers themselves; row-major. */
export type InputValues = { readonly floats: ArrayLike<number> } | { readonly integers: ArrayLike<number> };

/** How an inference is asked for, and what its receipt must show. */
export interface InferOptions extends Omit<Demands, "context" | "nonce" | "openings" | "log"> {
  /** Bound to a contract; the nonce is drawn unless it is given. */
  readonly context?: Partial<Context>;
  /** What is asked of the log; the answer's own proof of it is taken. */
  readonly log?: Omit<LogDemand, "proof">;
  readonly signal?: AbortSignal;
  /** Milliseconds to wait for the witnesses that `log` names; 30 seconds without it. */
  readonly witnessTimeout?: number;
}

export interface ServiceOptions {
  readonly fetch?: typeof fetch;
  readonly headers?: Readonly<Record<string, string>>;
  readonly verifier?: Verifier;
}

const NUMERIC: Record<TensorSpec["elem"], string> = { uint8: "UINT8", int8: "INT8", int32: "INT32" };
const ZERO: Omit<Context, "nonce"> = {
  chainId: `0x${"0".repeat(64)}`,
  consumer: `0x${"0".repeat(40)}`,
  requester: `0x${"0".repeat(64)}`,
  deadline: 0,
};

const minted = Symbol("verified");

/**
 * An inference whose proof was verified. There is no other way to one than {@link Service.infer}: its
 * constructor refuses everybody else, and its members are what the verified receipt says, not what the
 * service told beside it.
 */
export class Inference {
  /** The verdict on the receipt, with what was checked and what is not proven. */
  readonly verdict: Accepted;
  /** The outputs by name. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** The proof that the receipt is logged, to be kept beside it; `null` where no log was demanded. */
  readonly logProof: string | null;
  /** Salts of private tensors by name: with the values they open the commitments. For you alone. */
  readonly salts: Readonly<Record<string, string>>;
  readonly #receipt: string;

  /** @internal */
  constructor(
    token: typeof minted,
    parts: { verdict: Accepted; receipt: string; logProof: string | null; salts: Record<string, string> },
  ) {
    if (token !== minted) throw new TypeError("an inference is made by verifying an answer");
    this.verdict = freeze(parts.verdict);
    this.outputs = freeze(byName(parts.verdict.outputs.map((tensor) => [tensor.name, tensor])));
    this.#receipt = parts.receipt;
    this.logProof = parts.logProof;
    this.salts = freeze(parts.salts);
    Object.freeze(this);
  }

  /** The receipt, byte for byte: keep it, it verifies for ever. */
  get receipt(): Uint8Array {
    return new TextEncoder().encode(this.#receipt);
  }

  /** The class of the first row of an output that the manifest reads as classes. */
  label(output: string): string | null {
    return this.outputs[output]?.views?.class?.[0]?.label ?? null;
  }
}

/** An object with these members and no others, inherited ones included: a tensor may have any name. */
function byName<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  return Object.setPrototypeOf(Object.fromEntries(entries), null) as Record<string, T>;
}

function refuse(code: string, detail: string): never {
  throw new ProofmarkError({ kind: "request", code, detail });
}

function request(spec: TensorSpec, given: InputValues | undefined) {
  if (!given) refuse("input-missing", `input "${spec.name}": it is missing`);
  const count = spec.shape.reduce((product, dim) => product * dim, 1);
  const floats = "floats" in given;
  if (floats === "integers" in given) refuse("input-type", `input "${spec.name}": it is given as floats or as integers`);
  const values: number[] = Array.from<number>(floats ? Float32Array.from(given.floats) : given.integers);
  if (values.length !== count) {
    refuse("tensor-length-mismatch", `input "${spec.name}": it takes ${count} numbers, got ${values.length}`);
  }
  const bad = values.findIndex((value) => (floats ? !Number.isFinite(value) : !Number.isInteger(value)));
  if (bad >= 0) {
    const code = floats ? "input-not-finite" : "input-type";
    refuse(code, `input "${spec.name}": ${String(values[bad])} at ${bad} is no ${floats ? "finite float32" : "integer"}`);
  }
  return { name: spec.name, shape: spec.shape, datatype: floats ? "FP32" : NUMERIC[spec.elem], data: values };
}

/** Digits of the parts of a context. */
const DIGITS = { chainId: 64, consumer: 40, requester: 64, nonce: 64 } as const;

/** The context that is asked for, in its one spelling: addresses come with capital letters, numbers short. */
function contextOf(bound: Partial<Context> | undefined): Context {
  if (bound !== undefined) plain("context", bound);
  const context: Record<string, unknown> = { ...ZERO, nonce: random(), ...bound };
  for (const [name, digits] of Object.entries(DIGITS)) {
    const given = String(context[name]).toLowerCase();
    const short = name === "chainId" && /^0x[0-9a-f]{1,64}$/.test(given);
    const whole = short ? `0x${given.slice(2).padStart(digits, "0")}` : given;
    if (whole.length !== digits + 2 || !/^0x[0-9a-f]*$/.test(whole)) {
      refuse("parameter-invalid", `context.${name}: it is not 0x and ${digits} hex digits`);
    }
    context[name] = whole;
  }
  if (!Number.isSafeInteger(context.deadline) || (context.deadline as number) < 0) {
    refuse("parameter-invalid", "context.deadline: it is no time in unix seconds");
  }
  return context as unknown as Context;
}

function random(): Hex {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** A Proofmark service. Nothing that it says is believed without its proof. */
export class Service {
  readonly url: string;
  readonly #fetch: typeof fetch;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #verifier: Verifier | undefined;

  constructor(url: string | URL, options: ServiceOptions = {}) {
    this.url = String(url).replace(/\/+$/, "");
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#headers = options.headers ?? {};
    this.#verifier = options.verifier;
  }

  async #send(path: string, init: RequestInit = {}): Promise<{ status: number; type: string; body: Uint8Array }> {
    let response: Response;
    try {
      const headers = { ...this.#headers, ...(init.headers as Record<string, string>) };
      // Inputs and headers are for this service and for nobody whom it names.
      response = await this.#fetch(this.url + path, { ...init, headers, redirect: "error" });
      const body = await bounded(response);
      return { status: response.status, type: response.headers.get("content-type") ?? "", body };
    } catch (error) {
      if (error instanceof ProofmarkError) throw error;
      // Whoever gave up knows why.
      init.signal?.throwIfAborted();
      const detail = `no answer from ${this.url}${path}: ${String(error)}`;
      throw new ProofmarkError({ kind: "environment", code: "service-unreachable", detail });
    }
  }

  /** `GET` of a path of the service's OpenAPI document: JSON parsed, text as text, anything else as bytes. */
  async get<P extends GetPath>(
    path: P,
    parameters: { readonly path?: PathOf<P>; readonly query?: QueryOf<P>; readonly signal?: AbortSignal } = {},
  ): Promise<Body<P>> {
    const names = (parameters.path ?? {}) as Record<string, unknown>;
    const filled = String(path).replace(/\{(\w+)\}/g, (_, name: string) => {
      const given = Object.hasOwn(names, name) ? String(names[name]) : "";
      const parts = given.split("/");
      if (parts.some((part) => part === "" || part === "." || part === "..")) {
        refuse("parameter-invalid", `${name}: ${JSON.stringify(given)} is no part of a path`);
      }
      return parts.map(encodeURIComponent).join("/");
    });
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries((parameters.query ?? {}) as Record<string, unknown>)) {
      if (value !== undefined && value !== null) query.set(name, String(value));
    }
    const full = query.size > 0 ? `${filled}?${query}` : filled;
    const { status, type, body } = await this.#send(full, parameters.signal ? { signal: parameters.signal } : {});
    if (status !== 200) throw refused(status, body);
    const text = () => new TextDecoder().decode(body);
    const read: unknown = type.startsWith("application/json") ? json(text()) : type.startsWith("text/") ? text() : body;
    return read as Body<P>;
  }

  async #bytes(path: string): Promise<Uint8Array> {
    const { status, body } = await this.#send(path);
    if (status !== 200) throw refused(status, body);
    return body;
  }

  /**
   * A model's package, fetched from the service and held against the digest that you pin; throws when it
   * is another one.
   */
  async openPackage(name: string, digest: string, version?: string): Promise<Package> {
    const verifier = this.#verifier ?? (await Verifier.load());
    const model = `/v1/models/${encodeURIComponent(name)}`;
    const query = version === undefined ? "" : `?version=${encodeURIComponent(version)}`;
    const [manifest, verifyingKey] = await Promise.all([
      this.#bytes(`${model}/manifest${query}`),
      this.#bytes(`${model}/verifying-key${query}`),
    ]);
    return verifier.openPackage({ digest, manifest, verifyingKey });
  }

  /** A copy of the service's log as it is now, to be held against a log key that you pin. */
  async copyLog(): Promise<LogCopy & { readonly checkpoint: string }> {
    const verifier = this.#verifier ?? (await Verifier.load());
    const files = new Map<string, Uint8Array>();
    const fetched = async (path: string): Promise<boolean> => {
      const { status, body } = await this.#send(`/${path}`);
      if (status === 404) return false;
      if (status !== 200) throw refused(status, body);
      files.set(path, body);
      return true;
    };
    await Promise.all([fetched("checkpoint"), fetched("checkpoint.cosigned")]);
    const paths = new Set<string>();
    for (const name of ["checkpoint", "checkpoint.cosigned"]) {
      // Its size is believed by nobody before its signature is checked.
      const size = /^[^\n]*\n(\d{1,18})\n/.exec(new TextDecoder().decode(files.get(name) ?? new Uint8Array()));
      if (size?.[1]) for (const path of verifier.logFiles(BigInt(size[1]))) paths.add(path);
    }
    const queue = [...paths];
    const work = async (): Promise<void> => {
      for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
        // The log may have grown since: the full tile takes the place of a partial one.
        if (!(await fetched(path))) await fetched(path.replace(/\.p\/\d+$/, ""));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const checkpoint = new TextDecoder().decode(files.get("checkpoint") ?? new Uint8Array());
    return { checkpoint, read: (path) => files.get(path) };
  }

  /**
   * Asks for an inference and verifies the answer: its proof, that it is of these inputs and of this very
   * request, and what the options demand. Gives what is proven, or throws {@link ProofmarkError}.
   */
  async infer(pinned: Package, inputs: Readonly<Record<string, InputValues>>, options: InferOptions = {}): Promise<Inference> {
    plain("options", options);
    plain("inputs", inputs);
    const { context: bound, signal, witnessTimeout = 30_000, ...rest } = options;
    const { manifest } = pinned;
    const unknown = Object.keys(inputs).find((name) => !manifest.inputs.some((spec) => spec.name === name));
    if (unknown !== undefined) refuse("input-unknown", `the model has no input "${unknown}"`);
    const context = contextOf(bound);
    const body = JSON.stringify({
      parameters: {
        nonce: context.nonce,
        chain_id: context.chainId,
        consumer: context.consumer,
        requester: context.requester,
        deadline: context.deadline,
        receipt: "inline",
      },
      inputs: manifest.inputs.map((spec) => request(spec, Object.hasOwn(inputs, spec.name) ? inputs[spec.name] : undefined)),
    });
    const judge = (answer: Uint8Array, proof?: string) =>
      pinned.verifyInference(body, answer, {
        ...rest,
        context,
        ...(proof !== undefined && { log: { ...(rest.log as LogDemand), proof } }),
      });
    // What does not make sense is not asked for: there is no answer yet that could be judged.
    const early = judge(new Uint8Array());
    if (early.verdict !== "rejected" || early.kind !== "rejected") throw new ProofmarkError(early as Rejected);
    const path = `/v2/models/${encodeURIComponent(manifest.name)}/versions/${encodeURIComponent(manifest.version)}/infer`;
    const answer = await this.#send(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      ...(signal && { signal }),
    });
    if (answer.status !== 200) throw refused(answer.status, answer.body);
    const told = parse(answer.body);
    let proof: string | undefined;
    let verdict = judge(answer.body);
    const patience = Date.now() + witnessTimeout;
    // Witnesses cosign after the answer, so the service is asked until it has a proof that they did.
    while (verdict.verdict === "rejected" && verdict.code === "tlog-witnesses-missing" && Date.now() < patience) {
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN));
      signal?.throwIfAborted();
      const id = encodeURIComponent(String(told.parameters?.receipt_id ?? ""));
      const later = await this.#send(`/v1/receipts/${id}/tlog-proof?head=cosigned`, signal ? { signal } : {});
      if (later.status === 200) {
        proof = new TextDecoder().decode(later.body);
        verdict = judge(answer.body, proof);
      } else if (later.status !== 404) throw refused(later.status, later.body);
    }
    if (verdict.verdict !== "accepted") throw new ProofmarkError(verdict);
    const { receipt, ...accepted } = verdict;
    if (receipt === undefined) refuse("internal", "the verifier did not say which receipt it verified");
    // Salts that opened a commitment; whatever else the service calls a salt is its word.
    const hidden = [...accepted.inputs, ...accepted.outputs].filter(({ visibility }) => visibility === "private");
    const opened = hidden.flatMap(({ name }) => {
      const salt = told.openings?.find(({ tensor }) => tensor === name)?.salt;
      return accepted.opened.includes(name) && salt !== undefined ? [[name, salt] as const] : [];
    });
    return new Inference(minted, {
      verdict: accepted,
      receipt,
      logProof: accepted.log ? (proof ?? told.tlog_proof ?? null) : null,
      salts: byName(opened),
    });
  }
}

/** The parts of an answer that are read beside the verdict. */
interface Told {
  parameters?: { receipt_id?: unknown };
  openings?: { tensor: string; salt: string }[];
  tlog_proof?: string;
}

function parse(body: Uint8Array): Told {
  return json(new TextDecoder().decode(body)) as Told;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const detail = `the service's answer is no JSON: ${String(error)}`;
    throw new ProofmarkError({ kind: "rejected", code: "answer-malformed", detail });
  }
}

async function bounded(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    length += part.value.length;
    if (length > MAX_ANSWER_BYTES) {
      await reader?.cancel();
      const detail = `the answer is longer than ${MAX_ANSWER_BYTES} bytes`;
      throw new ProofmarkError({ kind: "rejected", code: "answer-malformed", detail });
    }
    parts.push(part.value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A service's problem (RFC 9457); what stands in it is the service's word. */
function refused(status: number, body: Uint8Array): ProofmarkError {
  let read: unknown;
  try {
    read = JSON.parse(new TextDecoder().decode(body));
  } catch {
    // A proxy's page, perhaps.
  }
  const problem = read as { code?: unknown; detail?: unknown } | null | undefined;
  const code = typeof problem?.code === "string" && /^[a-z0-9-]{1,64}$/.test(problem.code) ? problem.code : "service-refused";
  const detail = `the service answered ${status}: ${typeof problem?.detail === "string" ? problem.detail : "it gave no reason"}`;
  const kind = status >= 500 || status === 429 || status === 408 ? "environment" : "request";
  return new ProofmarkError({ kind, code, detail, status });
}
