/** What a refusal says of whom: of what was given, of the question, or of the circumstances. */
export type Kind = "rejected" | "request" | "environment";

/** A receipt, an answer or a question that was refused. Nothing of what was refused is in it. */
export interface Rejected {
  readonly verdict: "rejected";
  readonly kind: Kind;
  /** Stable kebab-case code, the same in every Proofmark tool. */
  readonly code: string;
  readonly detail: string;
  /** What to do about it. */
  readonly hint: string | null;
}

/** Thrown where there is nothing to give back: an answer that does not verify, a service that refuses. */
export class ProofmarkError extends Error {
  override readonly name = "ProofmarkError";
  readonly code: string;
  readonly kind: Kind;
  readonly hint: string | null;
  /** HTTP status, when a service refused. */
  readonly status: number | null;

  constructor(refusal: Pick<Rejected, "kind" | "code" | "detail"> & { hint?: string | null; status?: number }) {
    super(`${refusal.detail} [${refusal.code}]`);
    this.code = refusal.code;
    this.kind = refusal.kind;
    this.hint = refusal.hint ?? null;
    this.status = refusal.status ?? null;
  }
}
