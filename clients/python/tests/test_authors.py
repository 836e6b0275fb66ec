"""From a float model and numpy arrays to a proof that others accept."""

import json
import os
import stat
import threading
import time
import unittest
from pathlib import Path

import numpy as np
import proofmark
from proofmark import Context, ProofmarkError, Prover, new_nonce

CONFIG = json.loads(os.environ["PROOFMARK_TEST"])
MODELS = Path(CONFIG["models"])
RISK = MODELS / "risk-classifier"
KEEP = Path(CONFIG["keep"])
WORK = Path(CONFIG["work"])


class Authors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.calibration = np.load(RISK / "calibration.npz")["x"]
        with np.load(RISK / "heldout.npz") as heldout:
            cls.heldout, cls.labels = heldout["x"], heldout["y"]
        cls.draft = proofmark.import_model(
            RISK / "float.onnx",
            name="risk",
            out=WORK / "draft",
            calibration={"features": cls.calibration},
            heldout=(cls.heldout, cls.labels),
            labels=["benign", "malignant"],
            visibility={"features": "private"},
        )
        cls.package = proofmark.setup(cls.draft, KEEP / "package", backend="lookup")
        cls.prover = Prover(KEEP / "package", cls.package.digest)

    def refused(self, code, ask, *arguments, **named):
        with self.assertRaises(ProofmarkError) as raised:
            ask(*arguments, **named)
        self.assertEqual(raised.exception.code, code, raised.exception)
        return raised.exception

    def test_the_draft_says_how_well_it_does(self):
        validation = self.draft.manifest["validation"]
        self.assertEqual(validation["checked_samples"], len(self.labels))
        self.assertGreater(validation["integer_accuracy"], 0.9)
        self.assertFalse(self.draft.sealed)
        self.assertTrue(self.package.sealed)
        # It is the model that the command line makes: samples mean the same here.
        committed = json.loads((RISK / "manifest.json").read_text())
        digest = committed["integer_model"]["digest"]
        self.assertEqual(self.draft.manifest["integer_model"]["digest"], digest)
        told = proofmark.inspect(self.draft.folder)
        self.assertEqual({one["backend"] for one in told["backends"]}, {"plain", "lookup"})
        self.assertGreater(told["constraints"], 0)
        self.assertGreater(len(told["nodes"]), 0)
        sealed = proofmark.inspect(self.package.folder)
        self.assertEqual([one["backend"] for one in sealed["backends"]], ["lookup"])
        self.assertEqual(sealed["digest"], self.package.digest)

    def test_a_private_input_is_proven_and_opened(self):
        nonce = new_nonce()
        bound = Context(nonce=nonce)
        proof = self.prover.prove({"features": self.heldout[0]}, context=bound)
        (KEEP / "receipt.json").write_bytes(proof.receipt)
        (KEEP / "openings.json").write_bytes(proof.openings)
        told = {"digest": self.package.digest, "nonce": nonce}
        Path(CONFIG["out"]).write_text(json.dumps(told))
        self.assertIn("openings", proof.verdict.checked)
        self.assertEqual(proof.outputs["logits"].dtype, np.int32)
        # Its recipient sees a commitment, and with the openings the values.
        pinned = self.package.pin()
        closed = pinned.verify(proof.receipt, nonce=nonce)
        self.assertIsNone(closed.inputs["features"].values)
        self.assertTrue((closed.outputs["logits"].values == proof.outputs["logits"]).all())
        opened = pinned.verify(proof.receipt, nonce=nonce, openings=proof.openings)
        self.assertIn("features", opened.opened)
        held = opened.inputs["features"].values
        self.assertTrue((held == proof.verdict.inputs["features"].values).all())
        alone = proofmark.verify_openings(proof.receipt, proof.openings)
        self.assertTrue((alone.tensors["features"].values == held).all())
        self.refused("context-mismatch", pinned.verify, proof.receipt, nonce=new_nonce())
        # The same integers, given as such.
        again = self.prover.prove({"features": held}, quantized=True)
        self.assertTrue((again.outputs["logits"] == proof.outputs["logits"]).all())
        self.assertNotEqual(again.verdict.inputs["features"].commitment, closed.inputs["features"].commitment)
        damaged = json.loads(proof.openings)
        text = json.dumps(damaged).replace(str(int(held[0, 0])), str(int(held[0, 0]) ^ 1), 1)
        with self.assertRaises(ProofmarkError):
            pinned.verify(proof.receipt, openings=text.encode())
        with self.assertRaises(ProofmarkError):
            pinned.verify(proof.receipt.replace(b"a", b"b", 1))

    def test_the_lock_is_free_while_proving_and_keys_are_kept(self):
        keys = WORK / "keys"
        made = []

        def prove():
            made.append(self.prover.prove({"features": self.heldout[1]}, key_folder=keys))

        thread = threading.Thread(target=prove)
        thread.start()
        turns = 0
        while thread.is_alive():
            time.sleep(0.001)
            turns += 1
        thread.join()
        # With the lock held all of the time it would be one turn or two.
        self.assertGreater(turns, 10)
        prove()
        self.assertEqual(made[0].verdict.signer, made[1].verdict.signer)
        [key] = [path for path in keys.iterdir() if path.is_file()]
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        own = self.prover.prove({"features": self.heldout[1]})
        self.assertNotEqual(own.verdict.signer, made[0].verdict.signer)

    def test_a_quantized_model_needs_no_samples(self):
        draft = proofmark.import_model(
            MODELS / "third-party/mlp-qop-u8u8.onnx",
            name="mlp",
            out=WORK / "quantized",
            accept_drift=1,
        )
        self.assertIsNotNone(draft.manifest["validation"]["reference"])

    def test_refusals(self):
        model = RISK / "float.onnx"
        out = WORK / "refused"
        sample = {"features": self.heldout[0]}

        def imported(**given):
            named = {"name": "risk", "out": out, "calibration": self.calibration, **given}
            return proofmark.import_model(named.pop("model", model), **named)

        for code, given in [
            ("onnx-io", {"model": WORK / "nothing.onnx"}),
            ("calibration-invalid", {"calibration": None}),
            ("samples-mismatch", {"calibration": np.float32(1)}),
            ("samples-mismatch", {"calibration": np.zeros((0, 30))}),
            ("samples-mismatch", {"heldout": (self.heldout, self.labels + 0.5)}),
            ("parameter-invalid", {"reference": "fast"}),
            ("parameter-invalid", {"visibility": {"features": "secret"}}),
            ("package-folder-not-empty", {"out": RISK}),
        ]:
            with self.subTest(code, given=list(given)):
                self.refused(code, imported, **given)
        for given in (
            {"calibration": self.calibration[:, 1:]},
            {"calibration": self.calibration * np.nan},
            {"calibration": {"other": self.calibration}},
            {"heldout": (self.heldout, self.labels[1:])},
            {"visibility": {"nothing": "public"}},
            {"labels": ["one"]},
            {"name": "No Name", "out": WORK / "unnamed"},
        ):
            with self.subTest(given=list(given)), self.assertRaises(ProofmarkError) as raised:
                imported(**given)
            self.assertTrue(raised.exception.detail)
        self.assertFalse(out.exists())
        self.refused("parameter-invalid", proofmark.setup, self.draft, out, backend="best")
        self.refused("package-not-pinned", Prover, KEEP / "package", "sha256:" + 64 * "0")
        self.refused("parameter-invalid", Prover, KEEP / "package", "x")
        self.refused("input-shape", self.prover.prove, {"features": self.heldout})
        self.refused("parameter-invalid", self.prover.prove, sample, context=Context(nonce="0x"))
        self.assertTrue(os.environ["ORT_DYLIB_PATH"].endswith(".so.1.31.1") or os.name != "posix")

    def test_every_node_that_cannot_be_proven_is_named(self):
        (WORK / "unsupported.onnx").write_bytes(bytes.fromhex(UNSUPPORTED))
        error = self.refused(
            "model-unsupported",
            proofmark.import_model,
            WORK / "unsupported.onnx",
            name="u",
            out=WORK / "u",
            calibration=np.zeros((4, 2, 2), np.float32),
        )
        self.assertLessEqual({"Erf", "Det"}, {node["op_type"] for node in error.unsupported})
        self.assertTrue(all(node["remedy"] for node in error.unsupported))


# x: float32 [2, 2] -> Erf -> Det -> y, as an ONNX file of opset 17.
UNSUPPORTED = (
    "080812003a490a100a01781201651a0365726622034572660a100a01651201791a0364657422034465741201675a130a0178"
    "120e0a0c080112080a0208020a020802620b0a017912060a040801120042040a001011"
)

if __name__ == "__main__":
    unittest.main()
