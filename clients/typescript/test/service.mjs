// Asks a real service, and services that lie. Gives what is wrong, an empty list when all is right.

/** The first bytes of `from` replaced in a body. */
function replaced(body, from, to) {
  const text = new TextDecoder().decode(body);
  if (!text.includes(from)) throw new Error(`the answer has no ${from}`);
  return new TextEncoder().encode(text.replace(from, to));
}

/**
 * `config`: `url`, `model`, `digest`, `logKey`, `inputs` and `others` (values of the only input), `other`
 * (another package's digest).
 */
export async function run(lib, config) {
  const { ProofmarkError, Service, Verifier, calldata, contractCall } = lib;
  const wrong = [];
  const check = (holds, what) => holds || wrong.push(what);
  const refused = async (code, what, ask) => {
    try {
      const got = await ask();
      wrong.push(`${what}: ${code} is missing, got ${JSON.stringify(got).slice(0, 200)}`);
    } catch (error) {
      if (!(error instanceof ProofmarkError)) throw error;
      check(error.code === code, `${what}: ${code} wanted, got ${error.code}: ${error.message}`);
    }
  };
  const service = new Service(config.url);
  const models = await service.get("/v1/models");
  check(models.models.some((m) => m.name === config.model), "the model is listed");
  await refused("package-not-pinned", "another digest", () => service.openPackage(config.model, config.other));
  await refused("model-unknown", "another model", () => service.openPackage("nothing", config.digest));
  const pinned = await service.openPackage(config.model, config.digest);
  const [input] = pinned.manifest.inputs;
  const inputs = { [input.name]: { floats: config.inputs } };
  const others = { [input.name]: { floats: config.others } };

  const log = { key: config.logKey };
  const first = await service.infer(pinned, inputs, { log });
  const made = first.verdict.checked;
  for (const part of ["proof", "freshness", "log-inclusion"]) check(made.includes(part), `${part} is checked`);
  check(typeof first.label(pinned.manifest.outputs[0].name) === "string", "the output has a class");
  check(first.verdict.not_proven.length > 0, "what is not proven is said");
  check(pinned.verify(first.receipt).verdict === "accepted", "the receipt can be kept");
  check(Object.isFrozen(first) && Object.isFrozen(first.outputs), "what was verified stays as it is");

  // With the service's key, as a verified receipt names it, and the whole log.
  const serviceKey = first.verdict.signer;
  const before = await service.get("/checkpoint");
  const second = await service.infer(pinned, inputs, { serviceKey, log: { ...log, copy: await service.copyLog(), copyMayBeOlder: true } });
  for (const part of ["signer", "revocations"]) check(second.verdict.checked.includes(part), `${part} is checked`);
  check(second.verdict.receipt_id !== first.verdict.receipt_id, "two requests have two receipts");
  const verifier = await Verifier.load();
  const copy = await service.copyLog();
  const history = verifier.compareHistory({ log, older: before }, copy);
  check(history.verdict === "consistent", `the log is append-only: ${JSON.stringify(history)}`);
  const foreign = verifier.compareCheckpoints({ log, older: copy.checkpoint, newer: before, proof: [] });
  check(foreign.code === "tlog-out-of-range", `an older log is no continuation: ${JSON.stringify(foreign)}`);
  const logged = verifier.verifyLogProof(second.receipt, { ...log, proof: second.logProof });
  check(logged.verdict === "logged", "the proof of the log is kept");

  // Bound to a contract.
  const context = { chainId: `0x${"0".repeat(60)}7a69`, consumer: `0x${"ab".repeat(20)}`, deadline: 2_000_000_000 };
  const bound = await service.infer(pinned, inputs, { context, now: 1_900_000_000 });
  check(bound.verdict.context.consumer === context.consumer, "the context is the one that was asked for");
  check(bound.verdict.checked.includes("deadline"), "the deadline is checked");
  await refused("context-expired", "too late", () => service.infer(pinned, inputs, { context, now: 2_000_000_001 }));

  // What a contract takes.
  const calls = {};
  for (const name of ["verifyProof", "requireProof"]) {
    for (const universal of [false, true]) {
      calls[`${name} ${universal}`] = calldata(first.verdict, { function: name, universal });
      const call = contractCall(first.verdict, { function: name, universal });
      check(call.args.length === (universal ? 3 : 2) && call.functionName === name, "the call has its arguments");
    }
  }

  // Questions that make no sense are not sent.
  const silent = new Service(config.url, { fetch: () => { throw new Error("sent"); } });
  for (const [code, given] of [
    ["input-missing", {}],
    ["input-unknown", { ...inputs, more: { floats: [1] } }],
    ["tensor-length-mismatch", { [input.name]: { floats: [1, 2] } }],
    ["input-not-finite", { [input.name]: { floats: config.inputs.map(() => NaN) } }],
    ["input-type", { [input.name]: { integers: config.inputs.map(() => 0.5) } }],
  ]) {
    await refused(code, "a question", () => silent.infer(pinned, given));
  }
  await refused("service-unreachable", "nobody there", () => silent.infer(pinned, inputs));

  // Services that lie: nothing of what they say comes out of infer().
  const answers = [];
  const spying = new Service(config.url, {
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      answers.push(new Uint8Array(await response.clone().arrayBuffer()));
      return response;
    },
  });
  const honest = await spying.infer(pinned, inputs);
  const [old] = answers;
  const lying = (change) =>
    new Service(config.url, {
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        const body = await change(new Uint8Array(await response.arrayBuffer()), init);
        return new Response(body, { status: 200, headers: { "content-type": "application/json" } });
      },
    });
  await refused("context-mismatch", "an old answer", () => lying(() => old).infer(pinned, inputs));
  const otherAnswer = async (_, init) => {
    const body = JSON.parse(init.body);
    body.inputs[0].data = config.others;
    const response = await fetch(`${config.url}/v2/models/${config.model}/infer`, { ...init, body: JSON.stringify(body) });
    return new Uint8Array(await response.arrayBuffer());
  };
  await refused("opening-mismatch", "the answer to other inputs", () => lying(otherAnswer).infer(pinned, inputs));
  check((await lying(otherAnswer).infer(pinned, others)).verdict.verdict === "accepted", "which is right for those");
  await refused("answer-malformed", "no receipt", () => lying((body) => replaced(body, '"receipt":', '"other":')).infer(pinned, inputs));
  await refused("answer-malformed", "a page", () => lying(() => new TextEncoder().encode("<html>")).infer(pinned, inputs));
  await refused("answer-malformed", "nothing", () => lying(() => new Uint8Array()).infer(pinned, inputs));
  const flipped = (body) => {
    const at = new TextDecoder().decode(body).indexOf('"sig":"') + 10;
    const changed = body.slice();
    changed[at] = changed[at] === 65 ? 66 : 65;
    return changed;
  };
  await refused("signature-invalid", "another signature", () => lying(flipped).infer(pinned, inputs));
  await refused("signer-mismatch", "another signer", () => service.infer(pinned, inputs, { serviceKey: `0x${"11".repeat(32)}` }));
  await refused("tlog-origin-mismatch", "another log", () =>
    service.infer(pinned, inputs, { log: { key: config.logKey.replace(/^[^+]*/, "example.com/other") } }).catch((error) => {
      // A name is part of what its key's id is of.
      if (error.code === "parameter-invalid") throw new ProofmarkError({ kind: "rejected", code: "tlog-origin-mismatch", detail: error.message });
      throw error;
    }));
  // Outputs that are told beside the receipt are nobody's word.
  const told = lying((body) => {
    const answer = JSON.parse(new TextDecoder().decode(body));
    const text = JSON.stringify(answer.outputs);
    return replaced(body, text, text.replace(/"data":\[[^\]]*\]/g, '"data":[1,2]'));
  });
  const output = pinned.manifest.outputs[0].name;
  const same = await told.infer(pinned, inputs);
  check(JSON.stringify(same.outputs[output].values) === JSON.stringify(honest.outputs[output].values), "outputs are the receipt's");

  // Nobody makes an inference but by verifying.
  try {
    const made = new first.constructor(Symbol("verified"), { verdict: first.verdict, receipt: first.receipt, logProof: null, salts: {} });
    wrong.push(`an inference was made: ${made}`);
  } catch (error) {
    check(error instanceof TypeError, "an inference cannot be made");
  }

  // A trap of the wasm ends the question, not the verifier.
  const stopped = pinned.verify(first.receipt, { log: { ...log, copy: { read() { throw new WebAssembly.RuntimeError("unreachable"); } } }, serviceKey });
  check(stopped.verdict === "rejected", "a copy that throws is no acceptance");
  check(pinned.verify(first.receipt).verdict === "accepted", "and the next question is answered");
  return { wrong, calls, receipt: new TextDecoder().decode(first.receipt) };
}
