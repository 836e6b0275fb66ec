// Compiles contracts. Deterministic: the compiler is pinned, and no metadata hash is in the code.
//
// node build.mjs                        src/ to artifacts/
// node build.mjs OUT FILE.sol...        the contracts in these files, with src/ for their imports
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
// The compiler is looked for where this runs, so that tests can install it elsewhere.
const solc = createRequire(join(process.cwd(), "package.json"))("solc");

function solidityFiles(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? solidityFiles(path) : path.endsWith(".sol") ? [path] : [];
    })
    .sort();
}

const [out = join(here, "artifacts"), ...given] = process.argv.slice(2);
const files = given.length > 0 ? given : solidityFiles(join(here, "src"));
const named = given.length > 0 ? basename : (path) => relative(here, path);
const sources = Object.fromEntries(
  files.map((path) => [named(path), { content: readFileSync(path, "utf8") }]),
);
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "shanghai",
    optimizer: { enabled: true, runs: 200 },
    viaIR: true,
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};
const findImport = (path) => {
  const file = join(here, path);
  return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: "no such file" };
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
const messages = output.errors ?? [];
for (const message of messages) console.error(message.formattedMessage);
// A warning is a failure too.
if (messages.length > 0) process.exit(1);

mkdirSync(out, { recursive: true });
for (const file of Object.keys(sources)) {
  for (const [name, contract] of Object.entries(output.contracts[file] ?? {})) {
    const creation = contract.evm.bytecode.object;
    // Interfaces and abstract contracts are parts of others.
    if (creation === "") continue;
    const artifact = {
      contract: name,
      source: file,
      compiler: solc.version().replace(/\.Emscripten.*$/, ""),
      runtimeBytes: contract.evm.deployedBytecode.object.length / 2,
      bytecode: `0x${creation}`,
      abi: contract.abi,
    };
    writeFileSync(join(out, `${name}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
  }
}
