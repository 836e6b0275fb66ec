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

  // What does not make sense is refused before anybody is asked.
  let sent = 0;
  const counting = new Service(config.url, { fetch: (...given) => ((sent += 1), fetch(...given)) });
  for (const [what, options] of Object.entries({
    misspelt: { servicekey: serviceKey },
    "a key that got lost": { serviceKey: undefined },
    "no time": { now: Number("soon") },
    "a log that got lost": { log: undefined },
    "a copy that got lost": { log: { ...log, copy: undefined } },
    "a copy that cannot be older": { log: { ...log, copyMayBeOlder: undefined } },
    "openings of its own": { openings: [] },
    "a short address": { context: { consumer: "0x01" } },
    "no deadline": { context: { deadline: Number.NaN } },
    inherited: Object.create({ serviceKey }),
    "a list": [],
  })) {
    await refused("parameter-invalid", what, () => counting.infer(pinned, inputs, options));
  }
  await refused("input-not-finite", "no number", () => counting.infer(pinned, { [input.name]: { floats: config.inputs.map(() => NaN) } }));
  await refused("input-type", "both", () => counting.infer(pinned, { [input.name]: { floats: config.inputs, integers: config.inputs } }));
  await refused("input-missing", "an inherited input", () => counting.infer(pinned, {}));
  check(sent === 0, `${sent} requests were sent for nothing`);
  for (const demands of [{ nonce: undefined }, { nonce: null }, { now: NaN }, Object.create({ nonce: "0x" }), { toJSON: () => ({}) }, { nonce: () => "" }, null, "{}"]) {
    const judged = pinned.verify(first.receipt, demands);
    check(judged.code === "parameter-invalid", `a demand that got lost: ${JSON.stringify(judged).slice(0, 200)}`);
  }
  // Addresses come with capital letters, and chains as short numbers.
  const spelt = { chainId: "0x7A69", consumer: `0x${"aB".repeat(20)}` };
  const short = await service.infer(pinned, inputs, { context: spelt });
  check(short.verdict.context.chainId === context.chainId && short.verdict.context.consumer === context.consumer, "a context has one spelling");

  // What was verified stays as it is, all the way down; the rest is not handed on.
  const values = first.outputs[output].values;
  check(Object.isFrozen(values) && Object.isFrozen(first.verdict.checked) && Object.isFrozen(pinned.manifest.inputs), "frozen all the way down");
  first.receipt.fill(0);
  check(pinned.verify(first.receipt).verdict === "accepted", "the receipt cannot be written over");
  check(honest.logProof === null && first.logProof !== null, "a proof of the log that nobody checked is not handed on");
  const salted = await lying((body) => replaced(body, "{", '{"__proto__":{"polluted":1},"openings":[{"tensor":"__proto__","salt":"0x1"}],')).infer(pinned, inputs);
  check(Object.keys(salted.salts).length === 0 && !("polluted" in salted) && !("polluted" in {}), "told salts are nobody's");
  check(first.outputs.constructor === undefined && first.label("toString") === null, "an output that is not there");

  // Two answers that change places are two refusals.
  const held = [];
  const swapping = new Service(config.url, {
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      const other = await new Promise((resolve) => {
        held.push({ response, resolve });
        if (held.length === 2) held.forEach((one, index) => one.resolve(held[1 - index].response));
      });
      return other;
    },
  });
  await Promise.all([inputs, inputs].map((one) => refused("context-mismatch", "a crossed answer", () => swapping.infer(pinned, one))));

  // Errors keep their codes.
  const answering = (text, init) => new Service(config.url, { fetch: async () => new Response(text, init) });
  await refused("service-refused", "null as a problem", () => answering("null", { status: 503 }).infer(pinned, inputs));
  await refused("service-refused", "a proxy's page", () => answering("<html>", { status: 502 }).infer(pinned, inputs));
  await refused("answer-malformed", "half a list", () => answering('{"models":[', { headers: { "content-type": "application/json" } }).get("/v1/models"));
  await refused("answer-malformed", "null", () => answering("null").infer(pinned, inputs));
  await refused("answer-malformed", "a list", () => answering("[[],[],{},null]").infer(pinned, inputs));
  await refused("parameter-invalid", "another path", () => service.get("/v1/receipts/{id}", { path: { id: "../models" } }));
  await refused("parameter-invalid", "no path", () => service.get("/v1/receipts/{id}"));
  let redirect;
  await refused("service-unreachable", "a redirection", () =>
    new Service(config.url, { fetch: async (_, init) => { redirect = init.redirect; throw new TypeError("redirected"); } }).infer(pinned, inputs));
  check(redirect === "error", "nobody else is sent the inputs");
  const aborted = new AbortController();
  aborted.abort();
  try {
    wrong.push(`aborted: ${await service.infer(pinned, inputs, { signal: aborted.signal })}`);
  } catch (error) {
    check(error.name === "AbortError", `aborted: ${error}`);
  }
  try {
    wrong.push(`calldata of a refusal: ${calldata(pinned.verify("{}"))}`);
  } catch (error) {
    check(error instanceof TypeError, `calldata of a refusal: ${error}`);
  }

  // Nobody makes an inference but by verifying.
  try {
    const made = new first.constructor(Symbol("verified"), { verdict: first.verdict, receipt: "", logProof: null, salts: {} });
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
