"""The networks of a bundle, loaded when needed: all at once, or in turn where memory is short."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf

from inference.errors import DeviceError
from inference.runtime.backends import Backend
from inference.runtime.session import Session, open_session
from inference.runtime.settings import Settings
from inference.runtime.ways import largest_mb, ways
from model.arrays import Zyx
from model.bundle import ModelBundle
from model.manifest.network import Network, Precision
from model.manifest.window import FixedWindow


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How many networks are in memory at a time, and with how much of it; part of a plan."""

    at_once: int
    """Networks that are loaded at a time."""
    gpu_limit_mb: int = 0
    """What the networks' arenas may take together on a GPU; 0 for no limit."""
    tight: bool = False
    """Convolutions with little working memory."""
    ahead: bool = False
    """All members are loaded at the same time, though they run, and then go, in turn."""
    windows: Mapping[str, Zyx] = field(default_factory=dict)
    """Window that each member is given, by its file."""


class Sessions:
    """Opens networks on first use and keeps those that were used last, as many as `loading` says.

    Args:
        bundle: the networks' files.
        backend: what runs them.
        threads: CPU threads; 0 leaves the number to the library.
        precision: overrides what the manifest allows; None does not.
        gpu: number of the GPU, where the backend uses one.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        backend: Backend,
        *,
        threads: int,
        precision: Precision | None,
        gpu: int = 0,
    ) -> None:
        self.backend = backend
        self._loading = Loading(at_once=len(bundle.manifest.networks()))
        self._bundle = bundle
        self._threads = threads
        self._precision = precision
        self._gpu = gpu
        self._ways = ways(bundle, backend, precision)
        self._open: OrderedDict[str, tuple[Network, Session]] = OrderedDict()
        self._ahead: dict[str, Future[Session]] = {}

    def follow(self, loading: Loading) -> None:
        """Load as many networks, for such windows, with as much memory, as a plan says."""
        if loading.windows != self._loading.windows:
            self._ways = ways(self._bundle, self.backend, self._precision, loading.windows)
        self._loading = loading
        self._drop_ahead()
        for file, (network, _) in list(self._open.items()):
            if loading.windows.get(file, network.window_zyx) != network.window_zyx:
                self._close(file)
        while len(self._open) > loading.at_once:
            self._close(next(iter(self._open)))

    def prepare(self, networks: Sequence[Network]) -> None:
        """Begin to load the networks of a plan, where it allows that: loading one keeps one thread busy.

        Faults are told when a network is asked for.
        """
        fresh = [network for network in networks if network.file not in self._open]
        if not self._loading.ahead or self._threads == 1 or not fresh:
            return
        pool = ThreadPoolExecutor(len(fresh), thread_name_prefix="loading")
        self._ahead = {network.file: pool.submit(self._opened, network) for network in fresh}
        pool.shutdown(wait=False)

    def load_all(self, limit_mb: float = inf) -> None:
        """Load all networks of one window now, unless they are estimated to take more than `limit_mb` MiB.

        Raises:
            DeviceError: one cannot be loaded.
        """
        if sum(way.memory_mb for way in self._ways.values()) <= limit_mb:
            for network in self._bundle.manifest.networks().values():
                if isinstance(network.window, FixedWindow) or network.window.use == "own":
                    self.get(network)

    def get(self, network: Network) -> Session:
        """The network, ready to run windows of `network.window_zyx`. Members that share a file share it.

        Raises:
            DeviceError: it cannot be loaded, or its file was altered since the bundle was.
            DeviceMemoryError: it does not fit into the device's memory.
        """
        file = network.file
        if file in self._open and self._open[file][0].input_shape != network.input_shape:
            self._close(file)
        if file not in self._open:
            while len(self._open) >= self._loading.at_once:
                self._close(next(iter(self._open)))
            begun = self._ahead.pop(file, None)
            self._open[file] = network, begun.result() if begun else self._opened(network)
        self._open.move_to_end(file)
        return self._open[file][1]

    def _opened(self, network: Network) -> Session:
        settings = Settings(
            input_shape=(1, len(self._bundle.manifest.inputs), *network.input_shape),
            threads=self._threads,
            precision=self._precision or network.precision,
            gpu=self._gpu,
            gpu_limit_mb=self._share_mb(network),
            tight=self._loading.tight,
        )
        return open_session(self._ways[network.file].path, self.backend, settings, read=self._bundle.read)

    def _drop_ahead(self) -> None:
        """Close what was loaded and not asked for."""
        for begun in self._ahead.values():
            with suppress(DeviceError):  # What cannot be loaded takes no memory.
                begun.result().close()
        self._ahead = {}

    def close(self) -> None:
        """Give back all networks' memory; they are loaded again if needed."""
        self._drop_ahead()
        while self._open:
            self._close(next(iter(self._open)))

    def _close(self, file: str) -> None:
        self._open.pop(file)[1].close()

    def _share_mb(self, network: Network) -> int:
        """The network's share, by what it needs, of what all that are loaded may take on the GPU."""
        largest = largest_mb(self._ways, self._loading.at_once)
        return int(self._loading.gpu_limit_mb * min(1.0, self._ways[network.file].memory_mb / largest))
