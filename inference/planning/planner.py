"""From a memory budget, a bundle and an image's header to a plan, before any voxel is loaded.

The plan says what is kept where, in which type, and what both peaks will be at most. Sizes are in MiB
(`_mb`). What the estimates stand on is in `planning.footprint`; tests compare them with measured peaks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from inference.errors import BudgetError
from inference.geometry import Geometry
from inference.imaging.orientation import orient, orientation_of
from inference.planning.footprint import VOXEL_BYTES, Footprint
from inference.planning.plan import CUDA_CONTEXT_MB, Budget, GroupPlan, InferencePlan, least_needed
from inference.planning.search import first_fitting
from inference.planning.window_levels import Levels
from inference.planning.windows import end_windows
from inference.planning.writing_cost import WritingCost
from inference.preprocessing.model_grid import input_scheme, model_grid
from inference.runtime.backends import Backend
from inference.runtime.ways import largest_mb, ways
from inference.sliding_window.groups import covers, grouped_members
from inference.sliding_window.placement import starts_of
from model.arrays import Zyx
from model.bundle import ModelBundle
from model.manifest.document import Manifest
from model.manifest.fusion import FirstThenOrgansFusion
from model.manifest.network import Localization, Member, Precision
from model.manifest.tiling import CentreFirst
from model.manifest.window import AnyWindow

Groups = list[tuple[Zyx, list[Member]]]
"""Grid and members of each group."""
Estimated = Callable[[Sequence[Zyx]], Iterator[InferencePlan]]
"""Plans with these windows, one for each group."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a plan is asked for."""

    geometry: Geometry
    """Of the image, as it is looked at."""
    region: Zyx
    voxel_bytes: int
    located: Zyx | None
    """Grid on which the region is still to be found."""
    reading_mb: float
    """What reading the image, where that is still to be done, takes beside it."""
    writing: WritingCost
    """What results beside the label map may take."""


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """What one plan for a case has that others have not."""

    groups: Groups
    at_once: int
    keep: bool
    ahead: bool = False


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Makes plans for a bundle on a backend."""

    bundle: ModelBundle
    backend: Backend
    precision: Precision | None = None
    """Overrides what the manifest allows; None does not."""
    budget: Budget = field(default_factory=Budget)
    writing: WritingCost = field(default_factory=WritingCost)
    """What results beside the label map take, with all frames that there might be."""

    def plan(
        self,
        stored: Geometry,
        region_zyx: Zyx | None = None,
        *,
        voxel_bytes: int | None = None,
        small: bool = False,
        reserved_mb: float = 0.0,
        reading_mb: float = 0.0,
    ) -> InferencePlan:
        """The fastest plan that keeps the budget.

        Args:
            stored: the image's grid, as in its header.
            region_zyx: size of the region that is segmented, in the orientation in which it is looked at;
                None for the whole image, before that is known.
            voxel_bytes: what a voxel of the image takes, all channels together: 2 for each that is int16, 4
                for float32; None for int16.
            small: only the smallest plan, after a device ran out of memory.
            reading_mb: MiB that reading the image takes beside its voxels; 0 once it was read.
            reserved_mb: MiB of the host's budget that others hold meanwhile. Windows, and so labels, are the
                same beside it, and nothing is refused: of the plans with these windows it is the fastest that
                leaves so much, or the smallest. See `InferencePlan.windows_settled`.

        Raises:
            BudgetError: none does; the message names the smallest budget that can be kept.
        """
        asked = self._asked(stored, region_zyx, voxel_bytes, reading_mb)
        groups = self._groups(asked.geometry, asked.region)
        estimated = partial(self._estimated, replace(asked, writing=self._affordable(asked)), groups)
        largest, own = zip(*(end_windows(grid, members[0]) for grid, members in groups), strict=True)
        at_once = [] if small else [*estimated(largest)]
        *_, smallest = estimated(own)
        plan = _fastest(groups, estimated, at_once, smallest)
        windows = [group.window_zyx for group in plan.groups]
        if reserved_mb:
            beside = [replace(each, reserved_mb=reserved_mb) for each in estimated(windows)]
            plan = next((each for each in beside if each.fits and not small), beside[-1])
        if small or windows == list(largest):
            return plan
        wanted = min(at_once, key=lambda plan: plan.excess_mb)
        return replace(plan, larger_windows_mb=(wanted.host_mb, wanted.gpu_mb))

    def _asked(
        self, stored: Geometry, region_zyx: Zyx | None, voxel_bytes: int | None, reading_mb: float
    ) -> _Asked:
        """What `plan` is asked for, in the orientation in which the image is looked at."""
        manifest = self.bundle.manifest
        as_stored = manifest.preprocessing.orientation == "stored"
        geometry = stored if as_stored else orient(stored, orientation_of(stored))
        return _Asked(
            geometry=geometry,
            region=region_zyx or geometry.size_zyx,
            voxel_bytes=voxel_bytes or VOXEL_BYTES * len(manifest.inputs),
            located=located_on(manifest, geometry) if region_zyx is None else None,
            reading_mb=reading_mb,
            writing=self.writing,
        )

    def _affordable(self, asked: _Asked) -> WritingCost:
        """What results may take of what the smallest plan leaves to them.

        It is that for the whole image, so that no region's plan takes more than was planned before.
        """
        size = asked.geometry.size_zyx
        if not self.writing.structures:
            return self.writing
        groups = self._groups(asked.geometry, size)
        own = [end_windows(grid, members[0])[1] for grid, members in groups]
        *_, smallest = self._estimated(replace(asked, region=size), groups, own)
        others_mb = sum(smallest.host["writing"].values()) - self.writing.mb(size)
        return self.writing.within(size, self.budget.host_mb - others_mb)

    def _estimated(self, asked: _Asked, groups: Groups, windows: Sequence[Zyx]) -> Iterator[InferencePlan]:
        """Plans with these windows, one for each group."""
        for choice in self._choices(_given(groups, windows)):
            yield self._estimate(asked, choice)

    def _choices(self, groups: Groups) -> Iterator[_Choice]:
        """What plans with the same windows differ in: that of the fastest first, of the smallest last."""
        manifest = self.bundle.manifest
        for keep in (True, False) if looked_at_twice(manifest) else (False,):
            if self._run_once(groups) and not looked_at_twice(manifest):
                for ahead in (True, False):
                    yield _Choice(groups=groups, at_once=1, keep=keep, ahead=ahead)
                continue
            for at_once in sorted({len(manifest.networks()), 1}, reverse=True):
                yield _Choice(groups=groups, at_once=at_once, keep=keep)

    def _run_once(self, groups: Groups) -> bool:
        """Whether each network takes the whole region in one window, on the CPU.

        It is then compiled anew for the next case's region: to keep it while others run would take its
        memory, and bring nothing.
        """
        return self.backend != "cuda" and all(
            isinstance(member.window, AnyWindow)
            and member.window.use == "largest"
            and covers(member.window_zyx, grid)
            for grid, members in groups
            for member in members
        )

    def _ahead_mb(self, members: Sequence[Member]) -> float:
        """What members take that are loaded and have not run: as much as with the smallest window."""
        least = {
            member.file: member.window.smallest_zyx
            for member in members
            if isinstance(member.window, AnyWindow)
        }
        found = ways(self.bundle, self.backend, self.precision, least)
        return sum(found[file].memory_mb for file in least) - min(found[file].memory_mb for file in least)

    def _groups(self, geometry: Geometry, region: Zyx) -> Groups:
        """Grids and members of the groups, with windows of their own."""
        manifest = self.bundle.manifest.over(geometry.spacing_zyx_mm)
        groups = grouped_members(manifest)
        schemes = [input_scheme(manifest, members[0]) for members in groups]
        grids = [model_grid(region, geometry.spacing_zyx_mm, scheme).size_zyx for scheme in schemes]
        return list(zip(grids, groups, strict=True))

    def _estimate(self, asked: _Asked, choice: _Choice) -> InferencePlan:
        groups, at_once, keep = choice.groups, choice.at_once, choice.keep
        geometry = asked.geometry
        manifest = self.bundle.manifest.over(geometry.spacing_zyx_mm)
        twice = looked_at_twice(manifest)
        windows = {member.file: member.window_zyx for _, members in groups for member in members}
        networks = ways(self.bundle, self.backend, self.precision, windows)
        loaded = largest_mb(networks, at_once)
        if choice.ahead:
            loaded += self._ahead_mb([member for _, members in groups for member in members])
        on_gpu = self.backend == "cuda"
        footprint = Footprint(
            manifest=manifest,
            image_zyx=geometry.size_zyx,
            spacing_zyx_mm=geometry.spacing_zyx_mm,
            voxel_bytes=asked.voxel_bytes,
            region_zyx=asked.region,
            groups=groups,
            kept=[grid for grid, _ in groups[:twice]] if keep else [],
            writing=asked.writing,
            located_zyx=asked.located,
            reading_mb=asked.reading_mb,
        )
        return InferencePlan(
            backend=self.backend,
            precisions={file: way.precision for file, way in networks.items()},
            groups=tuple(
                group_plan(grid, members, looks=2 if index < twice and not keep else 1)
                for index, (grid, members) in enumerate(groups)
            ),
            at_once=at_once,
            tight=on_gpu and at_once == 1,
            ahead=choice.ahead,
            keep=keep,
            host=footprint.host(self.backend, 0.0 if on_gpu else loaded),
            gpu={"context": CUDA_CONTEXT_MB, "networks": loaded} if on_gpu else {},
            budget=self.budget,
        )


def _fastest(
    groups: Groups, estimated: Estimated, at_once: Sequence[InferencePlan], smallest: InferencePlan
) -> InferencePlan:
    """The first plan that keeps the budget, from the largest windows to the smallest.

    Args:
        groups: what windows are chosen for.
        estimated: makes the plans of given windows.
        at_once: plans with the largest windows; none where only the smallest plan will do.
        smallest: the last plan of the smallest windows.

    Raises:
        BudgetError: none does.
    """
    # Windows by the thousand lie between the largest and the smallest. Before any is looked at: does the
    # smallest fit, or one that takes all at once, which needs no running means?
    if not any(plan.fits for plan in (*at_once, smallest)):
        smallest = min((*at_once, smallest, *_least(groups, estimated)), key=lambda plan: plan.excess_mb)
        if not smallest.fits:
            raise BudgetError(least_needed(smallest))
    whole = next((plan for plan in at_once if plan.fits), None)
    return whole or (_between(groups, estimated) if at_once else None) or smallest


def _least(groups: Groups, estimated: Estimated) -> list[InferencePlan]:
    """Plans of which one takes least of all those between, where that is not the last."""
    if len(groups) == 1:
        return []
    return [plan for level in Levels(groups).least() for plan in estimated(level)]


def _between(groups: Groups, estimated: Estimated) -> InferencePlan | None:
    """The first plan that fits, of those that take more runs than the largest windows do."""
    levels = Levels(groups)
    return first_fitting(
        levels.sizes,
        len(groups),
        lambda index: next((plan for plan in estimated(levels.windows[index]) if plan.fits), None),
    )


def _given(groups: Groups, windows: Sequence[Zyx]) -> Groups:
    """Groups whose members are given these windows."""
    return [
        (grid, [replace(member, window_zyx=window) for member in members])
        for (grid, members), window in zip(groups, windows, strict=True)
    ]


def localization_for(manifest: Manifest, geometry: Geometry) -> Localization | None:
    """How organs are localized in an image of this grid, as it is looked at; None where they are not."""
    localization = manifest.over(geometry.spacing_zyx_mm).localization
    height_mm = geometry.size_zyx[0] * geometry.spacing_zyx_mm[0]
    return None if localization is None or height_mm < localization.whole_below_mm else localization


def located_on(manifest: Manifest, geometry: Geometry) -> Zyx | None:
    """Grid on which organs are localized in an image, as it is looked at; None where they are not."""
    localization = localization_for(manifest, geometry)
    if localization is None:
        return None
    scheme = input_scheme(manifest, localization)
    return model_grid(geometry.size_zyx, geometry.spacing_zyx_mm, scheme).size_zyx


def looked_at_twice(manifest: Manifest) -> int:
    """How many groups' scores the fusion looks at twice, see `inference.segmentation`.

    It is the first ones.
    """
    groups = len(grouped_members(manifest))
    if isinstance(manifest.fusion, FirstThenOrgansFusion) and groups > 1:
        return 1
    return groups if manifest.cleans_before_fusion else 0


def group_plan(grid_zyx: Zyx, members: list[Member], looks: int = 1) -> GroupPlan:
    """What a group's members have in common, and how many windows they need at most in so many looks."""
    member, tiling = members[0], members[0].tiling
    z, y, x = starts_of(member, grid_zyx)
    centre_first = isinstance(tiling.order, CentreFirst)
    level = min(9, len(y) * len(x)) if centre_first else len(y) * len(x)
    order = "centre first" if centre_first else "all"
    return GroupPlan(
        files=tuple(each.file for each in members),
        grid_zyx=grid_zyx,
        window_zyx=member.window_zyx,
        order="the whole region at once"
        if len(z) * level == 1
        else f"{order}, feet to head, overlap {tiling.overlap:.0%}, {tiling.importance.kind}",
        slab=min(grid_zyx[0], member.window_zyx[0]),
        windows=len(z) * level * len(members) * looks,
    )
