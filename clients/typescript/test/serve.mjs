// Files of this package for a browser.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };

/**
 * Serves `root` under `/files/` and the named texts under `/data/`. `POST /result` settles the promise.
 */
export async function serve(root, data = {}) {
  let settle;
  const result = new Promise((resolve) => (settle = resolve));
  const server = createServer((incoming, response) => {
    const path = new URL(incoming.url, "http://local").pathname;
    const type = TYPES[/\.\w+$/.exec(path)?.[0]] ?? "application/octet-stream";
    if (incoming.method === "POST" && path === "/result") {
      let text = "";
      incoming.on("data", (part) => (text += part));
      incoming.on("end", () => {
        response.end();
        settle(JSON.parse(text));
      });
    } else if (path.startsWith("/files/")) {
      const file = join(root, normalize(decodeURIComponent(path.slice(7))));
      readFile(file).then(
        (bytes) => response.writeHead(200, { "content-type": type }).end(bytes),
        () => response.writeHead(404).end(),
      );
    } else if (path.startsWith("/data/")) {
      const text = data[path.slice(6)];
      response.writeHead(text === undefined ? 404 : 200, { "content-type": "application/json" }).end(text);
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, result, close: () => server.close() };
}

export const here = fileURLToPath(new URL("..", import.meta.url));
