"""`python -m benchmarks --data FOLDER`: runs each benchmark in a fresh process and prints its figures."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
E5 = "intfloat/multilingual-e5-small"
RUNS = {
    "quality-minilm": ("quality", MINILM),
    "quality-e5": ("quality", E5),
    "latency-minilm": ("latency", MINILM),
    "latency-e5": ("latency", E5),
    "searching-minilm": ("searching", MINILM),
    "build-minilm": ("build", MINILM),
    "build-e5": ("build", E5),
    "adaptation-minilm": ("adaptation", MINILM),
    "adaptation-e5": ("adaptation", E5),
    "retrain": ("retrain", ""),
    "tuning-minilm": ("tuning", MINILM),
    "tuning-e5": ("tuning", E5),
    "transfer-minilm": ("transfer", MINILM),
    "privacy-minilm": ("privacy", MINILM),
    "elasticsearch-minilm": ("managed", MINILM),
}


def _print(name: str, result: dict[str, Any]) -> None:
    print(f"\n{name}")
    for key, value in result.items():
        if isinstance(value, dict):
            print(f"  {key}")
            for inner, figures in value.items():
                text = (
                    "  ".join(f"{k} {v:.3f}" for k, v in figures.items())
                    if isinstance(figures, dict)
                    else f"{figures:.3f}"
                )
                print(f"    {inner:<20} {text}")
        else:
            print(f"  {key:<22} {value:.2f}" if isinstance(value, float) else f"  {key:<22} {value}")


def _child(name: str, data: Path) -> None:
    module, encoder = RUNS[name]
    with tempfile.TemporaryDirectory() as work:
        result = importlib.import_module(f"benchmarks.{module}").run(data, Path(work), encoder)
    print(json.dumps(result))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks")
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--only", nargs="+", choices=sorted(RUNS), default=list(RUNS))
    parser.add_argument("--output", type=Path, help="write all results to this JSON file")
    parser.add_argument("--child", choices=sorted(RUNS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child, options.data)
        return 0
    results = {}
    for name in options.only:
        command = [sys.executable, "-m", "benchmarks", "--data", str(options.data), "--child", name]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results[name] = json.loads(finished.stdout.splitlines()[-1])
        _print(name, results[name])
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
