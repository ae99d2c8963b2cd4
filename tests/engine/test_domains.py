"""Domains: any text is one, from the first pipeline on that names it; and what people call it is kept (S4.3)."""

from pathlib import Path

import pytest

from conduit_local.core.errors import DomainNotFound, InvalidRequest
from conduit_local.core.kinds import patched_spec
from tests.engines import engine_at, until
from tests.making import MODEL, spec


async def test_a_domain_is_there_from_the_first_pipeline_that_names_it(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        with pytest.raises(DomainNotFound, match="no domain 'sales'"):
            engine.domains.require("sales")
        await engine.manage.create(spec(domain="sales"))
        await engine.manage.create(spec("other"))
        assert engine.domains.require("sales") == "sales"
        await engine.manage.change("other", lambda old: patched_spec(old, {"domain": "Größe 地震"}, MODEL))
        assert engine.domains.require("Größe 地震") == "Größe 地震"


async def test_a_domain_stays_when_its_last_pipeline_goes_with_and_without_a_restart(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(domain="sales"))
        await engine.manage.create(spec("other", domain="left"))
        await engine.manage.change("other", lambda old: patched_spec(old, {"domain": None}, MODEL))
        await engine.manage.delete("orders")
        await until(lambda: not engine.topology.departing())
        assert [engine.domains.require(one) for one in ("sales", "left")] == ["sales", "left"]
    async with engine_at(tmp_path) as engine:
        assert [engine.domains.require(one) for one in ("sales", "left")] == ["sales", "left"]


async def test_a_name_is_kept_and_no_pipeline_undoes_it(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.domains.rename("sales", "Sales & Co")
        await engine.manage.create(spec(domain="sales"))
        assert engine.domains.require("sales") == "Sales & Co"
        await engine.domains.rename("sales", "Sales")
    async with engine_at(tmp_path) as engine:
        assert (engine.domains.require("sales"), engine.domains.name_of("never")) == ("Sales", "never")


@pytest.mark.parametrize("name", ["", " a", "a\r\nb", "\x1b[31m", "a\u202eb", "x" * 201])
async def test_a_name_that_people_could_not_read_is_refused(tmp_path: Path, name: str) -> None:
    async with engine_at(tmp_path) as engine:
        with pytest.raises(InvalidRequest, match=r"name: must be 1 to 200 visible characters"):
            await engine.domains.rename("sales", name)
        with pytest.raises(DomainNotFound):
            engine.domains.require("sales")


@pytest.mark.parametrize("domain", ["", "x" * 201])
async def test_an_id_that_no_pipeline_could_have_is_refused(tmp_path: Path, domain: str) -> None:
    async with engine_at(tmp_path) as engine:
        with pytest.raises(InvalidRequest, match="id: must have 1 to 200 characters"):
            await engine.domains.rename(domain, "Sales")


async def test_a_domain_that_is_not_there_is_named_in_a_way_that_drives_no_terminal(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        with pytest.raises(DomainNotFound) as caught:
            engine.domains.require("\x1b]0;owned\x07\r\n" + "x" * 500)
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 150
