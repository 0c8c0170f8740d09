"""The prepare- commands: raw archives to stores. Each plans, says what it will take, builds and prints a summary.

Heavy libraries are imported inside the commands, as in `nowcast.cli.app`.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from nowcast.cli.console import tell
from pipelines.store.paths import refuse_inputs

Workers = Annotated[int | None, typer.Option(min=1, help="Processes; one a core by default.")]
Scheduler = Annotated[str | None, typer.Option(help="Dask scheduler to use instead: tcp://HOST:PORT.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Target = Annotated[Path, typer.Argument(help="Zarr store to write.")]
ClipProtocol = Annotated[str, typer.Option("--protocol", help="Protocol: size, rate and length of the clips.")]


def prepare_sevir(
    archive: Annotated[str, typer.Argument(help="Folder or URL (s3://sevir/data) with CATALOG.csv and data/.")],
    store: Target,
    catalog: Annotated[str | None, typer.Option(help="Catalog, when it is not the archive's own.")] = None,
    protocol: Annotated[str, typer.Option(help="Protocol: grid, reducer and splits.")] = "sevir-128-10-10",
    grid: Annotated[int | None, typer.Option(help="128 or 384, instead of the protocol's.")] = None,
    reduce: Annotated[str | None, typer.Option(help="mean, max, center, antialias or none.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="Only this event; repeat for more.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many events.")] = None,
    max_missing: Annotated[float | None, typer.Option(min=0, max=1, help="Largest share of missing pixels.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without files that cannot be opened.")] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn SEVIR's HDF5 into a chunked Zarr store; run again, it goes on. Exit code 3: not all could be read."""
    from pipelines.sevir.prepare import Choice, plan_archive, prepare

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
    if dry_run:
        tell(str(plan_archive(archive, **choice)))
        return
    workers = workers or os.cpu_count() or 1
    summary = prepare(archive, store, workers=workers, scheduler=scheduler, overwrite=overwrite, tell=tell, **choice)
    tell(str(summary))
    if summary.rejects:
        raise typer.Exit(3)


def prepare_radar(
    source: Annotated[list[str], typer.Argument(help="Files or folders: MRMS GRIB2, ODIM or KNMI HDF5, CF NetCDF.")],
    store: Target,
    protocol: Annotated[str, typer.Option(help="Protocol: windows and splits.")] = "radar-128-10-10",
    coarsen: Annotated[int | None, typer.Option(min=1, help="Average so many pixels along each side.")] = None,
    frames: Annotated[int | None, typer.Option(min=2, help="Frames of an event; by default at most 49.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many events.")] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn other radar into a store of 128x128 tiles in SEVIR's counts. Exit code 3: not all could be read."""
    from pipelines.radar.prepare import Choice, plan_radar, prepare

    refuse_inputs(store, source)
    choice = Choice(protocol=protocol, coarsen=coarsen, frames=frames, limit=limit)
    if dry_run:
        plan, rules = plan_radar(source, **choice)
        tell(plan.describe(rules))
        return
    workers = workers or os.cpu_count() or 1
    summary = prepare(source, store, workers=workers, scheduler=scheduler, overwrite=overwrite, tell=tell, **choice)
    tell(str(summary))
    if summary.rejects or summary.left_out:
        raise typer.Exit(3)


def prepare_kth(
    source: Annotated[Path, typer.Argument(help="Folder of KTH's videos, person01_boxing_d1_uncomp.avi and others.")],
    store: Target,
    protocol: ClipProtocol = "kth-128-10-10",
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn KTH's videos of actions into a store of grey clips. Exit code 3: not all could be read."""
    from pipelines.video.kth import plan_kth

    refuse_inputs(store, [source])
    _prepare_clips(plan_kth(source, protocol), store, workers, scheduler, dry_run, overwrite)


def prepare_kitti(
    source: Annotated[Path, typer.Argument(help="Folder of KITTI's raw drives, to train on.")],
    store: Target,
    caltech: Annotated[Path | None, typer.Option(help="Folder of Caltech Pedestrian, to test on.")] = None,
    protocol: ClipProtocol = "kitti-caltech-128-10-10",
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn KITTI and Caltech Pedestrian into a store of clips in colour. Exit code 3: not all could be read."""
    from pipelines.video.kitti import plan_kitti

    refuse_inputs(store, [source, caltech])
    _prepare_clips(plan_kitti(source, caltech, protocol), store, workers, scheduler, dry_run, overwrite)


def prepare_video(
    source: Annotated[Path, typer.Argument(help="Folder of videos, or of folders of pictures.")],
    store: Target,
    protocol: ClipProtocol = "video-256-10-10",
    size: Annotated[int | None, typer.Option(min=1, help="Pixels along a side, instead of the protocol's.")] = None,
    fps: Annotated[float | None, typer.Option(min=0.1, help="Frames a second, instead of the protocol's.")] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Grey, instead of the protocol's colours.")] = False,
    split_rule: Annotated[
        str, typer.Option(help="Percentages for train, val and test by a hash of the name; or folders, called so.")
    ] = "80/10/10",
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn any folder of videos or frames into a store of clips. Exit code 3: not all could be read."""
    from pipelines.video.prepare import plan_folder

    refuse_inputs(store, [source])
    plan = plan_folder(source, protocol=protocol, size=size, fps=fps, grey=grey, split_rule=split_rule)
    _prepare_clips(plan, store, workers, scheduler, dry_run, overwrite)


def _prepare_clips(
    plan: Any, store: Path, workers: int | None, scheduler: str | None, dry_run: bool, overwrite: bool
) -> None:
    from pipelines.video.prepare import prepare

    if dry_run:
        tell(str(plan))
        return
    workers = workers or os.cpu_count() or 1
    summary = prepare(plan, store, workers=workers, scheduler=scheduler, overwrite=overwrite, tell=tell)
    tell(str(summary))
    if summary.rejects:
        raise typer.Exit(3)
