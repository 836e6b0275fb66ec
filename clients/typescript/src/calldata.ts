import type { Accepted, Hex } from "./verdict.js";

/** Which contract is called. */
export interface CallOptions {
  /** `verifyProof` answers with a `bool`, `requireProof` reverts with the reason. */
  readonly function?: "verifyProof" | "requireProof";
  /** For a universal verifier or a router, which are told the key's digest. */
  readonly universal?: boolean;
}

/** First four bytes of keccak-256 of the signature. */
const SELECTORS = {
  verifyProof: ["1e8e1e13", "e298ec58"],
  requireProof: ["c32fe8c8", "5763fd20"],
} as const;

const bytesType = { name: "proof", type: "bytes" } as const;
const inputsType = { name: "inputs", type: "uint256[]" } as const;
const keyType = { name: "key", type: "bytes32" } as const;

function digits(hex: string): string {
  const found = /^(?:0x|sha256:)((?:[0-9a-f]{2})*)$/.exec(hex);
  if (!found?.[1]) throw new TypeError(`not hex: ${hex.slice(0, 20)}`);
  return found[1];
}

/** Throws for what was not accepted: a contract is given what was verified here, or nothing. */
function demandAccepted(verdict: { readonly verdict: string }): void {
  if (verdict.verdict !== "accepted") throw new TypeError("only an accepted verdict has a call");
}

const word = (value: number): string => value.toString(16).padStart(64, "0");

/** The call that gives an accepted receipt's proof to a contract, as viem and ethers take it. */
export function contractCall(accepted: Accepted, options: CallOptions = {}) {
  demandAccepted(accepted);
  const name = options.function ?? "requireProof";
  const key: Hex = `0x${digits(accepted.verifying_key)}`;
  const inputs = accepted.public_inputs.map((input) => BigInt(input));
  const outputs = name === "verifyProof" ? [{ name: "", type: "bool" } as const] : [];
  const parameters = options.universal ? [keyType, bytesType, inputsType] : [bytesType, inputsType];
  return {
    abi: [{ type: "function", stateMutability: "view", name, inputs: parameters, outputs }] as const,
    functionName: name,
    args: options.universal ? ([key, accepted.proof, inputs] as const) : ([accepted.proof, inputs] as const),
  };
}

/** The calldata of that call: the bytes of `proofmark evm calldata`. */
export function calldata(accepted: Accepted, options: CallOptions = {}): Hex {
  demandAccepted(accepted);
  const name = options.function ?? "requireProof";
  const head = options.universal ? 3 : 2;
  const proof = digits(accepted.proof);
  const padded = proof.padEnd(Math.ceil(proof.length / 64) * 64, "0");
  const proofAt = 32 * head;
  const inputsAt = proofAt + 32 + padded.length / 2;
  return `0x${[
    SELECTORS[name][options.universal ? 1 : 0],
    ...(options.universal ? [digits(accepted.verifying_key)] : []),
    word(proofAt),
    word(inputsAt),
    word(proof.length / 2),
    padded,
    word(accepted.public_inputs.length),
    ...accepted.public_inputs.map((input) => digits(input).padStart(64, "0")),
  ].join("")}`;
}
