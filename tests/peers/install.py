"""Installs the real peers into a cache folder: Triton, Prometheus, Alertmanager, node_exporter, nvidia-ml-py, aiosmtpd,
Selenium.

Nothing is installed system-wide, except Debian's shared libraries that Triton needs, and Debian's Chromium with its
driver, and those only when they are missing and we are root. Every step leaves its product in one rename, so a run
that was cut short is simply run again.

    python3 tests/peers/install.py [triton|prometheus|nvml-ml-py|smtp|browser|all]
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PYTHON = "3.11"
TRITON_WHEEL = "nvidia-pytriton==0.7.0"
NUMPY = "numpy<2"
NVML_BINDINGS = "nvidia-ml-py"
SMTP_SERVER = "aiosmtpd==1.4.6"
SELENIUM = "selenium==4.51.0"
BROWSER = {"chromium": "chromium", "chromedriver": "chromium-driver"}
DEBIAN_PEERS = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
SHARED_LIBRARIES = {
    "libz.so.1": "zlib1g",
    "libstdc++.so.6": "libstdc++6",
    f"libpython{PYTHON}.so.1.0": f"libpython{PYTHON}",
    "libexpat.so.1": "libexpat1",
}


class NotInstalled(Exception):
    """A peer is missing or cannot be installed; the message says what to do."""


@dataclass(frozen=True)
class Cache:
    """Where each peer lies. `GPUWARDEN_PEERS` moves it, so that several checkouts can share one."""

    root: Path

    @classmethod
    def default(cls) -> Cache:
        """The cache of this checkout, or the one that the environment names."""
        return cls(Path(os.environ.get("GPUWARDEN_PEERS", CHECKOUT / "target" / "peers")).resolve())

    @property
    def venv(self) -> Path:
        """The virtual environment whose python Triton's stubs run."""
        return self.root / "venv"

    @property
    def python(self) -> Path:
        """The python of that environment."""
        return self.venv / "bin" / "python3"

    @property
    def wheel(self) -> Path:
        """The unpacked Triton wheel."""
        return self.root / "triton"

    @property
    def triton_home(self) -> Path:
        """Triton's own tree inside the wheel."""
        return self.wheel / "pytriton" / "tritonserver"

    @property
    def tritonserver(self) -> Path:
        """The server's binary."""
        return self.triton_home / "bin" / "tritonserver"

    @property
    def debian(self) -> Path:
        """Debian's packages, unpacked into one tree."""
        return self.root / "debian"

    def debian_binary(self, name: str) -> Path:
        """One of the binaries in that tree."""
        return self.debian / "usr" / "bin" / name

    def need_triton(self) -> None:
        """Raises `NotInstalled` unless Triton is complete."""
        self._need(self.tritonserver, "triton")
        self._need(self.venv / ".numpy", "triton")

    def need_prometheus(self) -> None:
        """Raises `NotInstalled` unless Prometheus and its companions are there."""
        for name in DEBIAN_PEERS:
            self._need(self.debian_binary(name), "prometheus")

    def need_nvml_bindings(self) -> None:
        """Raises `NotInstalled` unless `import pynvml` works in the environment."""
        self._need(self.venv / ".nvidia-ml-py", "nvml-ml-py")

    def need_smtp(self) -> None:
        """Raises `NotInstalled` unless the mail server is there, and what makes its certificates."""
        self._need(self.venv / ".aiosmtpd", "smtp")
        if not shutil.which("openssl"):
            raise NotInstalled("openssl is missing; run: python3 tests/peers/install.py smtp")

    def need_browser(self) -> None:
        """Raises `NotInstalled` unless Chromium, its driver and what drives that are there, in the python that runs."""
        self._need(self.venv / ".selenium", "browser")
        for name in BROWSER:
            if not shutil.which(name):
                raise NotInstalled(f"{name} is missing; run: python3 tests/peers/install.py browser")
        if Path(sys.prefix).resolve() != self.venv.resolve():
            raise NotInstalled(f"run it by {self.python}, which has Selenium")

    def _need(self, path: Path, peer: str) -> None:
        if not path.exists():
            raise NotInstalled(f"{path} is missing; run: python3 tests/peers/install.py {peer}")


def install_triton(cache: Cache) -> None:
    """The server with its python backend, and a python with the numpy that the backend imports."""
    ensure_shared_libraries()
    ensure_venv(cache)
    ensure_package(cache, NUMPY, stamp=".numpy")
    if not cache.tritonserver.exists():
        _unpack_triton(cache, _download_triton(cache))
    _say("triton", cache.tritonserver)


def install_prometheus(cache: Cache) -> None:
    """Prometheus, Alertmanager and node_exporter as Debian builds them, unpacked and not installed."""
    missing = [name for name in DEBIAN_PEERS if not cache.debian_binary(name).exists()]
    if missing:
        if not shutil.which("apt-get"):
            raise NotInstalled("no apt-get here: these peers come from Debian 12 or a system like it")
        _refresh_package_lists()
        for name in missing:
            _unpack_debian(cache, name)
    _say("prometheus", cache.debian_binary("prometheus"))


def install_nvml_bindings(cache: Cache) -> None:
    """NVIDIA's own Python bindings of NVML, to try the stand-in library with a caller that we did not write."""
    ensure_venv(cache)
    ensure_package(cache, NVML_BINDINGS, stamp=".nvidia-ml-py")
    _say("nvml-ml-py", cache.python)


def install_smtp(cache: Cache) -> None:
    """A mail server that asks for TLS and a login, and what makes its certificates."""
    ensure_venv(cache)
    ensure_package(cache, SMTP_SERVER, stamp=".aiosmtpd")
    _apt_install([] if shutil.which("openssl") else ["openssl"])
    _say("smtp", cache.python)


def install_browser(cache: Cache) -> None:
    """A browser without a screen, and what drives it."""
    ensure_venv(cache)
    ensure_package(cache, SELENIUM, stamp=".selenium")
    _apt_install([package for name, package in BROWSER.items() if not shutil.which(name)])
    _say("browser", Path(shutil.which("chromium") or "chromium"))


INSTALLERS: dict[str, Callable[[Cache], None]] = {
    "triton": install_triton,
    "prometheus": install_prometheus,
    "nvml-ml-py": install_nvml_bindings,
    "smtp": install_smtp,
    "browser": install_browser,
}


def ensure_shared_libraries() -> None:
    """Debian's libraries that tritonserver and its stub link against."""
    present = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    _apt_install([package for library, package in SHARED_LIBRARIES.items() if library not in present])


def ensure_venv(cache: Cache) -> None:
    """A virtual environment of the stub's Python version."""
    if cache.python.exists() and (cache.venv / ".complete").exists():
        return
    base = find_python()
    if base is None:
        _apt_install(["python3-venv"])
        base = find_python()
    if base is None:
        wanted = f"python{PYTHON} and python{PYTHON}-venv"
        raise NotInstalled(f"no Python {PYTHON} with venv and ensurepip; install {wanted}")
    _run([base, "-m", "venv", "--clear", cache.venv], f"cannot make {cache.venv}")
    (cache.venv / ".complete").touch()


def find_python() -> str | None:
    """A Python of the wanted version, Debian's first: its libpython is the one that the stub loads."""
    probe = f"import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '{PYTHON}')"
    candidates = (f"/usr/bin/python{PYTHON}", sys.executable, shutil.which(f"python{PYTHON}"))
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            if subprocess.run([candidate, "-c", probe], capture_output=True).returncode == 0:
                return candidate
    return None


def ensure_package(cache: Cache, requirement: str, stamp: str) -> None:
    """One package in the virtual environment."""
    if (cache.venv / stamp).exists():
        return
    _run([cache.python, "-m", "pip", "install", "--quiet", requirement], f"cannot install {requirement}")
    (cache.venv / stamp).touch()


def _download_triton(cache: Cache) -> Path:
    folder = cache.root / "downloads"
    pip = [str(cache.python), "-m", "pip", "download", "--quiet", "--no-deps"]
    _run([*pip, "--dest", str(folder), TRITON_WHEEL], f"cannot download {TRITON_WHEEL}; it needs glibc 2.35 or newer (Debian 12)")
    return next(folder.glob("nvidia_pytriton-*.whl"))


def _unpack_triton(cache: Cache, wheel: Path) -> None:
    fresh = cache.root / "triton.new"
    shutil.rmtree(fresh, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(fresh)
    home = fresh / "pytriton" / "tritonserver"
    stub = home / "backends" / "python" / "triton_python_backend_stub"
    shutil.copy(home / "python_backend_stubs" / PYTHON / stub.name, stub)
    for binary in (home / "bin" / "tritonserver", stub):
        binary.chmod(0o755)
    shutil.rmtree(cache.wheel, ignore_errors=True)
    fresh.rename(cache.wheel)


def _unpack_debian(cache: Cache, package: str) -> None:
    folder = cache.root / "downloads"
    folder.mkdir(exist_ok=True)
    _run(["apt-get", "--quiet=2", "download", package], f"cannot download Debian's {package}", cwd=folder)
    archive = max(folder.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
    _run(["dpkg-deb", "-x", archive, cache.debian], f"cannot unpack {archive}")


def _apt_install(packages: list[str]) -> None:
    if not packages:
        return
    command = ["apt-get", "install", "--quiet=2", "-y", "--no-install-recommends", *packages]
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise NotInstalled(f"missing here: {', '.join(packages)}; as root run: {' '.join(command)}")
    _refresh_package_lists()
    _run(command, f"cannot install {', '.join(packages)}")


def _refresh_package_lists() -> None:
    """Slim images come with empty lists, where nothing can be found until they are filled once."""
    filled = any(Path("/var/lib/apt/lists").glob("*_Packages*"))
    if not filled:
        if os.geteuid() != 0:
            raise NotInstalled("the package lists are empty; as root run: apt-get update")
        _run(["apt-get", "--quiet=2", "update"], "cannot fetch the package lists")


def _run(command: Sequence[str | Path], trouble: str, cwd: Path | None = None) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        shown = " ".join(map(str, command))
        raise NotInstalled(f"{trouble}\n  {shown}\n  exit {done.returncode}: {done.stderr.strip()[-2000:]}")


def _say(peer: str, path: Path) -> None:
    print(f"{peer}: {path}", flush=True)


@contextmanager
def _only_one(cache: Cache) -> Iterator[None]:
    """Two installs of one cache at a time would tread on each other."""
    cache.root.mkdir(parents=True, exist_ok=True)
    with open(cache.root / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", nargs="?", default="all", choices=[*INSTALLERS, "all"])
    wanted = parser.parse_args().peer
    cache = Cache.default()
    try:
        with _only_one(cache):
            for peer, installer in INSTALLERS.items():
                if wanted in (peer, "all"):
                    installer(cache)
    except NotInstalled as trouble:
        print(f"install: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
