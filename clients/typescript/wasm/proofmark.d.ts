/* tslint:disable */
/* eslint-disable */

/**
 * A package that its digest pins, checked once for any number of receipts.
 */
export class Package {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Checks that the manifest is the pinned one and the verifying key the manifest's.
     *
     * # Errors
     * The text of the verdict.
     */
    constructor(digest: string, manifest: Uint8Array | number[], verifying_key: Uint8Array | number[]);
    /**
     * Verifies a service's answer to the inference request with this body.
     */
    verifyInference(request: string, body: Uint8Array | number[], demands: string, copy?: any | null): string;
    /**
     * Verifies a receipt; `demands` is the JSON object of `proofmark_recipient::answer`.
     */
    verify(receipt: Uint8Array | number[], demands: string, copy?: any | null): string;
}

export function __wbg_reset_state(): void;

/**
 * Compares two checkpoints of a log by a consistency proof.
 */
export function compareCheckpoints(question: string): string;

/**
 * Compares a checkpoint that was kept with a copy of the log as it is.
 */
export function compareHistory(question: string, copy: any): string;

/**
 * The files, one a line, that a log of this many entries consists of beside its checkpoint; nothing
 * where they are more than can be read at once.
 */
export function logFiles(size: bigint): string;

/**
 * Checks that a `.tlog-proof` shows a receipt in a log.
 */
export function verifyLogProof(receipt: Uint8Array | number[], question: string): string;

/**
 * Compares a file of openings with the commitments of a receipt.
 */
export function verifyOpenings(receipt: Uint8Array | number[], openings: Uint8Array | number[]): string;

/**
 * Verifies a proof alone under a key that is pinned by its digest.
 */
export function verifyProof(verifying_key: Uint8Array | number[], question: string): string;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_package_free: (a: number, b: number) => void;
    readonly compareCheckpoints: (a: number, b: number) => [number, number];
    readonly compareHistory: (a: number, b: number, c: any) => [number, number];
    readonly logFiles: (a: bigint) => [number, number];
    readonly package_new: (a: number, b: number, c: number, d: number, e: number, f: number) => [number, number, number];
    readonly package_verify: (a: number, b: number, c: number, d: number, e: number, f: number) => [number, number];
    readonly package_verifyInference: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => [number, number];
    readonly verifyLogProof: (a: number, b: number, c: number, d: number) => [number, number];
    readonly verifyOpenings: (a: number, b: number, c: number, d: number) => [number, number];
    readonly verifyProof: (a: number, b: number, c: number, d: number) => [number, number];
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __wbindgen_exn_store: (a: number) => void;
    readonly __externref_table_alloc: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_realloc: (a: number, b: number, c: number, d: number) => number;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
