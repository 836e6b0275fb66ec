// Median milliseconds to open a package and to verify a receipt of it, for both proof systems.
import * as wasm from "../wasm/proofmark.js";

const ROUNDS = 41;
const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];

function times(work) {
  const taken = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    work();
    taken.push(performance.now() - start);
  }
  return median(taken);
}

export async function measure(module, table) {
  wasm.initSync({ module });
  return ["plain", "lookup"].map((name) => {
    const { digest, manifest, verifying_key: key } = table.packages[name];
    const [text, bytes] = [new TextEncoder().encode(manifest), decode(key)];
    const { question } = table.cases.find(({ question: q, verdict }) => q.of === "receipt" && q.package === name && verdict === "accepted");
    const receipt = new TextEncoder().encode(question.receipt);
    const pinned = new wasm.Package(digest, text, bytes);
    const verify = times(() => {
      if (!pinned.verify(receipt, "{}").includes('"verdict":"accepted"')) throw new Error(name);
    });
    return { name, verify, open: times(() => new wasm.Package(digest, text, bytes).free()) };
  });
}
