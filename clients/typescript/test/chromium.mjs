// A page in headless Chromium, until it has posted its result.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Opens a page and waits for `result`; the browser ends with it. */
export async function inChromium(url, result, seconds = 60) {
  const profile = await mkdtemp(join(tmpdir(), "proofmark-chromium-"));
  const program = process.env.CHROMIUM ?? "chromium";
  const flags = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", `--user-data-dir=${profile}`, "--remote-debugging-port=0", url,
  ];
  const browser = spawn(program, flags, { stdio: "ignore" });
  const ended = new Promise((resolve) => browser.on("exit", resolve));
  const failed = new Promise((_, reject) => {
    browser.on("error", (error) =>
      reject(new Error(`${program} does not start (${error.message}): install Debian's chromium, or name a browser in CHROMIUM`)));
    browser.on("exit", (code) => reject(new Error(`${program} ended with ${code}`)));
    setTimeout(() => reject(new Error(`the page said nothing within ${seconds} seconds`)), 1000 * seconds).unref();
  });
  failed.catch(() => {});
  try {
    return await Promise.race([result, failed]);
  } finally {
    browser.kill("SIGKILL");
    await ended;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
