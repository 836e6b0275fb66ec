"""EZKL's share of the benchmark, with its default settings. Each step is a process of its own, so
that its peak memory is its own, and prints one JSON object on the last line of its output.

    calibrate  settings, scales and circuit for a model       (EZKL: gen_settings, calibrate_settings,
                                                               compile_circuit)
    srs        a structured reference string of 2^logrows     (gen_srs: for tests, made locally)
    setup      both keys                                      (setup)
    prove      proofs, verified                               (gen_witness, prove, verify)
    agree      how often EZKL's result is of the original's class    (gen_witness)
"""

import argparse
import json
import math
import time
from pathlib import Path

import ezkl


def write_input(path: Path, sample: list[float]) -> None:
    """EZKL's input file: a list of values for each input of the model."""
    path.write_text(json.dumps({"input_data": [sample]}), encoding="utf-8")


def timed(step, *arguments, **named) -> float:
    """Seconds that a step of EZKL takes; it must say that it succeeded."""
    start = time.perf_counter()
    if step(*arguments, **named) is False:
        raise SystemExit(f"ezkl.{step.__name__} returned False")
    return time.perf_counter() - start


class Work:
    """Names of the files in the working folder."""

    def __init__(self, folder: Path):
        self.data = str(folder / "input.json")
        self.settings = str(folder / "settings.json")
        self.circuit = str(folder / "circuit.compiled")
        self.pk = str(folder / "pk.key")
        self.vk = str(folder / "vk.key")
        self.witness = str(folder / "witness.json")
        self.proof = str(folder / "proof.json")


def calibrate(work: Work, model: Path, samples: list) -> dict:
    """Default run arguments, calibrated on one sample, as EZKL's own examples do it."""
    write_input(Path(work.data), samples[0])
    seconds = timed(ezkl.gen_settings, str(model), work.settings)
    seconds += timed(ezkl.calibrate_settings, work.data, str(model), work.settings, "resources")
    compile_s = timed(ezkl.compile_circuit, str(model), work.circuit, work.settings)
    settings = json.loads(Path(work.settings).read_text(encoding="utf-8"))
    instances = sum(math.prod(shape) for shape in settings["model_instance_shapes"])
    return {
        "import_s": seconds,
        "compile_s": compile_s,
        "logrows": settings["run_args"]["logrows"],
        "rows": settings["num_rows"],
        "public_inputs": instances,
    }


def setup(work: Work, srs: Path) -> dict:
    """Both keys."""
    seconds = timed(ezkl.setup, work.circuit, work.vk, work.pk, srs_path=str(srs))
    return {
        "setup_s": seconds,
        "proving_key_bytes": Path(work.pk).stat().st_size,
        "verifying_key_bytes": Path(work.vk).stat().st_size,
    }


def prove(work: Work, srs: Path, samples: list, runs: int, budget: float) -> dict:
    """Proofs of one sample after another. `ezkl.prove` reads the key for each proof; it has no
    other interface."""
    times = {"request_s": [], "witness_s": [], "proving_s": [], "verifying_s": []}
    start = time.perf_counter()
    cold, size = 0.0, 0
    for run in range(runs):
        if run > 0 and time.perf_counter() - start >= budget:
            break
        write_input(Path(work.data), samples[run % len(samples)])
        begun = time.perf_counter()
        witness = timed(ezkl.gen_witness, work.data, work.circuit, work.witness)
        proving = timed(ezkl.prove, work.witness, work.circuit, work.pk, work.proof, str(srs))
        cold = cold or time.perf_counter() - start
        verifying = timed(ezkl.verify, work.proof, work.settings, work.vk, str(srs))
        for name, seconds in [
            ("request_s", time.perf_counter() - begun),
            ("witness_s", witness),
            ("proving_s", proving),
            ("verifying_s", verifying),
        ]:
            times[name].append(seconds)
        proof = json.loads(Path(work.proof).read_text(encoding="utf-8"))
        size = len(bytes.fromhex(proof["hex_proof"].removeprefix("0x")))
    return {"cold_s": cold, "proof_bytes": size, **times}


def agree(work: Work, samples: list, classes: list[int], budget: float) -> dict:
    """Share of samples whose largest output in EZKL's arithmetic is the original's class."""
    start = time.perf_counter()
    hits = compared = 0
    for sample, expected in zip(samples, classes, strict=True):
        if compared > 0 and time.perf_counter() - start >= budget:
            break
        write_input(Path(work.data), sample)
        timed(ezkl.gen_witness, work.data, work.circuit, work.witness)
        witness = json.loads(Path(work.witness).read_text(encoding="utf-8"))
        output = [float(value) for value in witness["pretty_elements"]["rescaled_outputs"][0]]
        hits += output.index(max(output)) == expected
        compared += 1
    return {"agreement": hits / compared, "agreement_samples": compared}


def main() -> None:
    """Does one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["calibrate", "srs", "setup", "prove", "agree"])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--classes", type=Path)
    parser.add_argument("--srs", type=Path)
    parser.add_argument("--logrows", type=int)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--budget", type=float, default=60)
    arguments = parser.parse_args()

    def read(path: Path) -> list:
        return json.loads(path.read_text(encoding="utf-8"))

    work = Work(arguments.work or Path())
    match arguments.step:
        case "calibrate":
            report = calibrate(work, arguments.model, read(arguments.samples))
        case "srs":
            report = {"seconds": timed(ezkl.gen_srs, str(arguments.srs), arguments.logrows)}
        case "setup":
            report = setup(work, arguments.srs)
        case "prove":
            report = prove(work, arguments.srs, read(arguments.samples), arguments.runs,
                           arguments.budget)
        case "agree":
            report = agree(work, read(arguments.samples), read(arguments.classes),
                           arguments.budget)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
