"""
The composition root: the only file that names concrete classes. It starts every part in order, and stops them
backwards.

    data folder (lock) -> store (migrate, writer) -> engine (resume, routes) -> configuration files -> HTTP

It decides nothing about events or pipelines.
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from conduit_local import __version__
from conduit_local.config.apply import Configuration
from conduit_local.config.files import read_pipelines
from conduit_local.config.first_key import keep_first_key
from conduit_local.config.handed_on import engine_settings, server_settings, store_settings
from conduit_local.config.settings import InvalidSettings, LoadedSettings, is_loopback
from conduit_local.config.watch import Seen, look, repeat_postponed, watch
from conduit_local.control.routes import Control
from conduit_local.control.snapshot import Identity
from conduit_local.core.errors import only_error
from conduit_local.core.kinds import Kinds, spec_model
from conduit_local.core.ports import Clock
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.texts import Texts
from conduit_local.destinations.kinds import DESTINATIONS, DestinationMaker
from conduit_local.destinations.means import Means
from conduit_local.dialects.s0 import routes as s0
from conduit_local.dialects.s1 import routes as s1
from conduit_local.dialects.s2 import routes as s2
from conduit_local.dialects.s3 import routes as s3
from conduit_local.dialects.s4 import routes as s4
from conduit_local.egress.addresses import Addresses
from conduit_local.egress.client import HttpClient
from conduit_local.egress.guard import Guard
from conduit_local.engine.clock import SteeredClock, SystemClock
from conduit_local.engine.engine import Engine, Ports, run_engine
from conduit_local.engine.journal import LOGGER, Journal
from conduit_local.engine.limits import Bucket
from conduit_local.engine.plugins import Plugins, find_plugins
from conduit_local.http.body import BodyReader
from conduit_local.http.boundary import Boundary
from conduit_local.http.docs_page import docs_api
from conduit_local.http.guards import Guards
from conduit_local.http.proxies import Proxies
from conduit_local.http.router import Router
from conduit_local.http.server import listen
from conduit_local.http.wording import coded_error
from conduit_local.sources.kinds import PLUGINS, SOURCES, SourceMaker
from conduit_local.store.folder import DataFolder, write_private
from conduit_local.store.store import open_store
from conduit_local.store.vault import FileVault
from conduit_local.transforms.encoding import open_encoder
from conduit_local.transforms.kinds import TRANSFORMS
from conduit_local.transforms.running import open_transforms

SWITCH_INTERVAL_S = 0.0005
"""
How long a thread may keep the interpreter while another waits. The default of 5 ms makes the writer's thread wait
that long after each of its five statements a group; 0.5 ms halves the p99 of a commit under load, measured.
"""


SAME_SIGNAL_S = 1.0
_SOURCE_THREADS = 2
"""Of their own: what is read from a slow disk must not hold up what is written to another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What an appliance is started with."""

    loaded: LoadedSettings
    data_folder: Path
    configuration_folder: Path
    environment: Mapping[str, str]


@cache
def source_plugins() -> Plugins:
    """The kinds of sources that other packages bring; looked for once, in some 10 ms."""
    return find_plugins(PLUGINS, SOURCES)


def pipeline_model() -> type[PipelineSpec]:
    """The model of a pipeline's configuration, with the components that this version has."""
    return spec_model(
        Kinds(sources={**SOURCES, **source_plugins().specs}, transforms=TRANSFORMS, destinations=DESTINATIONS)
    )


async def run_appliance(start: Start, ready: Callable[[str], None]) -> None:
    """
    Run until SIGTERM or SIGINT; `ready` is told the URL once requests are accepted.

    The first signal is soft; a second one cancels. Either way the next start is the recovery path.
    Raises: FolderInUse, FolderUnusable, StoreBroken, CannotListen, InvalidSettings.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    settings = start.loaded.settings
    clock: Clock = SteeredClock() if settings.testing else SystemClock()
    async with AsyncExitStack() as stack:
        journal = Journal(clock)
        LOGGER.addHandler(journal)
        stack.callback(LOGGER.removeHandler, journal)
        stopped = _on_signals(stack)
        folder = stack.enter_context(DataFolder(start.data_folder))
        model = pipeline_model()
        for problem in source_plugins().problems:
            LOGGER.error("%s", problem)
        new = not folder.database.exists()
        if new:
            _require_good_files(start, model)
        vault = FileVault(folder.secret_keys, start.environment.get("CONDUIT_LOCAL_SECRET_KEY"))
        texts = Texts(model, DESTINATIONS, vault)
        store = await stack.enter_async_context(open_store(store_settings(settings, folder.database), clock, texts))
        sender = await stack.enter_async_context(
            HttpClient(guard := Guard(settings.allowed_networks, loopback=is_loopback(settings.host)))
        )
        threads = stack.enter_context(ThreadPoolExecutor(settings.delivery.threads, thread_name_prefix="destination"))
        encoder = await stack.enter_async_context(open_encoder(settings.transforms, scratch=folder.path / "encoding"))
        ports = Ports(
            log=store.log,
            catalog=store.catalog,
            destinations=DestinationMaker(
                Means(
                    data_folder=folder.path,
                    threads=threads,
                    sender=sender,
                    check_url=guard.check_url,
                    addresses=Addresses(guard).of,
                    encoder=encoder,
                    environment=start.environment,
                ),
                tuple(map(Path, settings.allowed_folders)),
                settings.stand_ins.destinations,
                settings.stand_ins.sources,
                vault.place,
                ambient_credentials=settings.ambient_credentials,
            ),
            transforms=await stack.enter_async_context(
                open_transforms(settings.transforms, scratch=folder.path / "transforms")
            ),
            sources=SourceMaker(
                folder.path,
                tuple(map(Path, settings.allowed_folders)),
                stack.enter_context(ThreadPoolExecutor(_SOURCE_THREADS, thread_name_prefix="source")),
                clock,
                sender,
                check_url=guard.check_url,
                stand_ins=settings.stand_ins.sources,
                plugins=source_plugins(),
                keys_at=vault.place,
            ),
            sender=sender,
            clock=clock,
            texts=texts,
            key_ring=vault,
        )
        engine = await stack.enter_async_context(
            run_engine(ports, journal, model, engine_settings(settings), random.Random())  # noqa: S311 - jitter
        )
        await keep_first_key(engine.keys, folder, start.environment)
        configuration = Configuration(start.configuration_folder, start.loaded, engine, start.environment)
        seen = look(start.configuration_folder)
        await configuration.reload()
        await _serve(stack, start, engine, configuration, folder, ready, seen)
        await stopped.wait()
        LOGGER.info("stopping: requests and batches in hand are ended first")


async def _serve(
    stack: AsyncExitStack,
    start: Start,
    engine: Engine,
    configuration: Configuration,
    folder: DataFolder,
    ready: Callable[[str], None],
    seen: Seen,
) -> None:
    settings = start.loaded.settings
    identity = Identity(
        version=__version__,
        data_dir=str(folder.path),
        config_dir=str(start.configuration_folder),
        auth=settings.auth,
        testing=settings.testing,
        durability=settings.durability,
    )
    control = Control(engine, identity, configuration)
    apis = [*(one.api(engine) for one in (s0, s1, s2, s3, s4)), control.api()]
    apis.append(docs_api(apis, title="conduit-local", version=__version__, base_url=start.environment.get("BASE_URL")))
    boundary = Boundary(
        Router(apis, coded_error),
        engine.keys,
        Guards(settings.host, settings.allowed_hosts),
        Bucket(settings.rate_limit.requests, settings.rate_limit.per_s),
        BodyReader(deadline_s=settings.connections.body_deadline),
        engine.clock,
        Proxies(settings.trusted_proxies),
    )
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    listening = await stack.enter_async_context(listen(boundary, server_settings(settings)))
    control.url = listening.url
    helpers = [
        tasks.create_task(watch(start.configuration_folder, configuration, engine.clock, seen), name="watch"),
        tasks.create_task(repeat_postponed(configuration, engine.clock), name="repeat postponed"),
    ]
    for helper in helpers:
        stack.callback(helper.cancel)
    stack.callback(control.streams.end)
    _announce(stack, folder, listening.url)
    ready(listening.url)


def _announce(stack: AsyncExitStack, folder: DataFolder, url: str) -> None:
    """Say who serves the data folder, for the CLI and the TUI."""
    content = json.dumps({"pid": os.getpid(), "url": url, "version": __version__})
    try:
        write_private(folder.appliance, content.encode())
    except OSError as error:
        LOGGER.warning("write %s: %s; name the appliance with --url", folder.appliance, error.strerror)
    stack.callback(_withdraw, folder.appliance)


def _withdraw(path: Path) -> None:
    with suppress(OSError):  # what is left behind is overwritten at the next start, and its pid is checked by readers
        path.unlink()


def _on_signals(stack: AsyncExitStack) -> asyncio.Event:
    """
    The first SIGTERM or SIGINT sets the event; another one cancels everything.

    A terminal and a parent process may both pass one and the same signal on, so one that follows at once is ignored.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    main = asyncio.current_task()
    first_at_s = 0.0

    def stop() -> None:
        nonlocal first_at_s
        if not stopped.is_set():
            first_at_s = loop.time()
            stopped.set()
        elif loop.time() - first_at_s > SAME_SIGNAL_S and main is not None:
            main.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
        stack.callback(loop.remove_signal_handler, number)
    return stopped


def _require_good_files(start: Start, model: type[PipelineSpec]) -> None:
    """
    On the very first start a broken pipeline file is refused: a person is there, and nothing is lost by not starting.

    Later the appliance starts with what is good; unattended, it must not stay down for a typing error.
    """
    problems = read_pipelines(start.configuration_folder, model, start.environment).problems
    if problems:
        raise InvalidSettings(problems)


def run(start: Start, ready: Callable[[str], None]) -> None:
    """Run the appliance on uvloop where it is installed, on the standard loop otherwise."""
    try:
        import uvloop
    except ImportError:
        factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            runner.run(run_appliance(start, ready))
        except BaseExceptionGroup as group:
            raise only_error(group) from group


def set_up_logging(level: str, handler: logging.Handler) -> None:
    """One handler for all that this package says."""
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False
    LOGGER.addHandler(handler)
