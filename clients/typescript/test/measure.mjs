// Bytes and milliseconds of the committed wasm, in Node and in headless Chromium.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { inChromium } from "./chromium.mjs";
import { here, serve } from "./serve.mjs";
import { measure } from "./times.mjs";

const bytes = await readFile(join(here, "wasm/proofmark_bg.wasm"));
const table = await readFile(join(here, "../../tests/compat/table.json"), "utf8");
console.log(`wasm: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped`);
const show = (where, rows) => {
  for (const { name, open, verify } of rows) {
    console.log(`${where} ${name}: opening a package ${open.toFixed(1)} ms, a receipt ${verify.toFixed(1)} ms`);
  }
};
show(`node ${process.version}`, await measure(await WebAssembly.compile(bytes), JSON.parse(table)));
const server = await serve(here, { "table.json": table });
try {
  const { error, rows, agent } = await inChromium(`${server.url}/files/test/times.html`, server.result, 120);
  if (error) throw new Error(error);
  show(/Chrome\/[\d.]+/.exec(agent)?.[0] ?? agent, rows);
} finally {
  server.close();
}
