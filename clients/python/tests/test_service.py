"""A real service, and services that lie: nothing of what they say comes out of ``infer``."""

import copy
import json
import os
import pickle
import socket
import threading
import time
import unittest
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import proofmark
from proofmark import (
    Context,
    Inference,
    LogKeys,
    ProofmarkError,
    Service,
    fetch_package,
    new_nonce,
)

CONFIG = json.loads(os.environ["PROOFMARK_TEST"])
URL, LOG = CONFIG["url"], CONFIG["logKey"]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def forward(handler, body=None):
    """What the real service answers."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    asked = urllib.request.Request(URL + handler.path, data=body, headers=headers)
    with OPENER.open(asked, timeout=60) as response:
        return response.read()


@contextmanager
def lying(answer):
    """A service whose answer to ``POST`` is made by ``answer(handler, body)``: bytes for a body with status
    200, anything else was sent by itself. Everything else is forwarded."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def give(self, body, status=200, **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.give(forward(self))

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told = answer(self, body)
            if isinstance(told, bytes):
                self.give(told)
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Asked(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.package = fetch_package(URL, CONFIG["model"], CONFIG["digest"])
        [spec] = cls.package.manifest["inputs"]
        [output] = cls.package.manifest["outputs"]
        cls.input, cls.output = spec["name"], output["name"]
        cls.values = np.array(CONFIG["inputs"], dtype=np.float32).reshape(spec["shape"])
        cls.others = np.array(CONFIG["others"], dtype=np.float32).reshape(spec["shape"])
        cls.inputs = {cls.input: cls.values}

    def refused(self, code, ask, *arguments, **named):
        with self.assertRaises(ProofmarkError) as raised:
            ask(*arguments, **named)
        self.assertEqual(raised.exception.code, code, raised.exception)
        return raised.exception

    def lied(self, code, answer, **options):
        with lying(answer) as url:
            service = Service(url, self.package, **options)
            return self.refused(code, service.infer, self.inputs)


class Honest(Asked):
    def test_an_inference_is_verified_and_stays_as_it_is(self):
        service = Service(URL, self.package, log_key=LOG)
        first = service.infer(self.inputs)
        for part in ("proof", "freshness", "openings", "log-inclusion"):
            self.assertIn(part, first.verdict.checked)
        spec = self.package.manifest["outputs"][0]
        logits = first.outputs[self.output]
        self.assertEqual((logits.dtype, list(logits.shape)), (np.int32, spec["shape"]))
        floats = first.tensors[self.output].floats
        self.assertEqual(floats.dtype, np.float32)
        labels = next(view["arg-max"]["labels"] for view in spec["views"] if "arg-max" in view)
        self.assertEqual(first.label(self.output), labels[int(logits[0].argmax())])
        self.assertTrue(first.verdict.not_proven)
        self.assertEqual(self.package.verify(first.receipt).receipt_id, first.verdict.receipt_id)
        logged = proofmark.verify_log_proof(first.receipt, LogKeys(key=LOG), first.log_proof)
        self.assertEqual(logged["origin"], LOG.split("+")[0])
        Path(CONFIG["out"]).write_text(json.dumps({"receipt": first.receipt.decode()}))
        # Nobody makes or changes one but by verifying.
        with self.assertRaises(ValueError):
            logits[0, 0] = 1
        with self.assertRaises(ValueError):
            logits.setflags(write=True)
        with self.assertRaises(TypeError):
            first.outputs[self.output] = logits
        with self.assertRaises(AttributeError):
            first.outputs = {}
        with self.assertRaises(TypeError):
            Inference(object(), first.verdict, first.receipt, None, None)
        for take in (copy.copy, pickle.dumps):
            with self.assertRaises(TypeError):
                take(first)

        self.assertIsNone(first.openings)
        self.assertIsNone(Service(URL, self.package).infer(self.inputs).log_proof)

        # With the service's key, as a verified receipt names it, and the whole log.
        older = service.copy_log()("checkpoint").decode()
        service = Service(URL, self.package, log_key=LOG, service_key=first.verdict.signer)
        held = service.copy_log()
        second = service.infer(self.inputs, log_copy=held, copy_may_be_older=True)
        for part in ("signer", "revocations"):
            self.assertIn(part, second.verdict.checked)
        self.assertTrue(second.verdict.signer_pinned)
        self.assertNotEqual(second.verdict.receipt_id, first.verdict.receipt_id)
        now = service.copy_log()
        history = proofmark.compare_history(LogKeys(key=LOG), older=older, copy=now)
        self.assertGreaterEqual(history["newer"]["size"], history["older"]["size"])
        newer = now("checkpoint").decode()
        self.refused(
            "tlog-out-of-range",
            proofmark.compare_checkpoints,
            LogKeys(key=LOG),
            older=newer,
            newer=older,
            proof=[],
        )
        whole = self.package.verify(
            second.receipt, service_key=first.verdict.signer, log=LogKeys(key=LOG), log_copy=now
        )
        self.assertIn("revocations", whole.checked)

    def test_numbers_of_every_kind(self):
        service = Service(URL, self.package)
        expected = service.infer(self.inputs).outputs[self.output]
        flat = self.values[0]
        for same in (flat, self.values.astype(np.float64), flat.tolist(), np.asfortranarray(flat)):
            got = service.infer({self.input: same}).outputs[self.output]
            self.assertTrue((got == expected).all())
        # The integers that the floats became are the same question.
        verdict = service.infer(self.inputs).verdict
        integers = verdict.inputs[self.input].values
        self.assertEqual(integers.dtype, np.uint8)
        again = service.infer({self.input: integers}, quantized=True)
        self.assertTrue((again.outputs[self.output] == expected).all())

    def test_bound_to_a_contract(self):
        service = Service(URL, self.package)
        bound = Context(
            nonce=new_nonce(), chain_id=31337, consumer="0x" + 20 * "ab", deadline=2_000_000_000
        )
        got = service.infer(self.inputs, context=bound, now=1_900_000_000)
        self.assertEqual(got.verdict.context, bound)
        self.assertIn("deadline", got.verdict.checked)
        self.refused(
            "context-expired", service.infer, self.inputs, context=bound, now=2_000_000_001
        )
        self.package.verify(got.receipt, context=bound)
        other = Context(nonce=bound.nonce)
        self.refused("context-mismatch", self.package.verify, got.receipt, context=other)

    def test_a_log_too_long_to_hold(self):
        before, proofmark.client.MAX_LOG_BYTES = proofmark.client.MAX_LOG_BYTES, 100
        try:
            self.refused("answer-malformed", Service(URL, self.package).copy_log)
        finally:
            proofmark.client.MAX_LOG_BYTES = before

    def test_other_packages_and_signers(self):
        self.refused(
            "package-not-pinned", fetch_package, URL, CONFIG["model"], CONFIG["other"]
        )
        self.refused("model-unknown", fetch_package, URL, "nothing/../else", CONFIG["digest"])
        signed = Service(URL, self.package, service_key="0x" + 32 * "11")
        self.refused("signer-mismatch", signed.infer, self.inputs)
        attested = Service(URL, self.package, auditor_keys=["0x" + 32 * "11"])
        self.refused("attestation-missing", attested.infer, self.inputs)
        name, rest = LOG.split("+", 1)
        logged = Service(URL, self.package, log_key=f"{name}x+{rest}")
        self.refused("parameter-invalid", logged.infer, self.inputs)
        self.refused("parameter-invalid", Service, URL, self.package, witnesses=[LOG])
        self.refused("parameter-invalid", Service(URL, self.package, log_key=None).infer, self.inputs)
        self.refused(
            "parameter-invalid", Service(URL, self.package, service_key=None).infer, self.inputs
        )


class Questions(Asked):
    """What makes no sense is not sent."""

    def test_arrays(self):
        # Nobody listens there.
        service = Service("http://127.0.0.1:9", self.package)
        wrong = self.values.copy()
        wrong[0, 0] = np.nan
        huge = self.values.astype(np.float64) + 1e300
        for code, given, quantized in [
            ("input-missing", {}, False),
            ("input-unknown", {**self.inputs, "more": [1]}, False),
            ("input-shape", {self.input: self.values[:, 1:]}, False),
            ("input-shape", {self.input: self.values.reshape(-1, 1)}, False),
            ("input-not-finite", {self.input: wrong}, False),
            ("input-not-finite", {self.input: huge}, False),
            ("input-type", {self.input: self.values.astype(np.complex64)}, False),
            ("input-type", {self.input: self.values > 0}, False),
            ("input-type", {self.input: self.values}, True),
            ("tensor-value-out-of-range", {self.input: np.full(self.values.shape, 256)}, True),
            ("tensor-value-out-of-range", {self.input: np.full(self.values.shape, -1)}, True),
            ("service-unreachable", self.inputs, False),
        ]:
            with self.subTest(code):
                self.refused(code, service.infer, given, quantized=quantized)
        self.refused("parameter-invalid", service.infer, self.inputs, log_copy=dict().get)
        self.refused("parameter-invalid", service.infer, self.inputs, log_copy=None)

    def test_addresses(self):
        for url in ("file:///etc/passwd", "ftp://x/", "127.0.0.1:80", "http://", "http://a@b/", "http://b/?c"):
            self.refused("parameter-invalid", Service, url, self.package)


class Lies(Asked):
    def test_answers_to_other_questions(self):
        kept = []
        with lying(lambda handler, body: kept.append(forward(handler, body)) or kept[0]) as url:
            service = Service(url, self.package)
            service.infer(self.inputs)
            self.refused("context-mismatch", service.infer, self.inputs)

        def swapped(handler, body):
            asked = json.loads(body)
            asked["inputs"][0]["data"] = self.others.ravel().tolist()
            return forward(handler, json.dumps(asked).encode())

        self.lied("opening-mismatch", swapped)

    def test_answers_that_were_changed(self):
        def replaced(old, new):
            def answer(handler, body):
                told = forward(handler, body)
                self.assertIn(old, told)
                return told.replace(old, new, 1)

            return answer

        self.lied("answer-malformed", replaced(b'"receipt":', b'"other":'))
        self.lied("answer-malformed", lambda *_: b"<html>")
        self.lied("answer-malformed", lambda *_: b"")
        self.lied("answer-malformed", lambda *_: b"[" * 100_000)
        self.lied("answer-malformed", lambda *_: b'{"openings":7,"parameters":[]}')

        def resigned(handler, body):
            told = forward(handler, body)
            at = told.index(b'"sig":"') + 10
            return told[:at] + (b"B" if told[at : at + 1] == b"A" else b"A") + told[at + 1 :]

        self.lied("signature-invalid", resigned)

        def unlogged(handler, body):
            told = json.loads(forward(handler, body))
            return b'{"outputs":[],"receipt":%s}' % json.dumps(told["receipt"]).encode()

        error = self.lied("receipt-not-canonical", unlogged)
        self.assertEqual(error.kind, "rejected")
        self.lied("tlog-malformed", replaced(b'"tlog_proof":"', b'"tlog_proof":"x'), log_key=LOG)

        # Outputs that are told beside the receipt are nobody's word.
        def told_otherwise(handler, body):
            told = forward(handler, body)
            outputs = json.dumps(json.loads(told)["outputs"], separators=(",", ":")).encode()
            self.assertIn(outputs, told)
            return told.replace(outputs, b'[{"name":"logits","data":[1,2]}]', 1)

        with lying(told_otherwise) as url:
            got = Service(url, self.package).infer(self.inputs)
        honest = Service(URL, self.package).infer(self.inputs)
        self.assertTrue((got.outputs[self.output] == honest.outputs[self.output]).all())

    def test_services_that_do_not_answer(self):
        def problem(handler, _):
            told = {"code": "queue-full", "detail": "come back\x1b[2J later"}
            handler.give(json.dumps(told).encode(), 429)

        error = self.lied("queue-full", problem)
        self.assertEqual((error.status, error.kind), (429, "environment"))
        self.assertNotIn("\x1b", str(error))
        error = self.lied("service-refused", lambda handler, _: handler.give(b"<html>", 500))
        self.assertEqual(error.status, 500)
        # Redirected, with the inputs, to whoever it likes: nowhere.
        went = []
        with lying(lambda *_: went.append(1) or b"") as elsewhere:

            def redirect(handler, _):
                handler.give(b"", 307, Location=elsewhere + handler.path)

            error = self.lied("service-refused", redirect)
            self.assertIn("not followed", error.detail)
        self.assertEqual(went, [])

        def cut(handler, body):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")

        self.lied("service-unreachable", cut)
        self.lied("service-unreachable", lambda *_: None)

        # Drop by drop: header, then body.
        ended = threading.Event()

        def drips(start):
            def answer(handler, _):
                handler.wfile.write(start)
                while not ended.wait(0.05):
                    handler.wfile.write(b"x")

            return answer

        for start in (b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\n\r\n"):
            begun = time.monotonic()
            error = self.lied("service-unreachable", drips(start), timeout=0.5)
            self.assertLess(time.monotonic() - begun, 5)
            self.assertIn("too long", error.detail)
        ended.set()

        def endless(handler, _):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while True:
                    handler.wfile.write(bytes(1 << 20))
            except OSError:
                pass

        before, proofmark._http.MAX_ANSWER_BYTES = proofmark._http.MAX_ANSWER_BYTES, 8 << 20
        try:
            self.lied("answer-malformed", endless)
        finally:
            proofmark._http.MAX_ANSWER_BYTES = before

    def test_somebody_who_speaks_no_http(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            answering = threading.Thread(target=self.babble, args=(server,))
            answering.start()
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            self.refused("service-unreachable", Service(url, self.package).infer, self.inputs)
            answering.join()

    @staticmethod
    def babble(server):
        connection, _ = server.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"\x00\xff" * 50 + b"\r\n\r\n")


if __name__ == "__main__":
    unittest.main()
