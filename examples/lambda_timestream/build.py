"""Build the zip that AWS Lambda runs, on any machine: `make lambda`.

Packages are those for Lambda's processor and Python, whatever this machine is. They are compiled
with exactly that Python: a Lambda's folder is read-only, so what is not compiled here is compiled
again at every cold start.
"""

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}
GLIBC = ("2014", "_2_28", "_2_34")
"""What Amazon Linux 2023, the system under Python 3.12 and newer, is compatible with."""
SERVICES = ("secretsmanager", "ssm", "sts", "sso", "sso-oidc", "timestream-write")
"""AWS services that the function calls, and those that its credentials may come from."""
UNUSED_FILES = ("bin", "boto3/data", "boto3/examples", "**/*.pyi", "**/*.c", "**/*.pyx", "**/tests")
SERVICE_MODELS = "*/*/service-2.json.gz"
LIMIT = 250_000_000
"""Bytes that Lambda takes, unzipped."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip: the same content gives the same zip."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the zip, and print its size."""
    parser = argparse.ArgumentParser(prog="make lambda", description=__doc__)
    parser.add_argument("--arch", choices=ARCHITECTURES, default="arm64")
    parser.add_argument("--python", default="3.13", help="minor version, like the template's")
    parser.add_argument("--compiler", help="a Python of that version; default: one on the path")
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "lambda.zip")
    options = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="sst-cloud-") as folder:
        code = Path(folder) / "code"
        install(code, options.arch, options.python)
        installed_size = size(code)
        trim(code)
        compiler = find_python(options.python, options.compiler)
        if compiler is not None:
            compile_all(code, compiler)
        if size(code) > LIMIT:
            print(f"{size(code)} bytes unzipped; Lambda takes {LIMIT}", file=sys.stderr)
            return 1
        pack(code, options.output)
        print(f"{options.output}: {options.arch}, Python {options.python}")
        print(f"  zipped    {megabytes(options.output.stat().st_size)}")
        print(f"  unzipped  {megabytes(size(code))}, of these compiled {compiled_size(code)}")
        print(f"  trimmed   {megabytes(installed_size)} as installed, before compiling")
    if compiler is None:
        print(
            f"NOT COMPILED: {options.compiler or 'the path'} has no Python {options.python}, so "
            "that every cold start takes about twice as long. Name one and build again: "
            "make lambda COMPILER=/path/to/python",
            file=sys.stderr,
        )
    return 0


def install(folder: Path, arch: str, python: str) -> None:
    """Put the handler, the library and what it needs into a folder."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    with TemporaryDirectory(prefix="sst-cloud-") as wheels:
        build_options = ["--no-build-isolation"] if find_spec("hatchling") else []
        build = [*pip, "wheel", *build_options, "--no-deps", f"--wheel-dir={wheels}", str(ROOT)]
        subprocess.run(build, check=True)
        wheel = next(Path(wheels).glob("*.whl"))
        platforms = [f"--platform=manylinux{glibc}_{ARCHITECTURES[arch]}" for glibc in GLIBC]
        version = (f"--python-version={python}", "--implementation=cp")
        install_options = ("--only-binary=:all:", "--no-compile", f"--target={folder}")
        packages = (f"{wheel}[timestream]", "--requirement", HERE / "requirements.txt")
        subprocess.run(
            [*pip, "install", *platforms, *version, *install_options, *packages], check=True
        )
    for module in ("handler.py", "aws_secret.py"):
        shutil.copy(HERE / module, folder)


def trim(folder: Path) -> None:
    """Remove what the function never reads: mostly descriptions of AWS services."""
    data = folder / "botocore" / "data"
    unused = [path for path in data.iterdir() if path.is_dir() and path.name not in SERVICES]
    unused += [path for pattern in UNUSED_FILES for path in folder.glob(pattern)]
    for path in unused:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    trim_endpoints(data)


def trim_endpoints(data: Path) -> None:
    """Keep only the endpoints of the remaining services: every start reads them, 1.2 MB of JSON."""
    models = [
        json.loads(gzip.decompress(model.read_bytes())) for model in data.glob(SERVICE_MODELS)
    ]
    prefixes = {model["metadata"]["endpointPrefix"] for model in models}
    path = data / "endpoints.json"
    endpoints = json.loads(path.read_bytes())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {key: services[key] for key in services if key in prefixes}
    path.write_text(json.dumps(endpoints, separators=(",", ":")))


def find_python(version: str, requested: str | None = None) -> str | None:
    """A Python of this minor version: the requested one; else this one, or one on the path."""
    for name in [requested] if requested else [sys.executable, f"python{version}", "python3"]:
        path = shutil.which(name)
        if path is None:
            continue
        check = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"
        result = subprocess.run([path, "-c", check], capture_output=True, text=True, check=False)
        if result.stdout.split() == [version, "cpython"]:
            return path
    return None


def compile_all(folder: Path, python: str) -> None:
    """Compile everything; Python then never compares it with its source."""
    mode = ("--invalidation-mode", "unchecked-hash")
    paths = ("-s", folder, "-p", "/var/task")
    subprocess.run(
        [python, "-m", "compileall", "-q", "-q", "-j", "0", *mode, *paths, folder], check=True
    )


def pack(folder: Path, output: Path) -> None:
    """Zip the folder; the same content gives the same bytes."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if path.suffix == ".so" else 0o100644) << 16
            archive.writestr(entry, path.read_bytes())


def files(folder: Path) -> Iterator[Path]:
    """All files below a folder, in order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in files(folder))


def compiled_size(folder: Path) -> str:
    """The size of the compiled code in a folder, as text."""
    return megabytes(sum(path.stat().st_size for path in files(folder) if path.suffix == ".pyc"))


def megabytes(count: int) -> str:
    """A number of bytes as text."""
    return f"{count / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
