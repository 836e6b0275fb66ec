// The same checks in headless Chromium; the page is of another origin than the service.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { inChromium } from "./chromium.mjs";
import { here, serve } from "./serve.mjs";

const config = JSON.parse(process.env.PROOFMARK_TEST);
const server = await serve(here, {
  "table.json": await readFile(config.table, "utf8"),
  "config.json": JSON.stringify(config),
});
try {
  const { error, table, service } = await inChromium(`${server.url}/files/test/page.html`, server.result);
  assert.equal(error, undefined);
  assert.deepEqual(table.wrong, []);
  assert.deepEqual(service.wrong, []);
  await writeFile(config.out, JSON.stringify(service));
  console.log(`${table.cases} cases`);
} finally {
  server.close();
}
