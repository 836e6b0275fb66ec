// snarkjs's share of the benchmark: one step a process, one JSON object on the last line.
//
//   steps.mjs setup CIRCUIT.r1cs POWERS.ptau OUT_DIR
//   steps.mjs prove OUT_DIR WITNESS.wtns RUNS BUDGET_SECONDS
//
// Times are taken inside the process: starting Node and compiling snarkjs are not counted.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

// The package is installed in the working folder, not beside this file.
const require = createRequire(path.join(process.cwd(), "package.json"));
const snarkjs = require("snarkjs");

const now = () => performance.now() / 1000;
const [step, ...rest] = process.argv.slice(2);

async function setup(circuit, ptau, out) {
  const start = now();
  const [first, last] = [path.join(out, "first.zkey"), path.join(out, "circuit.zkey")];
  if ((await snarkjs.zKey.newZKey(circuit, ptau, first)) === -1) throw new Error("newZKey refused");
  // One contribution: without it delta is 1 and verifiers refuse the key.
  await snarkjs.zKey.contribute(first, last, "bench", String(Math.random()));
  const vk = JSON.stringify(await snarkjs.zKey.exportVerificationKey(last));
  fs.writeFileSync(path.join(out, "verification_key.json"), vk);
  return {
    setup_s: now() - start,
    proving_key_bytes: fs.statSync(last).size,
    verifying_key_bytes: vk.length,
  };
}

async function prove(out, witness, runs, budget) {
  const start = now();
  const vk = JSON.parse(fs.readFileSync(path.join(out, "verification_key.json"), "utf8"));
  const report = { cold_s: 0, request_s: [], witness_s: [], proving_s: [], verifying_s: [] };
  for (let run = 0; run < runs && (run === 0 || now() - start < budget); run += 1) {
    const begun = now();
    const made = await snarkjs.groth16.prove(path.join(out, "circuit.zkey"), witness);
    const proven = now();
    if (run === 0) report.cold_s = proven - start;
    if (!(await snarkjs.groth16.verify(vk, made.publicSignals, made.proof))) {
      throw new Error("snarkjs refuses its own proof");
    }
    report.proving_s.push(proven - begun);
    report.verifying_s.push(now() - proven);
    report.request_s.push(now() - begun);
  }
  // Two points of G1 and one of G2, uncompressed; as JSON it is about three times as long.
  return { ...report, proof_bytes: 256 };
}

const report =
  step === "setup"
    ? await setup(...rest)
    : await prove(rest[0], rest[1], Number(rest[2]), Number(rest[3]));
console.log(JSON.stringify(report));
// snarkjs keeps its worker threads.
process.exit(0);
