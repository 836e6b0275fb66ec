// `node --test`: the shared table, and a service whose address stands in PROOFMARK_TEST.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import test from "node:test";
import * as lib from "proofmark";
import * as service from "./service.mjs";
import * as table from "./table.mjs";

const config = JSON.parse(process.env.PROOFMARK_TEST);

test("the shared table", async () => {
  const { cases, wrong } = await table.run(lib, JSON.parse(await readFile(config.table, "utf8")));
  assert.deepEqual(wrong, []);
  assert.ok(cases > 80, `${cases}`);
});

test("a service", async () => {
  const { wrong, ...rest } = await service.run(lib, config);
  assert.deepEqual(wrong, []);
  await writeFile(config.out, JSON.stringify(rest));
});

test("a trap starts the wasm anew", async () => {
  const shared = JSON.parse(await readFile(config.table, "utf8"));
  const held = shared.packages.plain;
  const verifier = await lib.Verifier.load();
  const files = {
    digest: held.digest,
    manifest: new TextEncoder().encode(held.manifest),
    verifyingKey: Uint8Array.from(Buffer.from(held.verifying_key, "base64")),
  };
  const opened = verifier.openPackage(files);
  // What was opened is kept, whatever becomes of the bytes.
  files.manifest.fill(0);
  files.verifyingKey.fill(0);
  files.digest = "";
  const good = shared.cases.find(({ question, verdict }) => question.of === "receipt" && question.package === "plain" && verdict === "accepted");
  assert.equal(opened.verify(good.question.receipt).verdict, "accepted");
  // What the wasm cannot take, such as a receipt that is no bytes, throws inside of the glue.
  const thrown = opened.verify(/** @type {any} */ ({ length: 1e12 }));
  assert.equal(thrown.verdict, "rejected");
  assert.equal(thrown.code, "internal");
  assert.equal(opened.verify(good.question.receipt).verdict, "accepted");
});

test("the examples of the README", async () => {
  const readme = await readFile(new URL(import.meta.resolve("proofmark/package.json")).pathname.replace("package.json", "README.md"), "utf8");
  const [asking, verifying] = readme.match(/(?<=```ts\n)[^]*?(?=```)/g);
  const model = await (await fetch(`${config.url}/v1/log`)).json();
  const run = async (code, names) => {
    const lines = code.split("\n").filter((line) => !line.startsWith("import "));
    const body = lines.join("\n").replace("https://service.example", config.url).replace("sha256:…", config.digest)
      .replace("0x…", model.service_key).replace("example.com/log+…", config.logKey);
    const AsyncFunction = (async () => {}).constructor;
    return new AsyncFunction(...Object.keys(names), `${body}\nreturn { inference: typeof inference === "undefined" ? undefined : inference, verdict: typeof verdict === "undefined" ? undefined : verdict };`)(...Object.values(names));
  };
  const { inference } = await run(asking, { ...lib, values: config.inputs });
  assert.ok(inference.verdict.checked.includes("signer") && inference.verdict.checked.includes("log-inclusion"));
  const file = async (name) => new Uint8Array(await (await fetch(`${config.url}/v1/models/${config.model}/${name}`)).arrayBuffer());
  const said = [];
  const { verdict } = await run(verifying, {
    ...lib, digest: config.digest, manifest: await file("manifest"), verifyingKey: await file("verifying-key"),
    receipt: inference.receipt, nonce: inference.verdict.context.nonce, serviceKey: model.service_key,
    key: config.logKey, proof: inference.logProof, console: { log: (...words) => said.push(words), error: assert.fail },
  });
  assert.equal(verdict.verdict, "accepted");
  assert.equal(said.length, 1);
});

test("a verifier that cannot be loaded is an error with a code", async () => {
  const { Verifier } = await import(new URL("./verifier.js?fresh", import.meta.resolve("proofmark")));
  await assert.rejects(Verifier.load(new Uint8Array([1, 2, 3])), (error) => error.code === "verifier-unavailable" && error.kind === "environment");
  assert.equal((await Verifier.load()).logFiles(1n).length, 2);
});
