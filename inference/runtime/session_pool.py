"""The networks of a bundle, loaded when they are needed: all at once, or one after another where memory is short."""

from collections import OrderedDict

from inference.planning.footprint import largest_mb, ways
from inference.planning.planner import InferencePlan
from inference.runtime.session import Backend, Precision, Session, Settings, open_session
from model.bundle import ModelBundle
from model.manifest import Network


class Sessions:
    """Opens networks on first use and keeps the last `at_once` of them.

    Args:
        bundle: the networks' files.
        backend: what runs them.
        threads: CPU threads; 0 leaves the number to the library.
        precision: overrides what the manifest allows; None does not.
    """

    def __init__(
        self, bundle: ModelBundle, backend: Backend, *, threads: int, precision: Precision | None
    ) -> None:
        self.backend = backend
        self.at_once = len(bundle.manifest.networks())
        self.gpu_limit_mb = 0
        self.tight = False
        self._bundle = bundle
        self._threads = threads
        self._precision = precision
        self._ways = ways(bundle, backend, precision)
        self._open: OrderedDict[str, Session] = OrderedDict()

    def follow(self, plan: InferencePlan) -> None:
        """Load as many networks, with as much memory, as a plan says."""
        self.at_once, self.gpu_limit_mb, self.tight = plan.at_once, plan.gpu_limit_mb, plan.tight
        while len(self._open) > self.at_once:
            self._open.popitem(last=False)[1].close()

    def load_all(self, limit_mb: float) -> None:
        """Load all networks now, unless they are estimated to take more than `limit_mb` MiB: then each when it is needed.

        Raises:
            DeviceError: one cannot be loaded.
        """
        if sum(way.memory_mb for way in self._ways.values()) <= limit_mb:
            for network in self._bundle.manifest.networks().values():
                self.get(network)

    def get(self, network: Network) -> Session:
        """The network, ready to run. Members that share a file share it.

        Raises:
            DeviceError: it cannot be loaded.
            DeviceMemoryError: it does not fit into the device's memory.
        """
        session = self._open.get(network.file)
        if session is None:
            while len(self._open) >= self.at_once:
                self._open.popitem(last=False)[1].close()
            settings = Settings(
                threads=self._threads,
                precision=self._precision or network.precision,
                gpu_limit_mb=self._share_mb(network),
                tight=self.tight,
            )
            session = self._open[network.file] = open_session(
                self._ways[network.file].path, self.backend, settings
            )
        self._open.move_to_end(network.file)
        return session

    def close(self) -> None:
        """Give back all networks' memory; they are loaded again if needed."""
        while self._open:
            self._open.popitem()[1].close()

    def _share_mb(self, network: Network) -> int:
        """The network's part of what all that are loaded at a time may take on the GPU, by what each needs."""
        return int(
            self.gpu_limit_mb
            * min(1.0, self._ways[network.file].memory_mb / largest_mb(self._ways, self.at_once))
        )
