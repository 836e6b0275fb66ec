// Runs the shared table (tests/compat/table.json). Gives what is wrong, an empty list when all is right.

const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** Answers one case as the verdict's JSON. */
function judge(lib, verifier, table, packages, { question, copy: name }) {
  const files = table.logs[name];
  const copy = files && { read: (path) => (path in files ? decode(files[path]) : undefined) };
  switch (question.of) {
    case "package": {
      const held = table.packages[question.package];
      const { digest = held.digest, manifest = held.manifest, verifying_key = held.verifying_key } = question;
      try {
        verifier.openPackage({ digest, manifest: new TextEncoder().encode(manifest), verifyingKey: decode(verifying_key) });
        return { verdict: "opened" };
      } catch (error) {
        if (!(error instanceof lib.ProofmarkError)) throw error;
        return { verdict: "rejected", kind: error.kind, code: error.code };
      }
    }
    // The table's demands are in the wasm's words; the package's own are camel case.
    case "receipt":
      return packages[question.package].verify(question.receipt, demands(question.demands, copy));
    case "inference": {
      const answer = new TextEncoder().encode(question.answer);
      return packages[question.package].verifyInference(JSON.stringify(question.request), answer, demands(question.demands, copy));
    }
    case "openings":
      return verifier.verifyOpenings(question.receipt, JSON.stringify(question.openings));
    case "proof": {
      const { verifying_key_digest: verifyingKeyDigest, proof, public_inputs: publicInputs } = question.question;
      return verifier.verifyProof(decode(table.packages[question.package].verifying_key), { verifyingKeyDigest, proof, publicInputs });
    }
    case "log-proof":
      return verifier.verifyLogProof(question.receipt, question.question);
    case "checkpoints":
      return verifier.compareCheckpoints(question.question);
    case "history":
      return verifier.compareHistory(question.question, copy);
    default:
      throw new Error(`no such question: ${question.of}`);
  }
}

function demands(given, copy) {
  if (Array.isArray(given)) return given;
  const { service_key: serviceKey, auditor_keys: auditorKeys, log, ...rest } = given;
  const { copy_may_be_older: copyMayBeOlder, ...keys } = log ?? {};
  return {
    ...rest,
    ...(serviceKey !== undefined && { serviceKey }),
    ...(auditorKeys !== undefined && { auditorKeys }),
    ...(log === null && { log }),
    ...(log && { log: { ...keys, ...(copyMayBeOlder !== undefined && { copyMayBeOlder }), ...(copy && { copy }) } }),
  };
}

export async function run(lib, table) {
  const verifier = await lib.Verifier.load();
  const packages = Object.fromEntries(
    Object.entries(table.packages).map(([name, { digest, manifest, verifying_key }]) => [
      name,
      verifier.openPackage({ digest, manifest: new TextEncoder().encode(manifest), verifyingKey: decode(verifying_key) }),
    ]),
  );
  const wrong = [];
  for (const one of table.cases) {
    const got = judge(lib, verifier, table, packages, one);
    const wanted = { verdict: one.verdict, code: one.code, kind: one.kind };
    for (const [member, value] of Object.entries(wanted)) {
      if (got[member] !== value) wrong.push(`${one.name}: ${member} is ${value}, got ${JSON.stringify(got).slice(0, 300)}`);
    }
    for (const check of one.checked ?? []) {
      if (!got.checked?.includes(check)) wrong.push(`${one.name}: ${check} was not checked`);
    }
  }
  return { cases: table.cases.length, wrong };
}
