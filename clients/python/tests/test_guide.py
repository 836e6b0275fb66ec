"""The blocks of docs/guides/python.md, in their order."""

import contextlib
import io
import json
import os
import re
import shlex
import socket
import subprocess
import time
import unittest
import urllib.request
from pathlib import Path

CONFIG = json.loads(os.environ["PROOFMARK_TEST"])
ADDRESS = "127.0.0.1:8080"


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


class Guide(unittest.TestCase):
    def serve(self, block, address):
        program, *arguments = shlex.split(block.replace(ADDRESS, address))
        self.assertEqual(program, "proofmark")
        log = self.enterContext(open("service.log", "wb"))
        service = subprocess.Popen([CONFIG["program"], *arguments], stdout=log, stderr=log)
        self.addCleanup(service.wait)
        self.addCleanup(service.kill)
        ready = f"http://{address}/v2/health/ready"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(600):
            self.assertIsNone(service.poll(), Path("service.log").read_text())
            with contextlib.suppress(OSError), opener.open(ready, timeout=5) as answer:
                return answer.read()
            time.sleep(0.05)
        raise AssertionError(Path("service.log").read_text())

    def test_every_block(self):
        guide = Path(CONFIG["guide"]).read_text()
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
        os.chdir(CONFIG["work"])
        Path("models").symlink_to(Path(CONFIG["models"]).resolve())
        address = free_address()
        names = {}
        ran = []
        for language, block in blocks:
            if language == "python":
                said = io.StringIO()
                with contextlib.redirect_stdout(said):
                    exec(compile(block.replace(ADDRESS, address), "guide", "exec"), names)
                ran.append(said.getvalue())
            elif block.startswith("proofmark serve"):
                self.serve(block, address)
                ran.append("")
            else:
                # How the package gets here is not what is tested here.
                self.assertEqual((language, block.split()[:4]), ("sh", "python3 -m pip install".split()))
        self.assertEqual(len(ran), 7)
        self.assertIn("not proven:", ran[-1])
        # The service's salts open what it hid, and are not in the receipt.
        inference, pinned = names["inference"], names["pinned"]
        opened = pinned.verify(inference.receipt, openings=inference.openings)
        self.assertEqual(opened.opened, ("features",))
        self.assertIsNone(pinned.verify(inference.receipt).inputs["features"].values)


if __name__ == "__main__":
    unittest.main()
