"""What does fusion add on the toy world, beside unimodal controls and exact ceilings? The demo, over several seeds.

python benchmarks/toy.py --seeds 3 --record
"""

import pathlib
import sys
import tempfile
import time

import common

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))

import demo


def main():
    arguments = common.parser(__doc__, needs_data=False).parse_args()
    started = time.perf_counter()
    sizes = ["--samples", "100", "--epochs", "1"] if arguments.smoke else []
    with tempfile.TemporaryDirectory() as folder:
        found = demo.main(["--seeds", str(arguments.seeds), "--out", folder, *sizes])
    found.pop("seconds")
    common.report("toy", found, arguments, started)


if __name__ == "__main__":
    main()
