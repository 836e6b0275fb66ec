/** Asks a Proofmark service and verifies what it answers; verifies receipts offline. */
export { calldata, contractCall, type CallOptions } from "./calldata.js";
export { ProofmarkError, type Kind, type Rejected } from "./error.js";
export type { components, paths } from "./openapi.js";
export { type Inference, Service, type InferOptions, type InputValues, type ServiceOptions } from "./service.js";
export type * from "./verdict.js";
export {
  Verifier,
  type Manifest,
  type Package,
  type PackageFiles,
  type TensorSpec,
  type WasmSource,
} from "./verifier.js";
