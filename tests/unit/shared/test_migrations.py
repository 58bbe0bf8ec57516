"""The newest migration is found without Alembic, and is the one that Alembic would go to."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from relais_shared.db import newest_of
from relais_shared.settings import SettingsProblem

SERVICES = Path(__file__).parents[3] / "services"


@pytest.mark.parametrize("service", ["directory", "gateway", "referral"])
def test_it_is_the_one_that_alembic_goes_to(service: str) -> None:
    migrations = SERVICES / service / f"relais_{service}" / "migrations"
    config = Config()
    config.set_main_option("script_location", str(migrations))
    assert newest_of(migrations) == ScriptDirectory.from_config(config).get_current_head()


def test_two_ends_are_refused(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    for name, before in (("1", "None"), ("2", '"1"'), ("3", '"1"')):
        (tmp_path / "versions" / f"{name}.py").write_text(f'revision = "{name}"\ndown_revision = {before}\n')
    with pytest.raises(SettingsProblem, match="2, 3"):
        newest_of(tmp_path)
