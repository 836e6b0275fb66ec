// What whoever installs the package writes, held to its types by `tsc` under every way of finding modules.
import { ProofmarkError, Service, Verifier, calldata, contractCall, type Accepted, type Inference, type paths } from "proofmark";

const service = new Service("https://service.example");
const { models } = await service.get("/v1/models");
const name: string | undefined = models[0]?.name;
// @ts-expect-error such a path is not served
await service.get("/v1/nothing");
// @ts-expect-error a name is text
const wrong: number | undefined = models[0]?.name;

const pinned = await service.openPackage("model", "sha256:…");
const pending = service.infer(pinned, { x: { floats: [1] } }, { context: { chainId: "0x1" } });
// @ts-expect-error an answer that was not awaited is no inference
pending.outputs;
const inference: Inference = await pending;
// @ts-expect-error what was verified is not written over
inference.outputs = {};
// @ts-expect-error a demand that nobody knows
service.infer(pinned, {}, { servicekey: "0x" });

const verdict = pinned.verify(inference.receipt, { nonce: inference.verdict.context.nonce });
// @ts-expect-error only what was accepted has outputs
verdict.outputs;
// @ts-expect-error only what was accepted has a call
calldata(verdict);
if (verdict.verdict === "accepted") {
  const accepted: Accepted = verdict;
  const { abi, args, functionName } = contractCall(accepted);
  void [calldata(accepted), abi, args, functionName];
}
// @ts-expect-error a verifier is loaded
new Verifier();
export type Models = paths["/v1/models"];
export { ProofmarkError, name, wrong };
