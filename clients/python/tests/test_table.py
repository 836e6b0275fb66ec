"""The table that every verifier must answer alike: tests/compat."""

import base64
import json
import os
import pickle
import unittest
from pathlib import Path

import proofmark
from proofmark import Context, LogKeys, PinnedPackage, ProofmarkError

CONFIG = json.loads(os.environ["PROOFMARK_TEST"])
# The table's words for the demands, and ours.
DEMANDS = {"nonce", "service_key", "attestations", "auditor_keys", "now"}
LOG = {"key", "witnesses", "quorum"}


def keys(given):
    return LogKeys(**{name: value for name, value in given.items() if name in LOG})


def sayable(demands):
    """Whether the package's own parameters can say what is demanded."""
    if not isinstance(demands, dict) or demands.keys() - DEMANDS - {"context", "openings", "log"}:
        return False
    log = demands.get("log", {"key": ""})
    return log is None or (log.keys() <= LOG | {"proof", "copy_may_be_older"} and "key" in log)


def parameters(demands, copy):
    said = {name: value for name, value in demands.items() if name in DEMANDS}
    if "context" in demands:
        context = demands["context"]
        said["context"] = context and Context.read(context)
    if "openings" in demands:
        said["openings"] = json.dumps(demands["openings"]).encode()
    log = demands.get("log", proofmark.UNSET)
    if isinstance(log, dict):
        said["log"] = keys(log)
        if "proof" in log:
            said["log_proof"] = log["proof"]
        said["copy_may_be_older"] = log.get("copy_may_be_older", False)
    elif log is None:
        said["log"] = None
    if copy is not None:
        said["log_copy"] = copy
    return said


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.table = json.loads(Path(CONFIG["table"]).read_text())
        cls.packages = {
            name: PinnedPackage(
                held["digest"], held["manifest"].encode(), base64.b64decode(held["verifying_key"])
            )
            for name, held in cls.table["packages"].items()
        }
        cls.raw = 0

    def judge(self, question, copy):
        """The verdict and its checks; a refusal is raised."""
        of = question["of"]
        if of == "package":
            held = {**self.table["packages"][question["package"]], **question}
            key = base64.b64decode(held["verifying_key"])
            PinnedPackage(held["digest"], held["manifest"].encode(), key)
            return "opened", None
        if of == "receipt":
            package, demands = self.packages[question["package"]], question["demands"]
            receipt = question["receipt"].encode()
            if sayable(demands):
                accepted = package.verify(receipt, **parameters(demands, copy))
                return "accepted", accepted.checked
            self.raw += 1
            answer = proofmark.errors.asked(
                package._core.verify, receipt, json.dumps(demands), copy
            )
            return json.loads(answer)["verdict"], json.loads(answer)["checked"]
        if of == "inference":
            answer = proofmark.errors.asked(
                self.packages[question["package"]]._core.verify_inference,
                json.dumps(question["request"]),
                question["answer"].encode(),
                json.dumps(question["demands"]),
                copy,
            )
            return json.loads(answer)["verdict"], json.loads(answer)["checked"]
        asked = question.get("question")
        if of == "openings":
            openings = json.dumps(question["openings"]).encode()
            proofmark.verify_openings(question["receipt"].encode(), openings)
            return "opened", None
        if of == "proof":
            held = self.table["packages"][question["package"]]
            proofmark.verify_proof(base64.b64decode(held["verifying_key"]), **asked)
            return "proven", None
        if of == "log-proof":
            proof = asked["proof"]
            told = proofmark.verify_log_proof(question["receipt"].encode(), keys(asked), proof)
        elif of == "checkpoints":
            told = proofmark.compare_checkpoints(**{**asked, "log": keys(asked["log"])})
        elif of == "history":
            told = proofmark.compare_history(**{**asked, "log": keys(asked["log"])}, copy=copy)
        else:
            raise AssertionError(f"no such question: {of}")
        return told["verdict"], None

    def test_every_case(self):
        for case in self.table["cases"]:
            copy = None
            if "copy" in case:
                files = self.table["logs"][case["copy"]]
                held = {path: base64.b64decode(text) for path, text in files.items()}
                copy = held.get
            with self.subTest(case["name"]):
                try:
                    verdict, checked = self.judge(case["question"], copy)
                    got = (verdict, None, None)
                except ProofmarkError as error:
                    got, checked = ("rejected", error.code, error.kind), None
                self.assertEqual(got, (case["verdict"], case.get("code"), case.get("kind")))
                for check in case.get("checked") or ():
                    self.assertIn(check, checked)
        self.assertGreater(len(self.table["cases"]), 80)
        # Nearly all is asked as users ask.
        self.assertLess(self.raw, 8)

    def test_what_got_lost_is_no_demand_that_was_met(self):
        case = next(
            case
            for case in self.table["cases"]
            if case["question"]["of"] == "receipt" and case["verdict"] == "accepted"
        )
        package = self.packages[case["question"]["package"]]
        receipt = case["question"]["receipt"].encode()
        package.verify(receipt)
        for demand in ("nonce", "context", "service_key", "openings", "log", "log_copy", "now"):
            with self.subTest(demand), self.assertRaises(ProofmarkError) as raised:
                package.verify(receipt, **{demand: None})
            self.assertEqual(raised.exception.kind, "request", demand)
        for demand in ("attestations", "auditor_keys"):
            with self.subTest(demand), self.assertRaises(TypeError):
                package.verify(receipt, **{demand: None})
        with self.assertRaises(ProofmarkError):
            package.verify(receipt, log_proof="")
        with self.assertRaises(TypeError):
            package.verify(bytearray(receipt))
        with self.assertRaises(TypeError):
            package.verify(receipt, nonsense=1)

    def test_a_copy_that_raises_is_no_acceptance(self):
        case = next(
            case
            for case in self.table["cases"]
            if case["question"]["of"] == "receipt"
            and case["verdict"] == "accepted"
            and "copy" in case
        )
        question = case["question"]

        def fails(path):
            raise RuntimeError(path)

        for copy in (fails, lambda path: "text", lambda path: bytes(1 << 24)):
            with self.assertRaises(ProofmarkError):
                self.packages[question["package"]].verify(
                    question["receipt"].encode(), **parameters(question["demands"], copy)
                )

    def test_openings_are_written_as_they_are_read(self):
        question = next(
            case["question"] for case in self.table["cases"] if case["name"] == "lookup: opened"
        )
        openings = question["demands"]["openings"]
        receipt = question["receipt"].encode()
        verified = self.packages["lookup"].verify(receipt, openings=json.dumps(openings).encode())
        salts = {one["tensor"]: one["salt"] for one in openings["openings"]}
        # A private and a hashed tensor.
        self.assertEqual({salt is None for salt in salts.values()}, {True, False})
        written = proofmark.client.opened(verified, salts)
        self.assertEqual(json.loads(written), openings)
        self.assertEqual(set(proofmark.verify_openings(receipt, written).tensors), set(salts))

    def test_refusals_can_be_carried_elsewhere(self):
        with self.assertRaises(ProofmarkError) as raised:
            PinnedPackage("", b"", b"")
        again = pickle.loads(pickle.dumps(raised.exception))
        self.assertEqual((again.code, again.kind), ("parameter-invalid", "request"))


if __name__ == "__main__":
    unittest.main()
