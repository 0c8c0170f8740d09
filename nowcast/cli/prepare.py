"""The prepare- commands: raw archives to stores. Each makes a plan, prints it, builds the store and prints a summary.

Heavy libraries are imported inside the commands, as in `nowcast.cli.app`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nowcast.cli.console import tell
from pipelines.store.paths import refuse_inputs

if TYPE_CHECKING:
    from pipelines.building.plan import Plan

Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes; by default one per core.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a dask scheduler to use instead: tcp://HOST:PORT.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Target = Annotated[Path, typer.Argument(help="Zarr store to write.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Take only the first LIMIT events.")]
ClipProtocol = Annotated[str, typer.Option("--protocol", help="Protocol: size, frame rate and length of the clips.")]


def prepare_sevir(
    archive: Annotated[str, typer.Argument(help="Folder or URL (s3://sevir/data) with CATALOG.csv and data/.")],
    store: Target,
    catalog: Annotated[str | None, typer.Option(help="Catalog to use instead of the archive's own.")] = None,
    protocol: Annotated[str, typer.Option(help="Protocol: grid, reducer and splits.")] = "sevir-128-10-10",
    grid: Annotated[int | None, typer.Option(help="128 or 384 pixels, instead of the protocol's grid.")] = None,
    reduce: Annotated[
        str | None, typer.Option(help="Reducer from 384 to 128 pixels: mean, max, center, antialias or none.")
    ] = None,
    event: Annotated[list[str] | None, typer.Option(help="Take only this event; repeat for more.")] = None,
    limit: Limit = None,
    max_missing: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave out events with a larger share of missing pixels.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Continue without files that cannot be opened.")] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert SEVIR's HDF5 files to a chunked Zarr store.

    An interrupted run is resumed. Exit code 3: some events could not be read.
    """
    from pipelines.sevir.prepare import Choice, plan_archive

    refuse_inputs(store, [archive, catalog])
    choice = Choice(
        catalog=catalog,
        protocol=protocol,
        grid=grid,
        reducer=reduce,
        events=event or None,
        limit=limit,
        max_missing=max_missing,
        skip_bad=skip_bad,
    )
    _prepare(plan_archive(archive, **choice), store, workers, scheduler, dry_run, overwrite)


def prepare_radar(
    source: Annotated[
        list[str], typer.Argument(help="Files, folders, wildcards: MRMS GRIB2, ODIM or KNMI HDF5, CF NetCDF.")
    ],
    store: Target,
    protocol: Annotated[str, typer.Option(help="Protocol: windows and splits.")] = "radar-128-10-10",
    coarsen: Annotated[int | None, typer.Option(min=1, help="Average blocks of COARSEN x COARSEN pixels.")] = None,
    frames: Annotated[int | None, typer.Option(min=2, help="Frames per event; by default at most 49.")] = None,
    limit: Limit = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert radar of any service to a store of 128x128 tiles in SEVIR's counts.

    An interrupted run is resumed. Exit code 3: some files could not be read or were left out.
    """
    from pipelines.radar.prepare import Choice, plan_radar

    refuse_inputs(store, source)
    choice = Choice(protocol=protocol, coarsen=coarsen, frames=frames, limit=limit)
    plan = plan_radar(source, **choice)
    _prepare(plan, store, workers, scheduler, dry_run, overwrite)
    if plan.left_out and not dry_run:
        raise typer.Exit(3)


def prepare_kth(
    source: Annotated[Path, typer.Argument(help="Folder of KTH's videos (person01_boxing_d1_uncomp.avi, ...).")],
    store: Target,
    protocol: ClipProtocol = "kth-128-10-10",
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert KTH's videos of human actions to a store of grey clips.

    An interrupted run is resumed. Exit code 3: some videos could not be read.
    """
    from pipelines.video.kth import plan_kth

    refuse_inputs(store, [source])
    _prepare(plan_kth(source, protocol), store, workers, scheduler, dry_run, overwrite)


def prepare_kitti(
    source: Annotated[Path, typer.Argument(help="Folder of KITTI's raw drives, the training data.")],
    store: Target,
    caltech: Annotated[Path | None, typer.Option(help="Folder of Caltech Pedestrian, the test data.")] = None,
    protocol: ClipProtocol = "kitti-caltech-128-10-10",
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert KITTI and Caltech Pedestrian to a store of clips in colour.

    An interrupted run is resumed. Exit code 3: some videos could not be read.
    """
    from pipelines.video.kitti import plan_kitti

    refuse_inputs(store, [source, caltech])
    _prepare(plan_kitti(source, caltech, protocol), store, workers, scheduler, dry_run, overwrite)


def prepare_video(
    source: Annotated[Path, typer.Argument(help="Folder of videos, or of folders of pictures.")],
    store: Target,
    protocol: ClipProtocol = "video-256-10-10",
    size: Annotated[int | None, typer.Option(min=1, help="Pixels along a side, instead of the protocol's.")] = None,
    fps: Annotated[float | None, typer.Option(min=0.1, help="Frames per second, instead of the protocol's.")] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Convert to grey, instead of the protocol's colours.")] = False,
    split_rule: Annotated[
        str,
        typer.Option(help="Percentages of train, val and test, drawn by a hash of each name; or `folders`: by folders "
                     "called train, val and test."),
    ] = "80/10/10",
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:  # fmt: skip
    """Convert any folder of videos or pictures to a store of clips.

    An interrupted run is resumed. Exit code 3: some videos could not be read.
    """
    from pipelines.video.folder import plan_folder

    refuse_inputs(store, [source])
    plan = plan_folder(source, protocol=protocol, size=size, fps=fps, grey=grey, split_rule=split_rule)
    _prepare(plan, store, workers, scheduler, dry_run, overwrite)


def _prepare(
    plan: "Plan", store: Path, workers: int | None, scheduler: str | None, dry_run: bool, overwrite: bool
) -> None:
    from pipelines.building.prepare import prepare

    if dry_run:
        tell(str(plan))
        return
    workers = workers or os.cpu_count() or 1
    summary = prepare(plan, store, workers=workers, scheduler=scheduler, overwrite=overwrite, tell=tell)
    tell(str(summary))
    if summary.rejects:
        raise typer.Exit(3)
