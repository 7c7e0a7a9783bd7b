"""Measure how often sounds are called music: street music and the other labels of UrbanSound8K's dev split.

python -m scripts.measure_music DATA
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from engines.archives import sounds
from engines.errors import MediaError
from engines.media import resample
from engines.media.music import is_music


def main() -> None:
    """Print, for each label, in how many clips music is heard."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    called: dict[str, list[bool]] = defaultdict(list)
    for record in sounds(parser.parse_args().data, "dev"):
        if record.corpus == "us8k":
            try:
                sound = record.load()
            except MediaError:  # too short
                continue
            called[record.label].append(is_music(resample(sound.samples, sound.rate_hz)))
    for label, found in sorted(called.items()):
        print(f"{label:18s} {sum(found):3d} of {len(found)}")


if __name__ == "__main__":
    main()
