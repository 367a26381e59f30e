"""A Slurm cluster of two nodes on this machine, from Debian's packages, unpacked into a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.training.runs import free_port

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
NUM_NODES = 2
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
PluginDir={libraries}/slurm-wlm
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=30
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName=node{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2\n"


class NoSlurm(RuntimeError):  # noqa: N818 (a reason to skip)
    """Why there can be no cluster here."""


def unpack(folder: Path) -> Path:
    """The packages and what they need, downloaded and unpacked, not installed: where `srun` is on the path of
    everything else, Lightning takes a machine for a cluster.

    Raises:
        NoSlurm: This is no Debian, the user is not root, or the packages cannot be had.
    """
    for needed in ("apt-get", "dpkg"):
        if shutil.which(needed) is None:
            raise NoSlurm(f"there is no {needed} to get Debian's packages with")
    if os.geteuid() != 0:
        raise NoSlurm("slurmd needs root")
    archives, root = folder / "archives", folder / "root"
    (archives / "partial").mkdir(parents=True)
    download = ["apt-get", "install", "--yes", "--no-install-recommends", "--download-only", "--reinstall"]
    download += ["--option", f"Dir::Cache::archives={archives}", *PACKAGES]
    for line in (download, ["apt-get", "update"], download):
        done = subprocess.run(line, capture_output=True, text=True)
        if list(archives.glob("*.deb")):
            break
    else:
        raise NoSlurm(f"apt-get cannot download {', '.join(PACKAGES)}: {done.stderr.strip()[-300:]}")
    for package in archives.glob("*.deb"):
        subprocess.run(["dpkg", "--extract", package, root], check=True)
    return root


class Cluster:
    """The daemons of a cluster of NUM_NODES nodes with two processors each, all on this machine.

    Raises:
        NoSlurm: Its nodes do not come up.
    """

    def __init__(self, folder: Path) -> None:
        root = unpack(folder)
        self.folder = folder
        self.programs = root / "usr"
        libraries = next(root.glob("usr/lib/*/slurm-wlm")).parent
        host = socket.gethostname()
        text = CONFIG.format(host=host, port=free_port(), folder=folder, libraries=libraries)
        for number in range(NUM_NODES):
            text += NODE.format(number=number, host=host, port=free_port())
            (folder / f"spool-node{number}").mkdir()
        (folder / "slurm.conf").write_text(text)
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "LD_LIBRARY_PATH": f"{libraries}:{libraries}/slurm-wlm",
            "PATH": f"{self.programs}/bin:{os.environ['PATH']}",
        }
        (folder / "state").mkdir()
        self._start_daemons()

    def _start_daemons(self) -> None:
        munge = self.folder / "munge"
        munge.mkdir(mode=0o700)
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o400)
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log"}
        options = [f"--{name}={munge / file}" for name, file in (files | {"seed-file": "seed"}).items()]
        daemons = self.programs / "sbin"
        # --force: the folders above may be anybody's to write to, as /tmp is.
        self.run([str(daemons / "munged"), "--force", *options])
        self.run([str(daemons / "slurmctld-wlm"), "-c"])
        for number in range(NUM_NODES):
            step = str(daemons / "slurmstepd-wlm")
            self.run([str(daemons / "slurmd-wlm"), "-N", f"node{number}", "-d", step])
        try:
            self.wait(lambda: self.run(["sinfo", "-h", "-o", "%D %T"]).split() == [str(NUM_NODES), "idle"])
        except (TimeoutError, subprocess.CalledProcessError) as error:
            self.close()
            logs = [log.read_text()[-300:] for log in sorted(self.folder.glob("*.log"))]
            raise NoSlurm(f"its nodes do not come up: {' '.join(logs)}") from error

    def run(self, line: Sequence[str], **environment: str) -> str:
        """What a command of Slurm's prints."""
        done = subprocess.run(
            line, env=self.environment | environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    def facts(self, job: str) -> dict[str, str]:
        """What `scontrol show job` says."""
        words = self.run(["scontrol", "show", "job", job]).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait(self, happened: Callable[[], bool], *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s")
            time.sleep(0.5)

    def close(self) -> None:
        """End its jobs, then its daemons."""
        with suppress(subprocess.CalledProcessError, TimeoutError):
            self.run(["scancel", "--user=root"])
            self.wait(lambda: not self.run(["squeue", "-h"]).strip())
        for file in [*self.folder.glob("slurm*.pid"), self.folder / "munge" / "pid"]:
            with suppress(FileNotFoundError, ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGTERM)
