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
  const good = shared.cases.find(({ question, verdict }) => question.of === "receipt" && question.package === "plain" && verdict === "accepted");
  assert.equal(opened.verify(good.question.receipt).verdict, "accepted");
  // What the wasm cannot take, such as a receipt that is no bytes, throws inside of the glue.
  const thrown = opened.verify(/** @type {any} */ ({ length: 1e12 }));
  assert.equal(thrown.verdict, "rejected");
  assert.equal(thrown.code, "internal");
  assert.equal(opened.verify(good.question.receipt).verdict, "accepted");
});
