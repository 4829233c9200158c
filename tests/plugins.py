"""Third-party packages with sinks."""

from pathlib import Path


def plugin(folder: Path, name: str, entry_points: str, code: str = "") -> None:
    """Create a distribution as an installer would."""
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[sst_cloud.sinks]\n{entry_points}\n")
    (folder / f"{name.replace('-', '_')}.py").write_text(code)


ASKING = """
class Sink:
    "Says which secret it gets."
    target, options, guarantee, secrets = "", (), "", ["ASKED"]

    @staticmethod
    def from_url(url):
        from sst_cloud import SinkOptionsError
        raise SinkOptionsError(f"the secret is {url.secrets.get('ASKED')}")
"""


def asking_sink(folder: Path) -> None:
    """The sink `asking:`, which refuses to open and shows its secret ASKED in the error."""
    plugin(folder, "asking-sink", "asking = asking_sink:Sink", ASKING)
