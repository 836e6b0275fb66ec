import type { Rejected } from "./error.js";

/** `0x` and hex digits. */
export type Hex = `0x${string}`;
/** `sha256:` and 64 hex digits. */
export type Digest = string;

/** Part of a verification. */
export type Check =
  | "package"
  | "statement"
  | "proof"
  | "signature"
  | "signer"
  | "freshness"
  | "deadline"
  | "openings"
  | "log-inclusion"
  | "witnesses"
  | "revocations"
  | "attestations";

/** What the proof is bound to; off chain everything but the nonce is 0. */
export interface Context {
  readonly chainId: Hex;
  readonly consumer: Hex;
  readonly requester: Hex;
  readonly nonce: Hex;
  readonly deadline: number;
}

/** A tensor of an accepted receipt. */
export interface Tensor {
  readonly name: string;
  readonly elem: "uint8" | "int8" | "int32";
  readonly shape: readonly number[];
  readonly visibility: "public" | "hashed" | "private";
  /** The integers, row-major; absent where the receipt shows a commitment that nobody opened. */
  readonly values?: readonly number[];
  readonly commitment?: Hex;
  /** How the manifest reads the integers; recomputed here, no part of the proof. */
  readonly views?: {
    readonly dequantize?: readonly number[];
    readonly softmax?: readonly number[];
    readonly class?: readonly { readonly index: number; readonly label: string }[];
  };
}

/** A receipt's place in the transparency log. */
export interface Logged {
  readonly origin: string;
  readonly index: number;
  readonly size: number;
  readonly cosigned: readonly { readonly witness: string; readonly time: number }[];
  readonly advisories: readonly string[] | null;
}

/** A receipt that proves what it says. */
export interface Accepted {
  readonly verdict: "accepted";
  readonly receipt_id: Digest;
  readonly statement_digest: Digest;
  readonly package_digest: Digest;
  readonly model: { readonly name: string; readonly version: string; readonly integer_model: Digest };
  readonly circuit: Digest;
  /** What ran the integer model. */
  readonly runtime: { readonly onnxruntime: string };
  readonly verifying_key: Digest;
  /** Whoever made `single-party` keys could forge. */
  readonly setup: "single-party" | "ceremony";
  readonly context: Context;
  readonly signature: { readonly status: "valid-pinned" | "valid-unpinned"; readonly key_id: Digest };
  readonly signer: Hex;
  /** Unix seconds; the signer's claim. */
  readonly proved_at: number;
  readonly proof_bytes: number;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly opened: readonly string[];
  readonly log: Logged | null;
  readonly attestations: readonly { readonly auditor: Hex; readonly statement: string }[];
  readonly checked: readonly Check[];
  readonly not_checked: readonly Check[];
  /** What is proven, in sentences. */
  readonly proven: readonly string[];
  /** What is not proven, in sentences: show it. */
  readonly not_proven: readonly string[];
  readonly proof: Hex;
  readonly public_inputs: readonly Hex[];
}

/** What a verification says. */
export type Verdict = Accepted | Rejected;

/** Commitments of a receipt that were opened; neither its proof nor its package was looked at. */
export interface Opened {
  readonly verdict: "opened";
  readonly receipt_id: Digest;
  readonly package_digest: Digest;
  readonly tensors: readonly Tensor[];
  readonly closed: readonly string[];
  readonly not_proven: readonly string[];
}

/** A proof that holds under a pinned key for given public inputs. */
export interface Proven {
  readonly verdict: "proven";
  readonly verifying_key: Digest;
  readonly public_inputs: readonly Hex[];
}

/** A receipt that is in a log; nothing else of it was looked at. */
export interface InLog extends Logged {
  readonly verdict: "logged";
  readonly not_proven: readonly string[];
}

/** Two checkpoints of a log, the newer of which continues the older. */
export interface Consistent {
  readonly verdict: "consistent";
  readonly origin: string;
  readonly older: { readonly size: number; readonly root: string };
  readonly newer: { readonly size: number; readonly root: string };
  readonly cosigned: readonly { readonly witness: string; readonly time: number }[];
}

/** Whose word on a transparency log is taken. */
export interface LogKeys {
  /** `NAME+ID+KEY`, from a source that you trust. */
  readonly key: string;
  readonly witnesses?: readonly string[];
  /** How many of the witnesses must have cosigned; without it all. */
  readonly quorum?: number;
}

/** A copy of a log's static files. */
export interface LogCopy {
  /** The bytes at a path such as `checkpoint`; `undefined` where there is nothing; throws when it cannot tell. */
  read(path: string): Uint8Array | undefined;
}

/** What is asked of the log. */
export interface LogDemand extends LogKeys {
  /** The text of a `.tlog-proof`. */
  readonly proof?: string;
  /** The log, or a mirror of it: what it revokes is refused. Needs the service's key. */
  readonly copy?: LogCopy;
  /** Whether the copy may be older than the receipt. */
  readonly copyMayBeOlder?: boolean;
}

/** What is asked of a receipt beyond being true. */
export interface Demands {
  readonly context?: Context;
  readonly nonce?: Hex;
  /** Ed25519 public key of the service that must have signed. */
  readonly serviceKey?: Hex;
  /** A file of openings, parsed. */
  readonly openings?: unknown;
  readonly attestations?: readonly string[];
  readonly auditorKeys?: readonly Hex[];
  readonly log?: LogDemand;
  /** Unix seconds: a receipt whose deadline has passed is refused. */
  readonly now?: number;
}
