"""`make newest`: do the newest releases of the libraries with private parts still fit?

They are installed into an environment of their own, which takes everything else from the present one. There the table
of private parts is asked and the tests of the seams are run. Ends with 1 if a part has moved or a test fails.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

NEWEST = ("discord.py", "nats-py")
TESTS = ("tests/unit/test_gateway_seam.py", "tests/unit/test_acks.py", "tests/service/test_publisher.py")
WHATEVER_THE_VERSION = "not is_the_version"
ROOT = Path(__file__).parents[1]
ASK = """
from bot.private_api import LIBRARIES
moved = [sentence for library in LIBRARIES.values() for sentence in library.moved()]
for library in LIBRARIES.values():
    print(f"{library.name}: {library.installed} is installed, {library.supported} is supported")
print("\\n".join(moved) or "No private part has moved.")
raise SystemExit(bool(moved))
"""


def environment(folder: Path) -> Path:
    """The interpreter of a new environment, in which the newest releases stand before what is installed here."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", *NEWEST], check=True
    )
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    present = sysconfig.get_path("purelib")
    # Appended, so what was installed above comes first; as a site folder, for the checkouts are links in there.
    Path(site, "present.pth").write_text(f"import site; site.addsitedir({present!r})\n")
    return python


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="newest-libraries-") as folder:
        python = environment(Path(folder))
        moved = subprocess.run([python, "-c", ASK], cwd=ROOT, check=False).returncode
        failed = subprocess.run(
            [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "-k", WHATEVER_THE_VERSION, *TESTS],
            cwd=ROOT,
            check=False,
        ).returncode
    sys.exit(bool(moved or failed))


if __name__ == "__main__":
    main()
