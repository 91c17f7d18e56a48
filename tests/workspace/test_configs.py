"""Saving and loading: versions, conflicts, protection, restore; and objects that ask the current workspace."""

import pytest

import b2brecs as b2b
from b2brecs.errors import B2BRecsError, ConfigError, InUse, NotFound, VersionConflict


@pytest.fixture
def ws(tmp_path):
    with b2b.Workspace.local(tmp_path / "home") as workspace:
        yield workspace


def model(**changes):
    return b2b.ModelConfig.preset("standard", "m").changed(**changes)


def test_versions_grow_only_when_content_changes(ws):
    assert (ws.save(model()).version, ws.save(model()).version) == (1, 1)
    assert repr(ws.save(model())) == "model 'm': version 1 stands unchanged"
    assert repr(ws.save(model(seed=1))) == "model 'm': version 2 saved"
    assert ws.load(b2b.ModelConfig, "m").seed == 1
    assert ws.load("model", "m", version=1).seed == 42
    assert [row[0] for row in ws.history(b2b.ModelConfig, "m").rows] == [2, 1]


def test_of_two_savers_one_gets_a_conflict_and_nothing_is_lost(ws, tmp_path):
    ws.save(model())
    with b2b.Workspace.local(tmp_path / "home") as other:
        mine, theirs = ws.load(b2b.ModelConfig, "m"), other.load(b2b.ModelConfig, "m")
        ws.save(mine.changed(seed=1))
        with pytest.raises(VersionConflict) as caught:
            other.save(theirs.changed(seed=2))
        assert ("seed", 1, 2) in caught.value.changes
        assert "seed" in str(caught.value)
        other.load(b2b.ModelConfig, "m")
        assert other.save(theirs.changed(seed=2)).version == 3
    assert [ws.load("model", "m", version=v).seed for v in (1, 2, 3)] == [42, 1, 2]


def test_a_name_that_somebody_else_took_is_a_conflict(ws, tmp_path):
    with b2b.Workspace.local(tmp_path / "home") as other:
        ws.save(model())
        with pytest.raises(VersionConflict):
            other.save(model(seed=9))
        assert other.save(model(seed=9), expect=1).version == 2


def test_an_earlier_version_is_restored_as_a_new_one(ws):
    ws.save(model())
    ws.save(model(seed=1))
    ws.restore(b2b.ModelConfig, "m", 1)
    assert ws.load(b2b.ModelConfig, "m").seed == 42
    assert len(ws.history("model", "m").rows) == 3


def test_what_is_used_cannot_be_deleted(ws, tmp_path):
    connection = b2b.Connection.files("files", path=tmp_path)
    ws.save(connection)
    ws.save(b2b.EtlJob("job", connection=connection).load("t"))
    with pytest.raises(InUse, match="etl_job"):
        ws.delete(b2b.Connection, "files")
    ws.delete("etl_job", "job")
    ws.delete(b2b.Connection, "files")
    with pytest.raises(NotFound):
        ws.load(b2b.Connection, "files")


def test_the_unfinished_is_not_saved(ws):
    with pytest.raises(ConfigError, match="loads nothing"):
        ws.save(b2b.EtlJob("job", connection="c"))
    assert ws.list().rows == []


def test_a_name_that_is_not_there_offers_the_nearest(ws):
    ws.save(model())
    with pytest.raises(NotFound, match="Did you mean 'm'"):
        ws.saved(b2b.ModelConfig, "mm")


def test_verbs_on_nouns_ask_the_workspace_opened_last(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    connection = b2b.Connection.files("f", path=tmp_path)
    with b2b.connect(f"local:{tmp_path / 'one'}"), b2b.connect(f"local:{tmp_path / 'two'}") as two:
        connection.save()
        assert [row[1] for row in two.list().rows] == ["f"]
        assert "1 files" in connection.test()
    with pytest.raises(B2BRecsError, match="no workspace is open"):
        connection.test()


def test_a_workspace_shows_itself(ws):
    assert "local:" in repr(ws)
    assert "nothing yet" in ws._repr_html_()
