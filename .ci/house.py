"""Rules of the house that no other tool knows: short files, and no path of somebody's machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

MAX_LINES = 400
ROOT = Path(__file__).resolve().parent.parent
SOMEBODYS_PATH = re.compile(r"(?<![\w.}/])/(?:home|root|Users|work)/\w")


def tracked() -> list[Path]:
    """Every text file under version control; every file outside hidden folders where there is no git."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = []
    found = [ROOT / name for name in names if name] or list(ROOT.glob("[!.]*/**/*"))
    return [path for path in found if path.is_file() and path.suffix != ".png"]


def main() -> int:
    """Print every broken rule; 1 if there is one."""
    broken = []
    for path in tracked():
        name = path.relative_to(ROOT)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            broken.append(f"{name}: not UTF-8 text; the repository holds text and PNG only")
            continue
        if path.suffix == ".py" and len(lines) > MAX_LINES:
            broken.append(f"{name}: {len(lines)} lines; split it by noun before it has more than {MAX_LINES}")
        broken += [
            f"{name}:{number}: a path of somebody's machine: {line.strip()[:80]}"
            for number, line in enumerate(lines, 1)
            if SOMEBODYS_PATH.search(line)
        ]
    print(*broken, sep="\n", end="\n" if broken else "")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
